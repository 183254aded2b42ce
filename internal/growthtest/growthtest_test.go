package growthtest

import "testing"

// recorder is a test that remembers whether it failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

var sink int

func spin(n int) {
	for i := range n {
		sink += i & 3
	}
}

// A sum passes, a sum of sums does not: the judge can tell them apart. It errs towards passing, where noise makes the smaller one slow, so that
// some tries may be needed.
func TestLinear(t *testing.T) {
	var linear, quadratic recorder
	Linear(&linear, "linear", 10_000_000, spin)
	for range 5 {
		Linear(&quadratic, "quadratic", 3000, func(n int) {
			for range n {
				spin(n)
			}
		})
		if quadratic.failed {
			break
		}
	}
	if linear.failed || !quadratic.failed {
		t.Errorf("linear failed: %t, quadratic failed: %t; want only the second", linear.failed, quadratic.failed)
	}
}
