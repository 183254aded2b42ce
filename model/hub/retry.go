package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Retry says how often a request that met a broken connection, 429 or 5xx is sent again. A pause is what the hub asks for in
// Retry-After, or else a random part of a bound that doubles with each try. A try that brought renewBytes counts as the first.
type Retry struct {
	Tries      int           // in all; at least 1
	Base, Cap  time.Duration // bound of the first pause, and of any
	RetryAfter time.Duration // longest pause that a hub may ask for; past it the download ends
}

// renewBytes of progress show that a connection is bad but not useless.
const renewBytes = 16 << 20

// DefaultRetry waits about a minute in all for a hub that is away.
func DefaultRetry() Retry {
	return Retry{Tries: 7, Base: time.Second, Cap: 30 * time.Second, RetryAfter: 5 * time.Minute}
}

// do calls try until it succeeds, fails for good, or has failed Tries times in a row.
func (r Retry) do(ctx context.Context, wait func(context.Context, time.Duration) error, notify func(string), try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || ctx.Err() != nil || !transient(err) {
			return err
		}
		var broken *brokenError
		if errors.As(err, &broken) && broken.gainedBytes >= renewBytes {
			n = 1
		}
		pause := r.pause(err, n)
		switch {
		case n >= r.Tries:
			return fmt.Errorf("given up after %d tries: %w", n, err)
		case pause > max(r.RetryAfter, r.Cap):
			return fmt.Errorf("%w; it asks for a pause of %v: try again then", err, pause.Round(time.Second))
		}
		notify(fmt.Sprintf("%v; trying again in %.1f s", err, pause.Seconds()))
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// pause is the wait after failure n.
func (r Retry) pause(err error, n int) time.Duration {
	var status *statusError
	if errors.As(err, &status) && status.retryAfter > 0 {
		return status.retryAfter
	}
	bound := r.Cap
	if n <= 30 {
		bound = min(bound, r.Base<<(n-1))
	}
	return time.Duration((0.5 + rand.Float64()/2) * float64(bound))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// brokenError is a connection that failed, or an answer that was cut off: another try may succeed.
type brokenError struct {
	error
	gainedBytes int64 // that came before it broke
}

// Unwrap returns the cause.
func (e *brokenError) Unwrap() error { return e.error }

// transient says that the same request may succeed later.
func transient(err error) bool {
	var broken *brokenError
	var status *statusError
	return errors.As(err, &broken) || errors.As(err, &status) && status.transient()
}
