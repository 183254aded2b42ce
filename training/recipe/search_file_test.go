package recipe

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"astro/training/countdown"
	"astro/training/random"
	"astro/training/search"
)

// manyPlayers plays any problem of the numbers game; what it draws depends on the draw alone. It fails for problems in broken.
type manyPlayers struct {
	domain countdown.Domain
	broken map[string]bool
	calls  *atomic.Int64
	stop   func(call int64)
}

func (m manyPlayers) Sample(ctx context.Context, draws []search.Draw) []search.Drawn {
	if call := m.calls.Add(1); m.stop != nil {
		m.stop(call)
	}
	var out []search.Drawn
	for _, d := range draws {
		p := countdown.Problem{}
		for _, id := range d.Prompt[1:5] {
			p.Numbers = append(p.Numbers, int(id-countdown.Number(1))+1)
		}
		p.Target = int(d.Prompt[6]-countdown.Number(1)) + 1
		if m.broken[p.String()] {
			out = append(out, search.Drawn{Err: errors.New("device lost")})
			continue
		}
		games := player{m.domain, p}.games(d.Prompt[len(countdown.Prompt(p)):], d.Limit.MaxTokens)
		one := search.Drawn{}
		for i := range d.N {
			tokens := games[random.New(d.Seed, uint64(i)).Intn(len(games))]
			one.Samples = append(one.Samples, search.Sample{Tokens: tokens, Drawn: len(tokens), Logprob: -1, End: search.EndStep})
		}
		out = append(out, one)
	}
	return out
}

// searchOf is a small search of the numbers game.
func searchOf(t *testing.T, out string, n int) (Search, *manyPlayers) {
	t.Helper()
	m := &manyPlayers{domain: countdown.CD4, broken: map[string]bool{}, calls: &atomic.Int64{}}
	s := Search{Config: search.Countdown(), Settings: "countdown, random", Out: out, Parallel: 4, Policy: func() search.Policy { return *m }}
	s.Config.Iterations = 5
	for _, p := range countdown.CD4.Sample(countdown.CD4.Split().Train, n, random.New(1, 0)) {
		problem, err := NewCountdownSearch(countdown.CD4, "", p.String())
		if err != nil {
			t.Fatal(err)
		}
		s.Problems = append(s.Problems, problem)
	}
	return s, m
}

func fileOf(t *testing.T, s Search) []byte {
	t.Helper()
	data, err := os.ReadFile(s.Out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A search that is stopped, and then torn anywhere, goes on to the very file of one that was not; in lock step too.
func TestSearchGoesOn(t *testing.T) {
	for _, lock := range []bool{false, true} {
		dir := t.TempDir()
		s, _ := searchOf(t, filepath.Join(dir, "whole.jsonl"), 10)
		s.LockStep = lock
		whole, err := s.Run(context.Background(), nil)
		if err != nil || whole.Trees() != 10 || whole.Grown != 10 || whole.Tokens == 0 || whole.GrownTokens != whole.Tokens || whole.Wrong == 0 {
			t.Fatalf("got %+v (%v)", whole, err)
		}
		want := fileOf(t, s)
		s, m := searchOf(t, filepath.Join(dir, "stopped.jsonl"), 10)
		s.LockStep = lock
		ctx, cancel := context.WithCancel(context.Background())
		m.stop = func(call int64) {
			if call == map[bool]int64{false: 70, true: 15}[lock] {
				cancel()
			}
		}
		stopped, err := s.Run(ctx, nil)
		if !errors.Is(err, context.Canceled) || stopped.Grown == 0 || stopped.Grown == 10 {
			t.Fatalf("got %d trees (%v); want some, and that it was stopped", stopped.Grown, err)
		}
		part := fileOf(t, s)
		for cut := 0; cut <= len(part); cut += 1 + len(part)/12 {
			if err := os.WriteFile(s.Out, part[:cut], 0o644); err != nil {
				t.Fatal(err)
			}
			m.stop = nil
			again, err := s.Run(context.Background(), nil)
			if err != nil || again.Trees() != 10 || again.Solved != whole.Solved || again.Tokens != whole.Tokens {
				t.Fatalf("cut at %d: got %+v (%v); want the figures of %+v", cut, again, err, whole)
			}
			if !bytes.Equal(fileOf(t, s), want) {
				t.Fatalf("cut at %d: another file", cut)
			}
		}
	}
}

// Problems that fail are counted and tried again; a file of another search and problems without names of their own are refused.
func TestSearchCountsFailures(t *testing.T) {
	s, m := searchOf(t, filepath.Join(t.TempDir(), "trees.jsonl"), 6)
	m.broken[s.Problems[2].ID] = true
	reports := 0
	got, err := s.Run(context.Background(), func(SearchSummary) { reports++ })
	if err != nil || got.Grown != 5 || got.Failures() != 1 || got.Failed[search.FailedPolicy] != 1 || !strings.Contains(got.FirstError.Error(), "device lost") || reports != 7 {
		t.Fatalf("got %+v (%v) and %d reports", got, err, reports)
	}
	m.broken = nil
	if got, err = s.Run(context.Background(), nil); err != nil || got.Resumed != 5 || got.Grown != 1 {
		t.Fatalf("got %+v (%v); want the sixth tree", got, err)
	}
	before := m.calls.Load()
	if got, err = s.Run(context.Background(), nil); err != nil || got.Resumed != 6 || m.calls.Load() != before {
		t.Errorf("got %+v (%v) after %d calls; want nothing to do", got, err, m.calls.Load()-before)
	}
	s.Config.CPUCT = 2
	if _, err := s.Run(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "another search") {
		t.Errorf("other settings: got %v", err)
	}
	s.Problems = append(s.Problems, s.Problems[0])
	if _, err := s.Run(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a problem twice: got %v", err)
	}
}
