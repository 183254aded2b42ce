package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"
	"time"

	hf "github.com/gomlx/go-huggingface/hub"
)

// lockPoll is the time between two tries to get a lock that somebody else has.
const lockPoll = 100 * time.Millisecond

// lock makes the caller the only one, of all processes that share the cache, to write a content; huggingface_hub takes the same
// lock. It waits for another that writes it.
func (c *cache) lock(ctx context.Context, f file, notify func(string)) (unlock func(), err error) {
	at := path.Join(".locks", c.folder, f.hash+".lock")
	if err := c.root.MkdirAll(path.Dir(at), hf.DefaultDirCreationPerm); err != nil {
		return nil, fmt.Errorf("the cache for models: %w", err)
	}
	for told := false; ; {
		on, err := c.tryLock(at)
		if err != nil {
			return nil, fmt.Errorf("lock the cache for models: %w", err)
		}
		if on != nil {
			return func() { on.Close() }, nil // which unlocks; the file stays, for others may wait on it
		}
		if !told {
			told = true
			notify(fmt.Sprintf("waiting for another process that downloads %s", f.name))
		}
		if err := sleep(ctx, lockPoll); err != nil {
			return nil, err
		}
	}
}

// tryLock returns nil if somebody else has the lock, or took its file away meanwhile.
func (c *cache) tryLock(at string) (*os.File, error) {
	on, err := c.root.OpenFile(at, os.O_CREATE|os.O_RDWR, hf.DefaultFileCreationPerm)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(on.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		mine, err1 := on.Stat()
		there, err2 := c.root.Stat(at)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return on, nil
		}
	}
	on.Close()
	if err == nil || errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}
