// Package invariant runs the self-checks of stateful cores (scheduler, page cache, stores) in builds made for finding
// faults.
//
// A core has a method `check() error` that walks its whole state and says what is inconsistent. It ends each of its
// operations with `invariant.Check(c.check)`. In a build with `-tags invariants` (make test) the check runs; in a production
// build Enabled is a false constant and the compiler removes the call. A package's own tests call check directly too,
// so that they hold without the tag.
package invariant

// Check panics with "BUG: ..." when check finds the state inconsistent. It does nothing, and does not call check, when
// Enabled is false. The caller holds whatever lock the state needs.
func Check(check func() error) {
	if !Enabled {
		return
	}
	if err := check(); err != nil {
		panic("BUG: invariant broken: " + err.Error())
	}
}
