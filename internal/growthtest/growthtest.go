// Package growthtest says whether what a test runs takes time in proportion to its input. It measures the processor's time of the
// process, not the clock on the wall, so that a busy machine does not matter much, and it repeats: noise only adds, so the least of
// several measurements is near the truth.
package growthtest

import (
	"syscall"
	"testing"
	"time"
)

const (
	factor   = 4                     // between the two sizes
	most     = 10                    // times as long may the larger one take: 4 is linear, 16 is quadratic
	attempts = 16                    // of which the best counts
	coarse   = 10 * time.Millisecond // below this a measurement says nothing, and passes
)

// Linear fails the test if run takes much more than four times as long at 4n as at n. run makes its input of size n itself; what it
// makes should cost little beside what is measured.
func Linear(t testing.TB, name string, n int, run func(n int)) {
	t.Helper()
	run(n) // caches, lazily made tables
	small, large := time.Hour, time.Hour
	for range attempts {
		small, large = min(small, took(run, n)), min(large, took(run, factor*n))
		if large <= most*small || large < coarse {
			t.Logf("%s: %v at %d, %v at %d", name, small, n, large, factor*n)
			return
		}
	}
	t.Errorf("%s: %v at %d and %v at %d; want at most %d times as long", name, small, n, large, factor*n, most)
}

// took is the processor time of one run.
func took(run func(int), n int) time.Duration {
	before := processor()
	run(n)
	return processor() - before
}

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("BUG: the process cannot ask for its own times: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
