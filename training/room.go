package training

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"astro/feedback"
)

// What learning leaves of the disk to completions and feedback: a twentieth, and at most maxReservedBytes.
const (
	reservedShare    = 20
	maxReservedBytes = 1 << 30
	momentsOf        = 3 // a checkpoint has weights and two moments
	roomFor          = 2 // checkpoints: the next one, and the one that it may replace
)

// errNoRoom says that the disk has no space for a checkpoint, or is gone.
var errNoRoom = errors.New("there is no room for a checkpoint")

// room says whether the disk has space for learning; an update that could not be stored is not worth its time.
func (p *Policies) room() error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(p.config.Dir, &disk); err != nil {
		return fmt.Errorf("%w: %s: %w", errNoRoom, p.config.Dir, err)
	}
	free, total := uint64(disk.Bavail)*uint64(disk.Bsize), uint64(disk.Blocks)*uint64(disk.Bsize)
	if want := roomWanted(total, p.checkpointBytes); free < want {
		return fmt.Errorf("%w: %d MiB are free on the disk of the store, %d MiB are wanted", errNoRoom, free>>20, want>>20+1)
	}
	return nil
}

func roomWanted(totalBytes, checkpointBytes uint64) uint64 {
	return max(min(totalBytes/reservedShare, maxReservedBytes), roomFor*checkpointBytes)
}

// ofTheDisk says that an error is the disk's, full or not to be written: another try is worth it when somebody has made space, and
// until then nothing is wrong with what is learned.
func ofTheDisk(err error) bool {
	for _, known := range []error{errNoRoom, feedback.ErrUnavailable, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, fs.ErrPermission} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// patience is how long a Loop waits before its next try after failures in a row. Asking for space costs nothing.
func patience(err error, failures int) time.Duration {
	if errors.Is(err, errNoRoom) {
		return time.Second
	}
	return backOff(failures)
}

// hinder tells that the disk stops learning, once for each time that it does.
func (l *Loop) hinder(err error) {
	l.drop() // the next try begins with what is on disk
	if l.status.hinder("the disk hinders learning, which goes on by itself when that is over: " + err.Error()) {
		l.status.failed()
		l.log.Warn("learning waits for the disk; serving goes on", "error", err)
	}
}

// freed tells that nothing stops learning any more.
func (l *Loop) freed() {
	if l.status.freed() {
		l.log.Info("learning goes on: what hindered it is over")
	}
}
