//go:build fault

package fault

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	wanted, times = parse(os.Getenv("ASTRO_FAULT"))
	passed        atomic.Int64
)

func parse(text string) (name string, n int64) {
	name, count, found := strings.Cut(text, ":")
	if !found {
		return name, 1
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		panic("BUG: ASTRO_FAULT got " + text + "; want NAME:N")
	}
	return name, n
}

// Point ends the process if it is the one that was asked for.
func Point(name string) {
	if name != wanted || passed.Add(1) != times {
		return
	}
	_, _ = os.Stderr.WriteString("killed at " + name + "\n") // so that a test knows that it was here
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until it is dead
}
