//go:build !invariants

package invariant

// Enabled says whether this binary was built with `-tags invariants`.
const Enabled = false
