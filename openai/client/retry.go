package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Retry says how often and after which pauses a request is sent again. A pause is what the server asks for in Retry-After,
// or else a random part of a bound that doubles with each try from Base up to Cap; the random part keeps many waiting clients
// from coming back at one moment.
type Retry struct {
	Tries      int           // in all; at least 1
	Base, Cap  time.Duration // bound of the first pause, and of any
	RetryAfter time.Duration // longest wait that a server may ask for; past it the request fails

	OnRetry func(err error, wait time.Duration) // told before each pause, by many goroutines; nil = nobody

	sleep  func(context.Context, time.Duration) error // nil = by the clock
	jitter func() float64                             // nil = uniform in [0, 1)
}

// DefaultRetry waits about five minutes in all for a server that is away.
func DefaultRetry() Retry {
	return Retry{Tries: 12, Base: 500 * time.Millisecond, Cap: time.Minute, RetryAfter: 10 * time.Minute}
}

// do calls try until it succeeds, fails for good, or has been called Tries times.
func (r Retry) do(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || ctx.Err() != nil {
			return err
		}
		wait, again := r.pause(err, n)
		if !again {
			return err
		}
		if n >= r.Tries {
			return fmt.Errorf("given up after %d tries: %w", n, err)
		}
		if r.OnRetry != nil {
			r.OnRetry(err, wait)
		}
		if err := r.wait(ctx, wait); err != nil {
			return err
		}
	}
}

// pause is the wait before try n+1, and whether there is any use in one.
func (r Retry) pause(err error, n int) (time.Duration, bool) {
	var status *StatusError
	var broken *BrokenError
	switch {
	case errors.As(err, &broken):
		return r.backoff(n), true
	case !errors.As(err, &status) || !status.Transient():
		return 0, false
	case status.RetryAfter > r.RetryAfter:
		return 0, false
	case status.RetryAfter > 0:
		return status.RetryAfter + time.Duration(r.random()*float64(r.Base)), true
	}
	return r.backoff(n), true
}

// backoff is a random pause of at most Base doubled n-1 times, and at most Cap.
func (r Retry) backoff(n int) time.Duration {
	bound := r.Cap
	if n <= 30 {
		bound = min(bound, r.Base<<(n-1))
	}
	return time.Duration(r.random() * float64(bound))
}

func (r Retry) random() float64 {
	if r.jitter != nil {
		return r.jitter()
	}
	return rand.Float64()
}

func (r Retry) wait(ctx context.Context, d time.Duration) error {
	if r.sleep != nil {
		return r.sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
