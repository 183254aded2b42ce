package feedback

import (
	"errors"
	"os"
)

// afterCommit copies the write-ahead log into the file when much of it has not been. No other connection ever does. A passive copy waits
// for nobody; what readers still need stays in the log, which begins anew once all of it is copied and nobody reads it.
func (s *Store) afterCommit() {
	long, copied, err := s.checkpoint("NOOP")
	if err == nil && long-copied > logCopyBytes {
		_, _, _ = s.checkpoint("PASSIVE") // where it fails the log stays, and the next commit tries again
	}
	if err == nil {
		s.stats.count(func(n *Stats) { n.LogBytes = long })
		s.views.endBefore(long, s.options.maxLogBytes)
	}
	if info, err := os.Stat(s.path); err == nil {
		s.stats.count(func(n *Stats) { n.Bytes = info.Size() })
	}
}

// checkpoint runs one and says how long the log is and how much of it is in the file, in bytes.
func (s *Store) checkpoint(mode string) (long, copied int64, err error) {
	busy := 0
	err = classify(s.write.QueryRow("PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &long, &copied))
	if errors.Is(err, ErrBroken) {
		s.stats.count(func(n *Stats) { n.Broken = true })
	}
	return long * pageBytes, copied * pageBytes, err
}
