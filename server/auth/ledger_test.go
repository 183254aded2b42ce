package auth

import (
	"math/rand/v2"
	"testing"
)

const second = minute / 60

func limited(l Limits) *Key { return &Key{ID: "k", Limits: l} }

// A story of one key: 2 requests at a time, 6 requests and 60 tokens in a minute.
func TestLedger(t *testing.T) {
	k := limited(Limits{ConcurrentRequests: 2, TokensPerMinute: 60, RequestsPerMinute: 6})
	l := NewLedger()
	enter := func(now int64, want Reason) *Grant {
		t.Helper()
		g, refused := l.Enter(k, now)
		if (refused == nil) != (want == 0) || refused != nil && refused.Reason != want {
			t.Fatalf("enter at %d s: got %+v; want reason %d", now/second, refused, want)
		}
		return g
	}
	charge := func(g *Grant, tokens, now int64, want Reason, wait int64) {
		t.Helper()
		refused := l.Charge(k, g, tokens, now)
		if (refused == nil) != (want == 0) || refused != nil && (refused.Reason != want || refused.WaitFor != wait) {
			t.Fatalf("charge at %d s: got %+v; want reason %d, wait %d", now/second, refused, want, wait)
		}
	}
	a := enter(0, 0)
	charge(a, 61, 0, TokenSize, 0)
	charge(a, 50, 0, 0, 0)
	b := enter(0, 0)
	enter(0, Concurrency)
	charge(b, 20, 0, TokenRate, 10*second)
	charge(b, 20, 10*second, 0, 0)
	l.Leave(a, 20, 10*second) // of its 50 seconds 10 have passed: 30 come back
	l.Leave(b, 20, 10*second)
	c := enter(10*second, 0)
	charge(c, 31, 10*second, TokenRate, second)
	charge(c, 30, 10*second, 0, 0)
	l.Leave(c, 99, 10*second) // more than charged is not taken
	for range 4 {
		l.Leave(enter(10*second, 0), 0, 10*second) // six in all, of which one has refilled
	}
	enter(10*second, RequestRate)
	if l.Leave(enter(20*second, 0), 0, 20*second); l.Running("k") != 0 {
		t.Errorf("%d still run", l.Running("k"))
	}
}

func TestLedgerWithoutLimits(t *testing.T) {
	l, k := NewLedger(), limited(Limits{})
	for range 1000 {
		g, refused := l.Enter(k, 5)
		if refused != nil || l.Charge(k, g, 1<<40, 5) != nil {
			t.Fatal("refused without a limit")
		}
	}
	if l.Running("k") != 1000 {
		t.Errorf("%d run", l.Running("k"))
	}
	if l.Retain(func(string) bool { return false }); l.Running("k") != 1000 {
		t.Error("a key in use was forgotten")
	}
}

func TestLedgerForgets(t *testing.T) {
	l := NewLedger()
	for _, id := range []string{"a", "b"} {
		g, _ := l.Enter(&Key{ID: id}, 0)
		l.Leave(g, 0, 0)
	}
	if l.Retain(func(id string) bool { return id == "b" }); len(l.accounts) != 1 || l.accounts["b"] == nil {
		t.Errorf("got %v; want only b", l.accounts)
	}
}

// running is a request of the property test.
type running struct {
	grant        *Grant
	tokens, used int64
	at           int64
}

// In every window of time a key uses at most its limit times the window and one minute more, however requests overlap, whatever they
// leave unused and in whatever order they end; and it never has more of them at one time than it may.
func TestLedgerNeverGivesMore(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		k := limited(Limits{ConcurrentRequests: 1 + rng.IntN(8), TokensPerMinute: 1 + rng.IntN(1000), RequestsPerMinute: 1 + rng.IntN(500)})
		l, now := NewLedger(), int64(0)
		var live, all []running
		for range 250 {
			now += rng.Int64N(int64(1 + rng.IntN(5*second)))
			if len(live) > 0 && rng.IntN(2) == 0 {
				i := rng.IntN(len(live))
				r := live[i]
				live = append(live[:i], live[i+1:]...)
				l.Leave(r.grant, int(r.used), now)
				all = append(all, r)
				continue
			}
			g, refused := l.Enter(k, now)
			if refused != nil {
				continue
			}
			tokens := 1 + rng.Int64N(int64(k.Limits.TokensPerMinute))
			if l.Charge(k, g, tokens, now) != nil {
				l.Leave(g, 0, now)
				all = append(all, running{at: now})
				continue
			}
			live = append(live, running{g, tokens, rng.Int64N(tokens + 1), now})
			if len(live) > k.Limits.ConcurrentRequests || l.Running(k.ID) != len(live) {
				t.Fatalf("seed %d: %d run; the limit is %d", seed, len(live), k.Limits.ConcurrentRequests)
			}
		}
		checkWindows(t, seed, k, append(all, live...))
	}
}

// checkWindows counts the use of requests in all windows that begin and end with one.
func checkWindows(t *testing.T, seed uint64, k *Key, all []running) {
	t.Helper()
	for _, from := range all {
		for _, to := range all {
			tokens, requests, window := int64(0), int64(0), to.at-from.at
			if window < 0 {
				continue
			}
			for _, r := range all {
				if r.at >= from.at && r.at <= to.at {
					tokens += r.used
					requests++
				}
			}
			most := func(perMinute int) int64 { return int64(perMinute) * (window + minute) / minute }
			if tokens > most(k.Limits.TokensPerMinute) || requests > most(k.Limits.RequestsPerMinute) {
				t.Fatalf("seed %d: %d requests used %d tokens in %d s; limits %+v", seed, requests, tokens, window/second, k.Limits)
			}
		}
	}
}

// A key that waits as long as it is told gets what it asked for, at the limit's rate.
func TestLedgerWaitIsEnough(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		k := limited(Limits{TokensPerMinute: 1 + rng.IntN(MaxPerMinute)})
		l, now, used := NewLedger(), int64(0), int64(0)
		for range 200 {
			tokens := 1 + rng.Int64N(int64(k.Limits.TokensPerMinute))
			g, _ := l.Enter(k, now)
			if refused := l.Charge(k, g, tokens, now); refused != nil {
				now += refused.WaitFor
				if refused := l.Charge(k, g, tokens, now); refused != nil {
					t.Fatalf("seed %d: refused after the wait: %+v", seed, refused)
				}
			}
			used += tokens
			l.Leave(g, int(tokens), now)
		}
		if least := used/int64(k.Limits.TokensPerMinute) - 1; now/minute > least+2 {
			t.Errorf("seed %d: %d tokens took %d minutes; want about %d", seed, used, now/minute, least)
		}
	}
}

// What one request gave back moves the charges behind it forward, so that they refill earlier than they were to: the part that has
// refilled by then does not come back a second time.
func TestLedgerGivesNothingTwice(t *testing.T) {
	k := limited(Limits{TokensPerMinute: 60})
	l := NewLedger()
	take := func(tokens, now int64) *Grant {
		t.Helper()
		g, _ := l.Enter(k, now)
		if refused := l.Charge(k, g, tokens, now); refused != nil {
			t.Fatalf("at %d s: %+v", now/second, refused)
		}
		return g
	}
	first, other := take(30, 0), take(30, 0)
	l.Leave(first, 1, second) // the bucket is full at 31 s instead of 60
	take(60, 40*second)
	l.Leave(other, 0, 40*second)
	g, _ := l.Enter(k, 40*second)
	if refused := l.Charge(k, g, 1, 40*second); refused == nil || refused.WaitFor != second {
		t.Errorf("got %+v; want a wait of a second, since the minute's tokens were just taken", refused)
	}
}
