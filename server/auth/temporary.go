package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxEnded bounds how many secrets of sessions that ended are remembered; the oldest are forgotten first.
const maxEnded = 4096

// Temporary holds the keys of sessions: they come and go while a server runs and stand in no file. The hash of a secret finds its key.
// Methods may be called from any goroutine.
type Temporary struct {
	mu    sync.Mutex
	open  map[[sha256.Size]byte]*Key
	ids   map[string]bool // of open
	ended map[[sha256.Size]byte]bool
	order [][sha256.Size]byte // of ended, oldest first
}

// NewTemporary holds no key.
func NewTemporary() *Temporary {
	return &Temporary{open: map[[sha256.Size]byte]*Key{}, ids: map[string]bool{}, ended: map[[sha256.Size]byte]bool{}}
}

// Add makes a key findable by the SHA-256 of its secret. Keys that have expired by now are dropped.
func (t *Temporary) Add(sum [sha256.Size]byte, k Key, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, known := range t.open {
		if !known.Live(now) {
			t.forget(old)
		}
	}
	t.open[sum], t.ids[k.ID] = &k, true // also if a client brings the key of an earlier session
}

// Find returns the key of a secret: ErrUnknown, or ErrExpired for one whose session is over.
func (t *Temporary) Find(secret string, now time.Time) (*Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open)+len(t.ended) == 0 {
		return nil, ErrUnknown
	}
	sum := sha256.Sum256([]byte(secret))
	k := t.open[sum]
	switch {
	case k != nil && k.Live(now):
		return k, nil
	case k != nil || t.ended[sum]:
		return nil, ErrExpired
	}
	return nil, ErrUnknown
}

// End makes the key of a session worthless.
func (t *Temporary) End(session string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for sum, k := range t.open {
		if k.Session == session {
			t.forget(sum)
		}
	}
}

// forget remembers only that there was such a key.
func (t *Temporary) forget(sum [sha256.Size]byte) {
	delete(t.ids, t.open[sum].ID)
	delete(t.open, sum)
	if t.ended[sum] {
		return
	}
	if len(t.order) == maxEnded {
		delete(t.ended, t.order[0])
		t.order = append(t.order[:0], t.order[1:]...)
	}
	t.ended[sum] = true
	t.order = append(t.order, sum)
}

// Has says whether a key of that id is there.
func (t *Temporary) Has(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ids[id]
}

// Live counts the keys that have not expired.
func (t *Temporary) Live(now time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.open {
		if k.Live(now) {
			n++
		}
	}
	return n
}

// Soonest is when the first of the keys expires; zero = there is none.
func (t *Temporary) Soonest() (soonest time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.open {
		if soonest.IsZero() || k.Expires.Before(soonest) {
			soonest = k.Expires
		}
	}
	return soonest
}

// Count is the number of keys, and of those that are remembered as ended.
func (t *Temporary) Count() (open, ended int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open), len(t.order)
}
