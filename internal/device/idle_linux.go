package device

import (
	"fmt"
	"syscall"
	"unsafe"
)

// schedIdle is SCHED_IDLE of sched(7).
const schedIdle = 5

// runIdle gives the calling thread, and those that it starts, what other threads leave.
func runIdle() error {
	priority := struct{ value int32 }{}
	if _, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedIdle, uintptr(unsafe.Pointer(&priority))); errno != 0 {
		return fmt.Errorf("give a thread the policy SCHED_IDLE: %w", errno)
	}
	return nil
}
