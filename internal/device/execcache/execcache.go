// Package execcache keeps compiled executables on disk between processes, in a private directory, up to a number of bytes.
//
// A file is magic, SHA-256 of the payload, payload. The checksum is not against an attacker (who could write the directory could
// also replace the program) but against damage: a plugin that loads a damaged executable may abort the process or run it.
package execcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	magic      = "astroEX1"
	headBytes  = len(magic) + sha256.Size
	suffix     = ".exec"
	dirMode    = 0o700
	fileMode   = 0o600
	staleAfter = time.Hour // a temporary file this old belongs to a process that died
)

// Cache is a directory of executables. It may be used from many goroutines, and by many processes at once.
type Cache struct {
	dir        string
	limitBytes int64
	evicting   sync.Mutex
	stats      struct{ hits, misses, damaged, stored, failed atomic.Int64 }
}

// Stats counts what happened since Open.
type Stats struct{ Hits, Misses, Damaged, Stored, Failed int64 }

// Key names an executable by the SHA-256 of everything it depends on.
type Key [sha256.Size]byte

// NewKey hashes the parts; their borders count, so ("ab", "c") and ("a", "bc") differ.
func NewKey(parts ...string) Key {
	h := sha256.New()
	for _, p := range parts {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write([]byte(p))
	}
	return Key(h.Sum(nil))
}

// Open makes the directory if needed, with mode 0700, and keeps at most limitBytes in it, dropping what was used least recently.
// A directory that others may write is refused: its content is code that this process will run.
func Open(dir string, limitBytes int64) (*Cache, error) {
	if limitBytes <= 0 {
		panic(fmt.Sprintf("BUG: executable cache of %d bytes; want at least 1", limitBytes))
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("make the executable cache: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open the executable cache: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open the executable cache: %s is not a directory", dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("open the executable cache: others may write %s (mode %o), and it holds code; run chmod 700 %s",
			dir, info.Mode().Perm(), dir)
	}
	return &Cache{dir: dir, limitBytes: limitBytes}, nil
}

// Dir is where the files are.
func (c *Cache) Dir() string { return c.dir }

// Stats returns the counts so far.
func (c *Cache) Stats() Stats {
	s := &c.stats
	return Stats{s.hits.Load(), s.misses.Load(), s.damaged.Load(), s.stored.Load(), s.failed.Load()}
}

func (c *Cache) file(k Key) string { return filepath.Join(c.dir, hex.EncodeToString(k[:])+suffix) }

// Get reads an executable. A damaged file is removed and counts as absent.
func (c *Cache) Get(k Key) ([]byte, bool) {
	file := c.file(k)
	data, err := os.ReadFile(file)
	if err != nil {
		c.stats.misses.Add(1)
		return nil, false
	}
	payload, ok := unwrap(data)
	if !ok {
		c.stats.damaged.Add(1)
		os.Remove(file)
		return nil, false
	}
	c.stats.hits.Add(1)
	now := time.Now()
	os.Chtimes(file, now, now) // the order of eviction; a cache on a read-only disk just loses the order
	return payload, true
}

// Put writes an executable under a temporary name and renames it, so that readers see all of it or nothing. What does not fit is
// dropped: the caller has the executable already.
func (c *Cache) Put(k Key, payload []byte) {
	if int64(headBytes+len(payload)) > c.limitBytes || c.write(k, payload) != nil {
		c.stats.failed.Add(1)
		return
	}
	c.stats.stored.Add(1)
	c.evict()
}

func (c *Cache) write(k Key, payload []byte) error {
	f, err := os.CreateTemp(c.dir, "tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(wrap(payload))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(f.Name(), fileMode)
	}
	if err == nil {
		err = os.Rename(f.Name(), c.file(k))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func wrap(payload []byte) []byte {
	sum := sha256.Sum256(payload)
	return slices.Concat([]byte(magic), sum[:], payload)
}

func unwrap(data []byte) ([]byte, bool) {
	if len(data) < headBytes || string(data[:len(magic)]) != magic {
		return nil, false
	}
	payload := data[headBytes:]
	sum := sha256.Sum256(payload)
	return payload, bytes.Equal(sum[:], data[len(magic):headBytes])
}

// evict removes files, the longest unused first, until the rest fits.
func (c *Cache) evict() {
	c.evicting.Lock()
	defer c.evicting.Unlock()
	files, total := c.list()
	for _, f := range files {
		if total <= c.limitBytes {
			return
		}
		if os.Remove(filepath.Join(c.dir, f.Name())) == nil {
			total -= f.Size()
		}
	}
}

// list returns the executables, the longest unused first, and their size in bytes. It clears up what dead processes left.
func (c *Cache) list() ([]os.FileInfo, int64) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, 0
	}
	var files []os.FileInfo
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil { // another process was faster
			continue
		}
		switch {
		case strings.HasSuffix(e.Name(), suffix):
			files = append(files, info)
			total += info.Size()
		case strings.HasPrefix(e.Name(), "tmp-") && time.Since(info.ModTime()) > staleAfter:
			os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	return files, total
}
