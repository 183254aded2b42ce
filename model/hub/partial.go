package hub

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strings"

	hf "github.com/gomlx/go-huggingface/hub"
)

// partial is a content on its way: blobs/CHECKSUM.incomplete, hashed as far as it is there.
type partial struct {
	file
	cache *cache
	on    *os.File
	at    int64 // bytes that are there and hashed
	sum   hash.Hash
	tell  func(bytes int64) // of progress; negative where a beginning was thrown away
}

const copyBytes = 1 << 20

// incomplete is where the content of f grows.
func (c *cache) incomplete(f file) string { return c.path("blobs", f.hash+".incomplete") }

// partialBytes is how much of f is there.
func (c *cache) partialBytes(f file) int64 {
	info, err := c.root.Lstat(c.incomplete(f))
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return min(info.Size(), f.size)
}

// openPartial goes on with what is there. The caller has the lock.
func (c *cache) openPartial(ctx context.Context, f file, tell func(int64)) (*partial, error) {
	if err := c.root.MkdirAll(c.path("blobs"), hf.DefaultDirCreationPerm); err != nil {
		return nil, fmt.Errorf("the cache for models: %w", err)
	}
	at := c.incomplete(f)
	if info, err := c.root.Lstat(at); err == nil && !info.Mode().IsRegular() {
		if err := c.root.Remove(at); err != nil { // a link could lead into another content
			return nil, fmt.Errorf("the cache for models: %w", err)
		}
	}
	on, err := c.root.OpenFile(at, os.O_CREATE|os.O_RDWR, hf.DefaultFileCreationPerm)
	if err != nil {
		return nil, fmt.Errorf("the cache for models: %w", err)
	}
	p := &partial{file: f, cache: c, on: on, sum: f.newHash(), tell: tell}
	if err := p.rehash(ctx); err != nil {
		on.Close()
		return nil, err
	}
	return p, nil
}

// rehash reads what is there; what is too long cannot be a beginning.
func (p *partial) rehash(ctx context.Context) error {
	info, err := p.on.Stat()
	if err != nil {
		return fmt.Errorf("the cache for models: %w", err)
	}
	if info.Size() > p.size {
		return p.restart()
	}
	buffer := make([]byte, copyBytes)
	for p.at < info.Size() {
		n, err := p.on.ReadAt(buffer[:min(copyBytes, info.Size()-p.at)], p.at)
		p.sum.Write(buffer[:n])
		p.at += int64(n)
		p.tell(int64(n))
		if err := cmp.Or(ctx.Err(), err); err != nil {
			return fmt.Errorf("the cache for models: %w", err)
		}
	}
	return nil
}

// restart throws away what is there.
func (p *partial) restart() error {
	p.tell(-p.at)
	p.at, p.sum = 0, p.newHash()
	if err := p.on.Truncate(0); err != nil {
		return fmt.Errorf("the cache for models: %w", err)
	}
	return nil
}

// errChecksum says that what came is not what the hub listed.
var errChecksum = errors.New("what came is not what the hub listed; it was thrown away")

// try brings what is missing and checks the whole. A beginning from an earlier try may be what is wrong, so then another try is
// worth it; what came whole and wrong is final.
func (p *partial) try(ctx context.Context, r *resolver, commit string) error {
	resumed := p.at > 0
	if err := p.receive(ctx, r, commit); err != nil {
		return err
	}
	got := hex.EncodeToString(p.sum.Sum(nil))
	if got == p.hash {
		return nil
	}
	err := fmt.Errorf("%w (checksum %s, listed %s)", errChecksum, got, p.hash)
	if restart := p.restart(); restart != nil {
		return restart
	}
	if resumed {
		return &brokenError{error: err}
	}
	return err
}

// receive asks for the rest and writes it. Never more than the listed size is written, whatever the answer says.
func (p *partial) receive(parent context.Context, r *resolver, commit string) error {
	if p.at == p.size {
		return nil
	}
	ctx, watch := watchSilence(parent, r.stall)
	defer watch.stop()
	answer, err := r.client.open(ctx, r.name, commit, p.file, p.at)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusRequestedRangeNotSatisfiable && p.at > 0 {
		return cmp.Or(p.restart(), error(&brokenError{error: err}))
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := p.begin(answer); err != nil {
		return err
	}
	return p.copy(ctx, answer.Body, watch)
}

// begin fits the answer to what is there: a server may send all instead of the rest.
func (p *partial) begin(answer *http.Response) error {
	if answer.StatusCode == http.StatusOK && p.at > 0 {
		if err := p.restart(); err != nil {
			return err
		}
	}
	if answer.StatusCode == http.StatusPartialContent {
		from := fmt.Sprintf("bytes %d-", p.at)
		if got := answer.Header.Get("Content-Range"); !strings.HasPrefix(got, from) {
			err := &brokenError{error: fmt.Errorf("the answer holds %q instead of the rest from %d on", clip(got), p.at)}
			return cmp.Or(p.restart(), error(err))
		}
	}
	if n := answer.ContentLength; n >= 0 && n != p.size-p.at {
		err := fmt.Errorf("the answer has %d bytes where the hub listed %d: try again, and if that does not help, the file at the hub is broken", n, p.size-p.at)
		return cmp.Or(p.restart(), err)
	}
	return nil
}

// copy writes at positions, so that two writers that share no lock, as on some network file systems, write the same.
func (p *partial) copy(ctx context.Context, body io.Reader, watch *silence) error {
	buffer := make([]byte, copyBytes)
	var gained int64
	for p.at < p.size {
		n, err := body.Read(buffer[:min(copyBytes, p.size-p.at)])
		watch.heard()
		if n > 0 {
			if _, err := p.on.WriteAt(buffer[:n], p.at); err != nil {
				return fmt.Errorf("the cache for models: %w", err)
			}
			p.sum.Write(buffer[:n])
			p.at += int64(n)
			gained += int64(n)
			p.tell(int64(n))
		}
		if err != nil && p.at < p.size {
			return &brokenError{fmt.Errorf("the connection broke after %d of %d bytes: %w", p.at, p.size, cmp.Or(context.Cause(ctx), err)), gained}
		}
	}
	if n, _ := body.Read(buffer[:1]); n > 0 {
		return cmp.Or(p.restart(), fmt.Errorf("the answer goes on after the %d bytes that the hub listed", p.size))
	}
	return nil
}

// finish gives the content its name. It is on the disk before that.
func (p *partial) finish() error {
	info, err := p.on.Stat()
	if err == nil && info.Size() != p.size {
		err = fmt.Errorf("%s has %d bytes, not %d: something else writes to it", info.Name(), info.Size(), p.size)
	}
	if err == nil {
		err = p.on.Sync()
	}
	if err == nil {
		err = p.cache.root.Rename(p.cache.incomplete(p.file), p.cache.path("blobs", p.hash))
	}
	if err != nil {
		return fmt.Errorf("the cache for models: %w", err)
	}
	return nil
}

// close keeps what is there for the next time, unless nothing is.
func (p *partial) close() {
	p.on.Close()
	at := p.cache.incomplete(p.file)
	if info, err := p.cache.root.Lstat(at); err == nil && info.Size() == 0 {
		p.cache.root.Remove(at)
	}
}
