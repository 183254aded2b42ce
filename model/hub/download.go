package hub

import (
	"context"
	"fmt"
	"sync"
)

const (
	parallelFiles = 3
	reserveBytes  = 64 << 20 // of the disk stay free
)

// download brings a commit into the cache: first the texts, among them the index of shards, then the weights. Only a commit that is
// whole becomes what its revision means.
func (r *resolver) download(ctx context.Context, l *listing) error {
	texts, err := l.texts()
	if err != nil {
		return err
	}
	if err := r.bring(ctx, l.commit, texts); err != nil {
		return err
	}
	if r.Check != nil {
		if err := r.Check(r.cache.snapshotDir(l.commit)); err != nil {
			return err
		}
	}
	weights, err := l.weights(func(index file) ([]byte, error) { return r.cache.readLinked(l.commit, index) })
	if err != nil {
		return err
	}
	if err := r.bring(ctx, l.commit, weights); err != nil {
		return err
	}
	return r.cache.record(r.name, l)
}

// bring downloads what is not there and links all of it.
func (r *resolver) bring(ctx context.Context, commit string, files []file) error {
	missing, err := r.plan(files)
	if err != nil {
		return err
	}
	if err := r.fetchAll(ctx, commit, missing); err != nil {
		return err
	}
	return r.cache.link(commit, files)
}

// plan finds what is missing, and refuses what is larger than allowed or than the disk, before the first byte comes.
func (r *resolver) plan(files []file) ([]file, error) {
	var missing []file
	var bytes, there int64
	for _, f := range files {
		if r.cache.has(f) {
			continue
		}
		missing = append(missing, f)
		if bytes += f.size; bytes < 0 || bytes > r.MaxDownloadBytes-r.plannedBytes {
			return nil, fmt.Errorf("the download has more than the %d bytes that are allowed: allow more with --max-download-bytes", r.MaxDownloadBytes)
		}
		there += r.cache.partialBytes(f)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	free, err := r.free(r.cache.root.Name())
	if err != nil {
		return nil, err
	}
	if need := bytes - there + reserveBytes; need > free {
		return nil, fmt.Errorf("the download needs %d bytes and %s has %d: make room, or set HF_HOME or HF_HUB_CACHE to a folder on a larger disk",
			need, r.cache.root.Name(), free)
	}
	r.plannedBytes += bytes
	r.meter.add(0, bytes)
	return missing, nil
}

// fetchAll downloads a few files at a time. The first failure ends the others; what they have stays for the next time.
func (r *resolver) fetchAll(parent context.Context, commit string, files []file) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	slots := make(chan struct{}, parallelFiles)
	var wg sync.WaitGroup
	for _, f := range files {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := r.fetch(ctx, commit, f); err != nil {
				cancel(fmt.Errorf("%s: %w", f.name, err)) // of several errors the first one counts
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// fetch downloads one file, unless another process has done so meanwhile.
func (r *resolver) fetch(ctx context.Context, commit string, f file) error {
	unlock, err := r.cache.lock(ctx, f, r.Notify)
	if err != nil {
		return err
	}
	defer unlock()
	if r.cache.has(f) {
		r.meter.add(f.size, 0)
		return nil
	}
	p, err := r.cache.openPartial(ctx, f, func(n int64) { r.meter.add(n, 0) })
	if err != nil {
		return err
	}
	defer p.close()
	notify := func(text string) { r.Notify(f.name + ": " + text) }
	if err := r.Retry.do(ctx, r.sleep, notify, func() error { return p.try(ctx, r, commit) }); err != nil {
		return err
	}
	return p.finish()
}

// meter adds up the progress of all files.
type meter struct {
	mu          sync.Mutex
	done, total int64
	tell        func(doneBytes, totalBytes int64)
}

func (m *meter) add(done, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += done
	m.total += total
	m.tell(m.done, m.total)
}
