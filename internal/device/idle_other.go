//go:build !linux

package device

// runIdle does nothing: only Linux is known to have a policy for threads that run when nothing else does.
func runIdle() error { return nil }
