package auth

import "fmt"

// Ledger counts what keys use against their Limits. It has no clock: now is in nanoseconds on any clock that does not go back. It is
// not safe for use by several goroutines.
//
// A limit per minute is a bucket that holds a minute's worth and refills evenly: of any time t a key gets at most its limit times
// (t + 1 minute).
type Ledger struct{ accounts map[string]*account }

type account struct {
	running          int
	tokens, requests bucket
}

// bucket is a limit per minute. It is empty by the time that is left until full.
type bucket struct {
	full     int64 // when it is full again; at now or before = it is
	returned int64 // time that was taken and given back, in all
}

// Grant is what a request was allowed to use. It must be given back with Leave.
type Grant struct {
	id        string
	tokens    int   // charged
	perMinute int   // that they were charged at
	end       int64 // when the bucket was to be full after the charge
	returned  int64 // of the bucket at the charge
}

// Reason says which limit refuses a request.
type Reason uint8

const (
	Concurrency Reason = iota + 1 // too many requests at one time
	RequestRate                   // too many in a minute
	TokenRate                     // too many tokens in a minute
	TokenSize                     // one request may use more tokens than a minute has: waiting does not help
)

// Refusal is an answer of the ledger. Nothing is charged by it.
type Refusal struct {
	Reason  Reason
	Limit   int   // that is exceeded
	WaitFor int64 // nanoseconds until the request fits, if nothing else is asked; 0 = nobody knows
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("limit %d of kind %d is exceeded; wait for %d ns", r.Limit, r.Reason, r.WaitFor)
}

// NewLedger is one in which nobody has used anything.
func NewLedger() *Ledger { return &Ledger{accounts: map[string]*account{}} }

const minute = 60_000_000_000 // nanoseconds

// Enter counts one more request of a key.
func (l *Ledger) Enter(k *Key, now int64) (*Grant, *Refusal) {
	a := l.account(k.ID)
	if limit := k.Limits.ConcurrentRequests; limit > 0 && a.running >= limit {
		return nil, &Refusal{Reason: Concurrency, Limit: limit}
	}
	if limit := k.Limits.RequestsPerMinute; limit > 0 {
		if wait := a.requests.take(1, limit, now); wait > 0 {
			return nil, &Refusal{Reason: RequestRate, Limit: limit, WaitFor: wait}
		}
	}
	a.running++
	return &Grant{id: k.ID}, nil
}

// Charge takes the tokens that a request may use at most. It is called once for a Grant.
func (l *Ledger) Charge(k *Key, g *Grant, tokens int64, now int64) *Refusal {
	limit := k.Limits.TokensPerMinute
	if limit == 0 {
		return nil
	}
	if tokens > int64(limit) {
		return &Refusal{Reason: TokenSize, Limit: limit}
	}
	b := &l.account(k.ID).tokens
	if wait := b.take(tokens, limit, now); wait > 0 {
		return &Refusal{Reason: TokenRate, Limit: limit, WaitFor: wait}
	}
	g.tokens, g.perMinute, g.end, g.returned = int(tokens), limit, b.full, b.returned
	return nil
}

// Leave ends a request and gives back what it was charged and has not used; more than it was charged is not taken. What has refilled
// since the charge is not given twice, so that quota cannot be saved up.
func (l *Ledger) Leave(g *Grant, usedTokens int, now int64) {
	a := l.account(g.id)
	if a.running--; a.running < 0 {
		panic("BUG: a grant was given back twice")
	}
	if used := max(0, usedTokens); used < g.tokens {
		b := &a.tokens
		unused := lasts(int64(g.tokens), g.perMinute) - lasts(int64(used), g.perMinute)
		missing := g.end - (b.returned - g.returned) - now // of this charge and earlier ones; less if a later one gave back
		b.giveBack(min(unused, missing))
	}
}

// Running is the number of requests of a key.
func (l *Ledger) Running(id string) int {
	if a := l.accounts[id]; a != nil {
		return a.running
	}
	return 0
}

// Accounts is the number of keys that it knows.
func (l *Ledger) Accounts() int { return len(l.accounts) }

// Retain forgets the keys that keep does not want and that no request uses.
func (l *Ledger) Retain(keep func(id string) bool) {
	for id, a := range l.accounts {
		if a.running == 0 && !keep(id) {
			delete(l.accounts, id)
		}
	}
}

func (l *Ledger) account(id string) *account {
	a := l.accounts[id]
	if a == nil {
		a = &account{}
		l.accounts[id] = a
	}
	return a
}

// take empties the bucket by n and returns 0, or how long to wait until that is possible.
func (b *bucket) take(n int64, perMinute int, now int64) (wait int64) {
	after := max(b.full, now) + lasts(n, perMinute)
	if after > now+minute {
		return after - now - minute
	}
	b.full = after
	return 0
}

func (b *bucket) giveBack(t int64) {
	if t > 0 {
		b.full -= t
		b.returned += t
	}
}

// lasts is how long a bucket needs to refill n, at most perMinute of it; whole nanoseconds, never too short.
func lasts(n int64, perMinute int) int64 {
	per := int64(perMinute)
	return (n*minute + per - 1) / per
}
