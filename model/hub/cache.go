package hub

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"astro/internal/smallfile"

	hf "github.com/gomlx/go-huggingface/hub"
)

// cache is the folder of one model in the layout of huggingface_hub: blobs/CHECKSUM holds contents, snapshots/COMMIT/NAME are
// links to them, refs/REVISION says which commit a branch was at, and info/COMMIT (of go-huggingface) is the hub's answer about
// that. Everything is opened through a root, so that neither a name nor a link leads out of the cache.
type cache struct {
	root   *os.Root // of the cache of all models
	folder string   // of this model, in it
}

// rehashBytes is the size up to which a file of the cache is hashed again with each use. Larger ones were hashed when they came, and
// their size is compared.
const rehashBytes = 32 << 20

const maxRefBytes = 1024

// openCache makes the cache's folder if create says so.
func openCache(dir string, n Name, create bool) (*cache, error) {
	dir, err := filepath.Abs(dir)
	if err == nil && create {
		err = os.MkdirAll(dir, hf.DefaultDirCreationPerm)
	}
	var root *os.Root
	if err == nil {
		root, err = os.OpenRoot(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("the cache for models cannot be used (%w): set HF_HOME or HF_HUB_CACHE to another folder", err)
	}
	return &cache{root, strings.Join([]string{string(hf.RepoTypeModel), n.Owner, n.Model}, hf.RepoIdSeparator)}, nil
}

func (c *cache) close() { c.root.Close() }

func (c *cache) path(parts ...string) string {
	return path.Join(append([]string{c.folder}, parts...)...)
}

// snapshotDir is the folder that a loader opens.
func (c *cache) snapshotDir(commit string) string {
	return filepath.Join(c.root.Name(), c.folder, "snapshots", commit)
}

// ref is the commit that a branch or tag was at when it was last downloaded.
func (c *cache) ref(revision string) (string, error) {
	text, err := c.read(c.path("refs", revision), maxRefBytes)
	if err != nil {
		return "", fmt.Errorf("revision %s %w", revision, errAbsent)
	}
	commit := strings.TrimSpace(string(text))
	if !commitForm.MatchString(commit) {
		return "", fmt.Errorf("the cache says that revision %s is commit %q", revision, clip(commit))
	}
	return commit, nil
}

// listing is what was downloaded of a commit: as the hub said, or, where another program filled the cache, as the links say.
func (c *cache) listing(commit string) (*listing, error) {
	if raw, err := c.read(c.path("info", commit), maxListingBytes); err == nil {
		if l, err := parseListing(raw); err == nil && l.commit == commit {
			return l, nil
		}
	}
	return c.linkedListing(commit)
}

func (c *cache) linkedListing(commit string) (*listing, error) {
	l := &listing{commit: commit, files: map[string]file{}}
	entries, err := fs.ReadDir(c.root.FS(), c.path("snapshots", commit))
	if err != nil {
		return nil, fmt.Errorf("commit %s %w", commit, errAbsent)
	}
	for _, e := range entries {
		if !wanted(e.Name()) {
			continue
		}
		f := file{name: e.Name(), size: -1}
		if to, err := c.root.Readlink(c.path("snapshots", commit, f.name)); err == nil {
			f.hash = path.Base(to)
		}
		l.files[f.name] = f
	}
	return l, nil
}

// linked says whether a snapshot's file is there and whole, and else why not.
func (c *cache) linked(commit string, f file) error {
	return c.whole(c.path("snapshots", commit, f.name), f)
}

// has says whether the content is there and whole.
func (c *cache) has(f file) bool { return c.whole(c.path("blobs", f.hash), f) == nil }

func (c *cache) whole(at string, f file) error {
	on, err := c.root.Open(at)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s %w", f.name, errAbsent)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	defer on.Close()
	info, err := on.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", f.name, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", f.name)
	case f.size >= 0 && info.Size() != f.size:
		return fmt.Errorf("%s has %d bytes of %d", f.name, info.Size(), f.size)
	case info.Size() > rehashBytes || !commitForm.MatchString(f.hash) && !sha256Form.MatchString(f.hash):
		return nil
	}
	f.size = info.Size()
	sum := f.newHash()
	if _, err := io.Copy(sum, io.LimitReader(on, rehashBytes)); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.hash {
		return fmt.Errorf("%s has checksum %s, not %s", f.name, got, f.hash)
	}
	return nil
}

// readLinked reads a snapshot's small file.
func (c *cache) readLinked(commit string, f file) ([]byte, error) {
	text, err := c.read(c.path("snapshots", commit, f.name), maxTextBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return text, nil
}

func (c *cache) read(at string, limit int64) ([]byte, error) {
	f, err := c.root.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return smallfile.ReadAll(f, at, limit)
}

// link puts files into a commit's snapshot.
func (c *cache) link(commit string, files []file) error {
	for _, f := range files {
		at, to := c.path("snapshots", commit, f.name), path.Join("..", "..", "blobs", f.hash)
		if now, err := c.root.Readlink(at); err == nil && now == to {
			continue
		}
		if err := c.replace(at, func(temporary string) error { return c.root.Symlink(to, temporary) }); err != nil {
			return err
		}
	}
	return nil
}

// record keeps what the hub said of a commit, and which commit the revision is, once all of it is there.
func (c *cache) record(n Name, l *listing) error {
	if err := c.write(c.path("info", l.commit), l.raw); err != nil {
		return err
	}
	if n.Pinned() {
		return nil
	}
	return c.write(c.path("refs", n.Revision), []byte(l.commit))
}

// write replaces a small file, unless that is what it holds.
func (c *cache) write(at string, text []byte) error {
	if now, err := c.read(at, maxListingBytes); err == nil && bytes.Equal(now, text) {
		return nil
	}
	return c.replace(at, func(temporary string) error { return c.root.WriteFile(temporary, text, hf.DefaultFileCreationPerm) })
}

// replace makes a file or link under another name and then gives it its own, so that nobody sees half of it.
func (c *cache) replace(at string, make func(temporary string) error) error {
	if err := c.root.MkdirAll(path.Dir(at), hf.DefaultDirCreationPerm); err != nil {
		return fmt.Errorf("the cache for models: %w", err)
	}
	temporary := fmt.Sprintf("%s.%016x.tmp", at, rand.Uint64())
	err := make(temporary)
	if err == nil {
		err = c.root.Rename(temporary, at)
	}
	if err != nil {
		c.root.Remove(temporary)
		return fmt.Errorf("the cache for models: %w", err)
	}
	return nil
}

// freeBytes is what the file system of dir has left for us.
func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("how much room %s has: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
