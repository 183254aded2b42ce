package server

import (
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/server/auth"
)

// visits is the ledger of all keys, with a lock and a clock.
type visits struct {
	begin time.Time // of its clock, which is monotonic

	mu     sync.Mutex
	ledger *auth.Ledger
}

func newVisits() visits { return visits{begin: time.Now(), ledger: auth.NewLedger()} }

// now is in the ledger's nanoseconds; mu is held, so that it does not go back between two calls.
func (v *visits) now() int64 { return int64(time.Since(v.begin)) }

// retain forgets the keys that keep does not want.
func (v *visits) retain(keep func(id string) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ledger.Retain(keep)
}

// visit is one request that uses the engine or the tokenizer, on its key's account.
type visit struct {
	visits     *visits
	caller     *auth.Key
	grant      *auth.Grant
	usedTokens int  // of what it was charged
	streams    bool // it ends with its stream, not with its handler
}

// visitName is under which a request's context holds its visit.
const visitName = "astro visit"

// visitOf is the visit of a request; nil = its route does no work.
func visitOf(ctx *fasthttp.RequestCtx) *visit {
	v, _ := ctx.UserValue(visitName).(*visit)
	return v
}

// work runs a route that uses the engine, within the limits of its caller's key.
func (s *Server) work(ctx *fasthttp.RequestCtx, r *route, caller *auth.Key, id string) *openai.Error {
	v, err := s.visits.enter(caller)
	if err != nil {
		return s.rejected(err)
	}
	ctx.SetUserValue(visitName, v)
	defer func() {
		if !v.streams {
			v.leave() // also after a panic
		}
	}()
	return r.handle(s, ctx, id)
}

func (v *visits) enter(caller *auth.Key) (*visit, *openai.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	grant, refused := v.ledger.Enter(caller, v.now())
	if refused != nil {
		return nil, refusalOf(refused, 0)
	}
	return &visit{visits: v, caller: caller, grant: grant}, nil
}

// charge takes what the request may use at most from its key's quota.
func (v *visit) charge(costTokens int64) *openai.Error {
	v.visits.mu.Lock()
	defer v.visits.mu.Unlock()
	if refused := v.visits.ledger.Charge(v.caller, v.grant, costTokens, v.visits.now()); refused != nil {
		return refusalOf(refused, costTokens)
	}
	return nil
}

func (v *visit) leave() {
	v.visits.mu.Lock()
	defer v.visits.mu.Unlock()
	v.visits.ledger.Leave(v.grant, v.usedTokens, v.visits.now())
}

// refusalOf is the client's form of a refusal.
func refusalOf(r *auth.Refusal, costTokens int64) *openai.Error {
	seconds := int((time.Duration(r.WaitFor) + time.Second - 1) / time.Second)
	switch r.Reason {
	case auth.Concurrency:
		return openai.TooManyAtOnce(r.Limit)
	case auth.RequestRate:
		return openai.RateOverKey("requests", r.Limit, seconds)
	case auth.TokenRate:
		return openai.RateOverKey("tokens", r.Limit, seconds)
	case auth.TokenSize:
		return openai.CostOverKey(costTokens, r.Limit)
	}
	panic("BUG: " + r.Error())
}
