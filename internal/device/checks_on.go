//go:build invariants

package device

// checkRuns makes every Run check that aliased arguments were updated in place.
var checkRuns = true
