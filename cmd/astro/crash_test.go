package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"astro/training"
	"astro/training/checkpoint"
)

// serverKills says how many kills of the whole server; `make test-crash` sets it.
const serverKills = "ASTRO_TEST_SERVER_KILLS"

func killsOf(t *testing.T, otherwise int) int {
	text := os.Getenv(serverKills)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q; want a number of kills", serverKills, text)
	}
	return n
}

// A server that learns is killed at any moment, again and again over the same store: every feedback that it acknowledged is there once,
// what it serves is whole and never older than before, and nothing half-done is left.
func TestServerKilledAtAnyMoment(t *testing.T) {
	l, r, n := newLearner(t), rand.New(rand.NewPCG(5, 6)), killsOf(t, 5)
	for run := range n {
		if run%4 == 3 { // while it starts
			p := l.begin()
			time.Sleep(time.Duration(r.IntN(800)) * time.Millisecond)
			p.kill(t)
			continue
		}
		p, url := l.up()
		l.verify(p, url)
		c := l.crowded(p, url, 4)
		lose := func() bool { return c.acked.Load() > 0 && (run == 0 || l.seen() > 1) } // after the first kill also a learned version
		eventuallyTrue(t, "an acknowledged feedback and a learned version", func() bool { return lose() || p.dead() })
		time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
		c.stop()
		p.kill(t)
		c.work.Wait()
		l.complaints()
	}
	p, url := l.up()
	l.verify(p, url)
	p.kill(t)
	updates, used := l.audit()
	if t.Logf("%d kills: %d feedbacks were acknowledged, %d are missing, %d are there twice; version %d; %d updates learned from %d rated completions", n+1, l.votes(), l.missing, l.twice,
		l.serving, updates, used); l.votes() < n || l.serving < 2 {
		t.Errorf("%d acknowledged, version %d: the kills come before there is anything to lose", l.votes(), l.serving)
	}
}

// says waits for a line of the log, which may come after the address.
func (p *life) says(t *testing.T, what string) {
	t.Helper()
	if !p.logs(what) {
		t.Errorf("the log does not say %q: %s", what, p.log)
	}
}

// logs says whether a line of the log comes.
func (p *life) logs(what string) bool {
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(p.log.String(), what); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func (p *life) dead() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// verify asks a server that has just started for all that the ones before it acknowledged.
func (l *learner) verify(p *life, url string) {
	l.Helper()
	l.mu.Lock()
	unsure := l.unsure
	l.unsure = nil
	l.mu.Unlock()
	for _, v := range unsure { // as a client does that heard nothing: it is stored now, or was before
		if err := l.rate(url, &v); err != nil {
			l.Errorf("%+v was sent before the kill and again after it: %v", v, err)
		}
	}
	l.mu.Lock()
	fresh := l.told[l.verified:]
	l.verified = len(l.told)
	l.mu.Unlock()
	for _, v := range fresh {
		f, c := send("GET", url+"/v1/feedback/"+v.id, nil), send("GET", url+"/v1/completions/"+v.completion, nil)
		said, _ := c.body["feedback"].([]any)
		if f.status != 200 || f.word("completion_id") != v.completion || f.body["reward"] != v.reward || c.status != 200 || len(said) != 1 {
			l.Errorf("feedback %+v was acknowledged; the server knows %s of it and %d of the completion", v, f.text, len(said))
		}
	}
	list := send("GET", url+"/v1/policies", nil)
	serving, _ := list.body["serving"].(float64)
	l.sees(int64(serving))
	l.wantWhole(int64(serving))
	if a := askChat(url, nil); a.status != 200 {
		l.Errorf("version %.0f does not answer: %d %s", serving, a.status, a.text)
	}
	l.wantTidy(p, url)
	l.complaints()
}

// wantWhole wants a version's checkpoint to be whole. One that is served already may have been learned from and removed meanwhile, so
// this asks early.
func (l *learner) wantWhole(version int64) {
	l.Helper()
	if version < 2 {
		return
	}
	if _, err := checkpoint.Verify(filepath.Join(l.store, "policies", fmt.Sprintf("v%09d", version))); err != nil {
		l.Errorf("version %d is served: %v", version, err)
	}
}

// wantTidy wants no folder that no policy has, but that of an update under way.
func (l *learner) wantTidy(p *life, url string) {
	l.Helper()
	var left string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		names, list := l.folders(), send("GET", url+"/v1/policies", nil)
		left = ""
		for _, name := range names {
			if strings.HasPrefix(name, checkpoint.HalfPrefix) || !strings.Contains(list.text, fmt.Sprintf(`"version":%d,`, versionOf(name))) {
				left = name
			}
		}
		if left == "" {
			return
		}
	}
	l.Errorf("the folder %s is left: %s", left, p.log)
}

// versionOf is the version of a folder's name; -1 = none.
func versionOf(name string) int64 {
	n, err := strconv.ParseInt(strings.TrimLeft(strings.TrimPrefix(name, "v"), "0"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// audit reads the file itself when no server has it: checksums, each acknowledged feedback once, and no completion in two updates.
func (l *learner) audit() (updates, used int) {
	l.Helper()
	s := l.openStore()
	defer s.Close()
	if err := s.Verify(l.Context()); err != nil {
		l.Error(err)
	}
	var out bytes.Buffer
	if err := s.Export(l.Context(), &out, 0); err != nil {
		l.Fatal(err)
	}
	there := map[string]int{}
	for line := range strings.Lines(out.String()) {
		var f struct{ Type, ID string }
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			l.Fatal(err)
		}
		if f.Type == "feedback" {
			there[f.ID]++
		}
	}
	l.missing, l.twice = 0, 0
	for _, v := range l.told {
		switch n := there[v.id]; {
		case n == 0:
			l.missing++
		case n > 1:
			l.twice++
		}
		if there[v.id] != 1 {
			l.Errorf("feedback %+v was acknowledged and is there %d times", v, there[v.id])
		}
	}
	counts, err := s.Counts(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	all, err := s.Updates(l.Context(), 0, 100_000)
	if err != nil {
		l.Fatal(err)
	}
	sum := 0
	for i := range all {
		var n training.Numbers
		if err := json.Unmarshal(all[i].Report, &n); err != nil {
			l.Error(err)
		}
		sum += n.Served + n.Dropped
	}
	if sum != counts.Used {
		l.Errorf("the updates say that they used %d completions, the store has %d", sum, counts.Used)
	}
	return len(all), counts.Used
}

// The newest checkpoint is damaged when the server comes back: the one before it is served, the log says so, and learning goes on.
func TestServerKilledAndDamageIsPassedOver(t *testing.T) {
	l := newLearner(t)
	p, url := l.up()
	c := l.crowded(p, url, 4)
	eventuallyTrue(t, "version 3", func() bool { return l.seen() >= 3 || p.dead() })
	c.stop()
	p.kill(t)
	c.work.Wait()
	l.complaints()
	newest := l.served()
	damageFile(t, filepath.Join(l.store, "policies", fmt.Sprintf("v%09d", newest), "model.safetensors"))
	l.serving = 0 // it goes back, and says so
	p, url = l.up()
	p.says(t, fmt.Sprintf("version %d is passed over", newest))
	p.says(t, "is damaged")
	list := send("GET", url+"/v1/policies", nil)
	if served := int64(list.body["serving"].(float64)); served < newest-1 || served == newest {
		t.Errorf("version %d is served; want %d or one learned from it", served, newest-1)
	}
	c = l.crowded(p, url, 4)
	eventuallyTrue(t, "a version that was learned since", func() bool { return l.seen() > newest || p.dead() })
	c.stop()
	c.work.Wait()
	p.kill(t)
	l.complaints()
	l.audit()
}

// served is the version that the store says is served, when no server has it.
func (l *learner) served() int64 {
	l.Helper()
	s := l.openStore()
	defer s.Close()
	_, serving, err := s.Policies(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return serving
}

// seen is the highest version that clients saw served.
func (l *learner) seen() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.serving
}

// damageFile changes a byte.
func damageFile(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
