//go:build !invariants

package device

// checkRuns makes every Run check that aliased arguments were updated in place. Tests of this package set it.
var checkRuns = false
