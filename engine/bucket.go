package engine

import (
	"fmt"
	"sync"

	"astro/internal/device"
	"astro/sampler"
)

// Bucket is the shape of one compiled forward program. Rows run in the smallest one that holds them.
type Bucket struct {
	Seqs   int  // Sequences side by side
	Tokens int  // tokens fed per Sequence: 1 to decode, more to prefill
	Pages  int  // length of each page table
	Score  bool // logits of every token leave the program, not only of the last
	Embed  bool // hidden states leave it

	Steps int          // tokens that the program draws itself for each Sequence, one after the other; 0 = logits leave it
	Cuts  sampler.Cuts // that it can make then
}

// String names the program of a Bucket in logs and caches.
func (b Bucket) String() string {
	kind := "forward"
	if b.Score {
		kind = "score"
	}
	if b.Embed {
		kind += "_embed"
	}
	if b.Steps > 0 {
		return fmt.Sprintf("decode_%dx%dx%d%s", b.Seqs, b.Steps, b.Pages, b.Cuts)
	}
	return fmt.Sprintf("%s_%dx%dx%d", kind, b.Seqs, b.Tokens, b.Pages)
}

// cost is what running n Sequences in b takes, in token-pages: the measure by which a stand-in is chosen.
func (b Bucket) cost(n int) int {
	runs := (n + b.Seqs - 1) / b.Seqs
	return runs * b.Seqs * b.Tokens * (b.Pages + 8) // 8: what a token costs besides attention, in pages
}

// before orders stand-ins for n Sequences: the cheaper first, and among equals always the same one.
func (b Bucket) before(other Bucket, n int) bool {
	if d := b.cost(n) - other.cost(n); d != 0 {
		return d < 0
	}
	return b.String() < other.String()
}

func (b Bucket) holds(want Bucket) bool {
	return b.Tokens >= want.Tokens && b.Pages >= want.Pages && b.Score == want.Score && b.Embed == want.Embed &&
		b.Steps == want.Steps && (b.Cuts.TopK || !want.Cuts.TopK) && (b.Cuts.TopP || !want.Cuts.TopP)
}

// maxQueuedBuckets bounds the Buckets that wait for the background compiler; one more is compiled when it is wanted again.
const maxQueuedBuckets = 256

// buckets is the map of compiled programs. With a background compiler nobody waits for one: a Bucket that is not ready yet is
// queued and its rows run in a larger one.
type buckets struct {
	compile func(Bucket) (*device.Program, error)

	mu     sync.Mutex
	ready  map[Bucket]*device.Program
	failed map[Bucket]error
	queued map[Bucket]bool
	queue  chan Bucket // nil = compile when wanted
	done   sync.WaitGroup
}

func newBuckets(background bool, compile func(Bucket) (*device.Program, error)) *buckets {
	b := &buckets{compile: compile, ready: map[Bucket]*device.Program{}, failed: map[Bucket]error{}, queued: map[Bucket]bool{}}
	if background {
		b.queue = make(chan Bucket, maxQueuedBuckets)
		b.done.Go(b.compileQueued)
	}
	return b
}

// pick returns a ready program for n Sequences of the wanted shape: the Bucket itself, or the cheapest stand-in. It is nil where nobody is to
// wait for a compiler and the Bucket has Steps, which can be done one by one.
func (b *buckets) pick(want Bucket, n int) (Bucket, *device.Program, error) {
	b.mu.Lock()
	if p := b.ready[want]; p != nil {
		b.mu.Unlock()
		return want, p, nil
	}
	standIn, found := b.standIn(want, n)
	if b.queue != nil && found {
		b.enqueue(want)
		p := b.ready[standIn]
		b.mu.Unlock()
		return standIn, p, nil
	}
	if b.queue != nil && want.Steps > 0 {
		b.enqueue(want)
		b.mu.Unlock()
		return want, nil, nil
	}
	b.mu.Unlock()
	p, err := b.build(want)
	return want, p, err
}

// standIn is the cheapest ready Bucket that holds want; b.mu is held.
func (b *buckets) standIn(want Bucket, n int) (best Bucket, found bool) {
	for c := range b.ready {
		if c.holds(want) && (!found || c.before(best, n)) {
			best, found = c, true
		}
	}
	return best, found
}

// enqueue asks for want in the background; b.mu is held.
func (b *buckets) enqueue(want Bucket) {
	if b.queued[want] || b.failed[want] != nil {
		return
	}
	select {
	case b.queue <- want:
		b.queued[want] = true
	default: // full: it is asked for again when it is next wanted
	}
}

// warm queues Buckets before anybody wants them; without a background compiler it does nothing.
func (b *buckets) warm(list []Bucket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue == nil {
		return
	}
	for _, want := range list {
		if b.ready[want] == nil {
			b.enqueue(want)
		}
	}
}

func (b *buckets) compileQueued() {
	for want := range b.queue {
		_, err := b.build(want)
		b.mu.Lock()
		delete(b.queued, want)
		if err != nil {
			b.failed[want] = err // its rows go on in the stand-in
		}
		b.mu.Unlock()
	}
}

func (b *buckets) build(want Bucket) (*device.Program, error) {
	p, err := b.compile(want)
	if err != nil {
		return nil, fmt.Errorf("compile %v: %w", want, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if first := b.ready[want]; first != nil { // compiled twice at once: the first stays
		p.Close()
		return first, nil
	}
	b.ready[want] = p
	return p, nil
}

// count is how many programs are there, and how many wait for the compiler or are in it.
func (b *buckets) count() (ready, pending int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ready), len(b.queued)
}

// close waits for the background compiler and frees all programs.
func (b *buckets) close() {
	if b.queue != nil {
		b.drop()
		close(b.queue)
		b.done.Wait()
	}
	for _, p := range b.ready {
		p.Close()
	}
}

// drop empties the queue, so that close waits for one program at most.
func (b *buckets) drop() {
	for {
		select {
		case <-b.queue:
		default:
			return
		}
	}
}
