package feedback

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// takeLock takes the lock of a store for this process; it ends with the file's Close, or with the process.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoWrite, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w; the store needs a file system with flock", path, err)
		}
		return nil, fmt.Errorf("%s has it open; stop that one first", owner(f))
	}
	if err := mark(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %w", errNoWrite, err)
	}
	return f, nil
}

// owner names the process that holds the lock.
func owner(f *os.File) string {
	text, _ := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(text)); pid != "" {
		return "process " + pid
	}
	return "another process" // that has not written its number yet
}

// mark writes this process's number.
func mark(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}
