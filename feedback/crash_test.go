package feedback_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"astro/feedback"
)

// crashKills says how many kills; `make test-crash` sets it.
const crashKills = "ASTRO_TEST_CRASH_KILLS"

func kills(t *testing.T, otherwise int) int {
	text := os.Getenv(crashKills)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q; want a number of kills", crashKills, text)
	}
	return n
}

// killsPerStore: a store goes through as many, since it is read as a whole after each.
const killsPerStore = 20

// A process that is killed at any moment, again and again over the same file, loses nothing that it acknowledged, and nothing is there twice.
func TestKilledAtAnyMoment(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var v *verifier
	n, acknowledged, stored := kills(t, 25), 0, 0
	for run := range n {
		if run%killsPerStore == 0 {
			v = newVerifier(t)
		}
		v.runAndKill(run, time.Duration(20+r.IntN(121))*time.Millisecond, run%2 == 0)
		a, s := v.verify()
		acknowledged, stored = acknowledged+a, stored+s
	}
	if t.Logf("%d kills: %d operations were acknowledged, 0 are missing; %d completions are stored", n, acknowledged, stored); acknowledged < n {
		t.Errorf("%d operations in %d runs: the kills come before there is anything to lose", acknowledged, n)
	}
}

// verifier compares a store with the journal of its children.
type verifier struct {
	*testing.T
	store, journal string
	read           int64 // of the journal
	seq            int64 // completions up to it were compared
	used           map[string]bool
}

func newVerifier(t *testing.T) *verifier {
	dir := t.TempDir()
	return &verifier{T: t, store: filepath.Join(dir, "state.db"), journal: filepath.Join(dir, "journal"), used: map[string]bool{}}
}

func (v *verifier) task(run int) task {
	return task{Run: run, Store: v.store, Journal: v.journal, Writers: 16}
}

// runAndKill kills a child after a delay from its start, or from its first acknowledgement.
func (v *verifier) runAndKill(run int, delay time.Duration, working bool) {
	v.Helper()
	c := v.task(run).command(v.T)
	var log bytes.Buffer
	c.Stderr = &log
	if err := c.Start(); err != nil {
		v.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); working && v.size() == v.read && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(delay)
	c.Process.Kill()
	v.wantKilled(c, &log)
}

func (v *verifier) size() int64 {
	info, err := os.Stat(v.journal)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (v *verifier) wantKilled(c *exec.Cmd, log *bytes.Buffer) {
	v.Helper()
	err := c.Wait()
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		v.Fatalf("the child ended with %v and not by the kill: %s", err, log)
	}
}

// verify opens the store as a server that starts again does, and looks for all that was acknowledged since the last time.
func (v *verifier) verify() (acknowledged, stored int) {
	v.Helper()
	s, err := feedback.Open(v.store, feedback.Options{})
	if err != nil {
		v.Fatal(err)
	}
	defer s.Close()
	lines, end := readJournal(v.T, v.journal, v.read)
	v.read = end
	completions, votes := v.export(s)
	for _, line := range lines {
		switch line[0] {
		case "c":
			if completions[line[1]] != 1 {
				v.Errorf("completion %s was acknowledged and is there %d times", line[1], completions[line[1]])
			}
		case "f":
			if ids := votes[line[1]]; len(ids) != 1 || ids[0] != line[2] {
				v.Errorf("feedback %s for %s was acknowledged; stored are %v", line[2], line[1], ids)
			}
		case "u":
			v.learned(line[1:])
		}
	}
	v.wantIntact()
	return len(lines), len(completions)
}

// learned wants that nothing was learned from twice.
func (v *verifier) learned(ids []string) {
	for _, id := range ids {
		if v.used[id] {
			v.Errorf("completion %s was learned from twice", id)
		}
		v.used[id] = true
	}
}

// export reads all that is new through the checksums of its rows.
func (v *verifier) export(s *feedback.Store) (completions map[string]int, votes map[string][]string) {
	v.Helper()
	var out bytes.Buffer
	if err := s.Export(context.Background(), &out, v.seq); err != nil {
		v.Fatal(err)
	}
	completions, votes = map[string]int{}, map[string][]string{}
	for d := json.NewDecoder(&out); d.More(); {
		var line struct {
			Type, ID   string
			Seq        int64
			Completion string `json:"completion_id"`
		}
		if err := d.Decode(&line); err != nil {
			v.Fatal(err)
		}
		if line.Type == "completion" {
			completions[line.ID]++
			v.seq = max(v.seq, line.Seq)
		} else {
			votes[line.Completion] = append(votes[line.Completion], line.ID)
		}
	}
	return completions, votes
}

// wantIntact asks SQLite, and for the acknowledged updates.
func (v *verifier) wantIntact() {
	v.Helper()
	db, err := sql.Open("sqlite", "file:"+v.store+"?mode=ro")
	if err != nil {
		v.Fatal(err)
	}
	defer db.Close()
	word := ""
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&word); err != nil || word != "ok" {
		v.Fatalf("integrity_check: %s, %v", word, err)
	}
	rows, err := db.Query("SELECT completion_id FROM consumed")
	if err != nil {
		v.Fatal(err)
	}
	defer rows.Close()
	there := map[string]bool{}
	for rows.Next() {
		id := ""
		if err := rows.Scan(&id); err != nil {
			v.Fatal(err)
		}
		there[id] = true
	}
	for id := range v.used {
		if !there[id] {
			v.Errorf("an update that learned from %s was acknowledged and is missing", id)
		}
	}
}
