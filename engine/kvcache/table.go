package kvcache

import "fmt"

// Table is a Sequence's pages: position p lies in page Pages()[p/PageTokens] at offset p%PageTokens. A Table may be used
// until Close, and only with the Cache that opened it.
type Table struct {
	chain     *Chain
	pages     []int32
	published int // leading pages that are in the index, or whose twin was there when they were computed
	closed    bool
}

// Chain holds the keys of the Table's pages; a Sequence keeps it when it loses the Table.
func (t *Table) Chain() *Chain { return t.chain }

// Pages is the page table. It is read only, and valid until the next call with this Table.
func (t *Table) Pages() []int32 { return t.pages }

// Open returns a Table that holds the longest cached Prefix of tokens in the chain's Space that is at most limit tokens
// long, and how many tokens that is (a multiple of PageTokens).
func (c *Cache) Open(chain *Chain, tokens []int32, limit int) (*Table, int) {
	t := &Table{chain: chain}
	if c.cfg.Prefixes && chain.space.Version == c.version {
		for i := range min(limit, len(tokens)) / c.cfg.PageTokens {
			p, ok := c.index[chain.key(tokens, i)]
			if !ok {
				break
			}
			c.hold(p)
			t.pages = append(t.pages, p)
		}
	}
	t.published = len(t.pages)
	c.check()
	return t, len(t.pages) * c.cfg.PageTokens
}

// Fork returns a Table that shares the pages of t's first tokens positions, the last page of them maybe partially filled.
func (c *Cache) Fork(t *Table, tokens int) *Table {
	n := c.PagesFor(tokens)
	if n > len(t.pages) {
		panic(fmt.Sprintf("BUG: a fork of %d pages of a table of %d", n, len(t.pages)))
	}
	fork := &Table{chain: t.chain.fork(tokens), pages: append([]int32(nil), t.pages[:n]...)}
	fork.published = min(t.published, tokens/c.cfg.PageTokens)
	for _, p := range fork.pages {
		c.hold(p)
	}
	c.check()
	return fork
}

// Missing is the number of pages that Reserve(t, start, end) would take: new ones, and copies of shared ones.
func (c *Cache) Missing(t *Table, start, end int) int {
	n := max(0, c.PagesFor(end)-len(t.pages))
	for i := start / c.cfg.PageTokens; i < min(c.PagesFor(end), len(t.pages)); i++ {
		if c.pages[t.pages[i]].refs > 1 {
			n++
		}
	}
	return n
}

// Reserve makes positions start to end-1 of t writable: it adds pages, and replaces pages that other Tables hold too by
// copies of its own. Positions before start keep their content once the copies returned have been made. It panics if
// Missing(t, start, end) > Available().
func (c *Cache) Reserve(t *Table, start, end int) []Copy {
	if need := c.Missing(t, start, end); need > c.Available() || t.closed {
		panic(fmt.Sprintf("BUG: Reserve needs %d pages; %d are available (closed table: %v)", need, c.Available(), t.closed))
	}
	var copies []Copy
	for i := start / c.cfg.PageTokens; i < c.PagesFor(end); i++ {
		switch {
		case i >= len(t.pages):
			t.pages = append(t.pages, c.take())
		case c.pages[t.pages[i]].refs > 1:
			own := Copy{From: t.pages[i], To: c.take()}
			c.release(own.From)
			t.pages[i] = own.To
			copies = append(copies, own)
		case c.pages[t.pages[i]].indexed: // its content is about to change
			c.forget(t.pages[i])
		}
	}
	t.published = min(t.published, start/c.cfg.PageTokens)
	c.check()
	return copies
}

// Publish says that the pages of tokens have been computed: those that are full become Prefix pages, which later Tables
// can match. tokens are t's, from position 0. A page whose key another page has already stays private.
func (c *Cache) Publish(t *Table, tokens []int32) {
	if !c.cfg.Prefixes || t.chain.space.Version != c.version {
		return
	}
	for ; t.published < len(tokens)/c.cfg.PageTokens; t.published++ {
		pg := &c.pages[t.pages[t.published]]
		key := t.chain.key(tokens, t.published)
		if _, twin := c.index[key]; !twin && !pg.indexed {
			pg.indexed, pg.key = true, key
			c.index[key] = t.pages[t.published]
		}
	}
	c.check()
}

// Close drops the Table's references, the last page's first: of one Prefix, the tail is then evicted before the head.
func (c *Cache) Close(t *Table) {
	if t.closed {
		panic("BUG: a Table was closed twice")
	}
	t.closed = true
	for i := len(t.pages) - 1; i >= 0; i-- {
		c.release(t.pages[i])
	}
	t.pages = nil
	c.check()
}
