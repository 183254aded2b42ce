package kvcache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// pair runs every operation on the Cache and on the naive reference and wants the same answer.
type pair struct {
	t      *testing.T
	fast   *Cache
	slow   *naive
	tables []*Table
	slows  []*naiveTable
	texts  [][]int32 // tokens of each table; the first done[i] are computed
	done   []int
}

func newPair(t *testing.T, cfg Config) *pair {
	return &pair{t: t, fast: New(cfg, 1), slow: newNaive(cfg, 1)}
}

func (p *pair) open(space Space, text []int32, limit int) {
	fast, n := p.fast.Open(p.fast.Chain(space), text, limit)
	slow, m := p.slow.open(space, text, limit)
	if n != m || !slices.Equal(fast.pages, slow.pages) {
		p.t.Fatalf("open: %d tokens in pages %v; want %d in %v", n, fast.pages, m, slow.pages)
	}
	p.add(fast, slow, text, n)
}

func (p *pair) add(fast *Table, slow *naiveTable, text []int32, done int) {
	p.tables, p.slows = append(p.tables, fast), append(p.slows, slow)
	p.texts, p.done = append(p.texts, text), append(p.done, done)
}

func (p *pair) fork(i, tokens int, text []int32) {
	p.add(p.fast.Fork(p.tables[i], tokens), p.slow.fork(p.slows[i], tokens), text, tokens)
}

// compute reserves and publishes the next n tokens of table i, if they fit.
func (p *pair) compute(i, n int) bool {
	start, end := p.done[i], p.done[i]+n
	if p.fast.Missing(p.tables[i], start, end) > p.fast.Available() {
		return false
	}
	fast, slow := p.fast.Reserve(p.tables[i], start, end), p.slow.reserve(p.slows[i], start, end)
	if !slices.Equal(fast, slow) || !slices.Equal(p.tables[i].pages, p.slows[i].pages) {
		p.t.Fatalf("reserve: copies %v, pages %v; want %v, %v", fast, p.tables[i].pages, slow, p.slows[i].pages)
	}
	p.done[i] = end
	p.fast.Publish(p.tables[i], p.texts[i][:end])
	p.slow.publish(p.slows[i], p.texts[i][:end])
	return true
}

func (p *pair) close(i int) {
	p.fast.Close(p.tables[i])
	p.slow.close(p.slows[i])
	p.tables, p.slows = slices.Delete(p.tables, i, i+1), slices.Delete(p.slows, i, i+1)
	p.texts, p.done = slices.Delete(p.texts, i, i+1), slices.Delete(p.done, i, i+1)
}

func (p *pair) swap(version int64) {
	p.fast.Swap(version)
	p.slow.swap(version)
}

func (p *pair) check() {
	p.t.Helper()
	if err := p.fast.Check(append([]*Table{}, p.tables...)); err != nil {
		p.t.Fatal(err)
	}
	if got, want := p.fast.Counts(), p.slow.counts(); got != want {
		p.t.Fatalf("%+v; want %+v", got, want)
	}
}

// TestAgainstNaive runs random operations; few distinct tokens make many equal Prefixes.
func TestAgainstNaive(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := Config{Pages: 1 + rng.IntN(20), PageTokens: 1 + rng.IntN(5), Prefixes: rng.IntN(4) > 0, Secret: []byte("s")}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := newPair(t, cfg)
			for range 150 {
				p.step(rng)
				p.check()
			}
		})
	}
}

func (p *pair) step(rng *rand.Rand) {
	space := Space{Version: p.fast.version - int64(rng.IntN(8)/7), Salt: []string{"", "a"}[rng.IntN(2)]}
	i := 0
	if len(p.tables) > 0 {
		i = rng.IntN(len(p.tables))
	}
	switch op := rng.IntN(20); {
	case op < 5 || len(p.tables) == 0:
		text := randomText(rng)
		p.open(space, text, rng.IntN(len(text)))
	case op < 13:
		if left := len(p.texts[i]) - p.done[i]; left > 0 {
			p.compute(i, 1+rng.IntN(left))
		}
	case op < 15:
		shared := rng.IntN(p.done[i] + 1)
		p.fork(i, shared, append(slices.Clone(p.texts[i][:shared]), randomText(rng)...))
	case op < 19:
		p.close(i)
	default:
		p.swap(p.fast.version + 1)
	}
}

func randomText(rng *rand.Rand) []int32 {
	text := make([]int32, 1+rng.IntN(24))
	for i := range text {
		text[i] = int32(rng.IntN(10) / 9) // nearly always 0
	}
	return text
}

// TestSec_R20PrefixIsSharedWithinOneSpaceOnly: the same tokens match for the same Version and salt, never across them, and
// never all of a prompt whose last token must be computed.
func TestSec_R20PrefixIsSharedWithinOneSpaceOnly(t *testing.T) {
	p := newPair(t, Config{Pages: 8, PageTokens: 2, Prefixes: true})
	text := []int32{5, 6, 7, 8}
	matched := func(space Space) int {
		p.open(space, text, len(text)-1)
		return p.done[len(p.done)-1]
	}
	matched(Space{Version: 1, Salt: "a"})
	p.compute(0, 4)
	for _, c := range []struct {
		space Space
		want  int
	}{{Space{1, "a"}, 2}, {Space{1, "b"}, 0}, {Space{2, "a"}, 0}, {Space{1, ""}, 0}} {
		if got := matched(c.space); got != c.want {
			t.Errorf("%+v matched %d tokens; want %d", c.space, got, c.want)
		}
	}
	p.swap(2)
	if got := matched(Space{1, "a"}) + matched(Space{2, "a"}); got != 0 {
		t.Errorf("after a swap %d tokens matched; want 0", got)
	}
}

// TestForkCopiesTheSharedLastPageOnWrite: three samples share a prompt of one and a half pages; two get a copy of the half
// filled page when they write, the last one finds itself alone and writes in place.
func TestForkCopiesTheSharedLastPageOnWrite(t *testing.T) {
	p := newPair(t, Config{Pages: 8, PageTokens: 2, Prefixes: true})
	text := []int32{1, 2, 3, 4, 5}
	p.open(Space{Version: 1}, text, 0)
	p.compute(0, 3)
	p.fork(0, 3, text)
	p.fork(0, 3, text)
	if got := p.fast.Counts(); got.Held != 2 {
		t.Fatalf("three samples hold %d pages; want the 2 they share", got.Held)
	}
	copies := 0
	for i := range 3 {
		before := p.tables[i].pages[1]
		p.compute(i, 1)
		if p.tables[i].pages[1] != before {
			copies++
		}
	}
	if got := p.fast.Counts(); copies != 2 || got.Held != 4 {
		t.Fatalf("%d copies, %d pages held; want 2 and 4", copies, got.Held)
	}
	p.check()
}

// TestTailIsEvictedBeforeHead: when pages run out, the end of an old Prefix goes first, so that its head still matches.
func TestTailIsEvictedBeforeHead(t *testing.T) {
	p := newPair(t, Config{Pages: 3, PageTokens: 1, Prefixes: true})
	p.open(Space{Version: 1}, []int32{1, 2, 3}, 0)
	p.compute(0, 3)
	p.close(0)
	p.open(Space{Version: 1}, []int32{9}, 0)
	p.compute(0, 1)
	p.open(Space{Version: 1}, []int32{1, 2, 3}, 3)
	if got := p.done[1]; got != 2 {
		t.Fatalf("%d tokens matched; want 2", got)
	}
	if p.fast.Evictions() != 1 {
		t.Fatalf("%d evictions; want 1", p.fast.Evictions())
	}
}

// TestSec_R30MisuseIsABug: what must never happen panics and says so.
func TestSec_R30MisuseIsABug(t *testing.T) {
	c := New(Config{Pages: 1, PageTokens: 1}, 1)
	table, _ := c.Open(c.Chain(Space{Version: 1}), nil, 0)
	wantPanic(t, "too many pages", func() { c.Reserve(table, 0, 2) })
	c.Close(table)
	wantPanic(t, "closed twice", func() { c.Close(table) })
	wantPanic(t, "no pages at all", func() { New(Config{PageTokens: 1}, 1) })
}

func wantPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

// BenchmarkOpenLongPrompt is the cost of matching 4,096 tokens whose keys are known, page by page.
func BenchmarkOpenLongPrompt(b *testing.B) {
	c := New(Config{Pages: 512, PageTokens: 16, Prefixes: true}, 1)
	text := make([]int32, 4096)
	chain := c.Chain(Space{Version: 1})
	table, _ := c.Open(chain, text, 0)
	c.Reserve(table, 0, len(text))
	c.Publish(table, text)
	for b.Loop() {
		t, _ := c.Open(chain, text, len(text)-1)
		c.Close(t)
	}
}
