// Package kvcache counts the pages of the KV cache: who holds which, which may be shared, which may be evicted.
//
// It handles integers only. A page is a fixed run of token positions in the K and V pools of every layer; the pools
// themselves belong to the runner. A page is always in exactly one of three states:
//
//	free    nobody holds it and nothing useful is in it
//	cached  nobody holds it, but it is a Prefix page that a later Table may match; it is evicted when pages run out
//	held    one Table or more refer to it
//
// free + cached + held == Config.Pages after every operation.
package kvcache

import (
	"errors"
	"fmt"
)

// Config says how big the cache is. It does not change.
type Config struct {
	Pages      int    // pages in the pools, at least 1
	PageTokens int    // token positions in a page, at least 1
	Prefixes   bool   // share full pages of equal Prefixes; false = every Table computes its own
	Secret     []byte // keys the hash chain, so that a client who knows the code cannot guess keys; may be empty
}

// Validate says what is wrong with the Config.
func (c Config) Validate() error {
	switch {
	case c.Pages < 1:
		return fmt.Errorf("kvcache: Pages must be at least 1, got %d", c.Pages)
	case c.PageTokens < 1:
		return fmt.Errorf("kvcache: PageTokens must be at least 1, got %d", c.PageTokens)
	case c.Pages > 1<<31-1:
		return errors.New("kvcache: Pages must fit in 31 bits")
	}
	return nil
}

// Counts is how many pages are in each state.
type Counts struct{ Free, Cached, Held int }

// Copy duplicates the content of page From in page To.
type Copy struct{ From, To int32 }

// none ends the linked list of cached pages.
const none = int32(-1)

// page is the state of one page. refs counts the Tables that hold it; indexed means that index[key] is this page.
// prev and next link the cached pages (refs == 0 and indexed), the least recently used first.
type page struct {
	refs       int32
	indexed    bool
	key        Key
	prev, next int32
}

// Cache hands out, shares, evicts and counts pages. It is not safe for concurrent use.
type Cache struct {
	cfg       Config
	pages     []page
	free      []int32 // a stack; the next page to hand out is the last
	index     map[Key]int32
	oldest    int32 // cached page that is evicted next
	newest    int32
	cached    int
	version   int64 // of the current Policy: only its pages are indexed
	evictions uint64
}

// New returns a cache whose pages are all free. version is the current Policy's. It panics if cfg is not valid.
func New(cfg Config, version int64) *Cache {
	if err := cfg.Validate(); err != nil {
		panic("BUG: " + err.Error())
	}
	c := &Cache{cfg: cfg, version: version, oldest: none, newest: none}
	c.pages = make([]page, cfg.Pages)
	c.index = make(map[Key]int32)
	for p := cfg.Pages - 1; p >= 0; p-- {
		c.pages[p].prev, c.pages[p].next = none, none
		c.free = append(c.free, int32(p))
	}
	return c
}

// Counts returns the number of pages in each state.
func (c *Cache) Counts() Counts {
	return Counts{Free: len(c.free), Cached: c.cached, Held: c.cfg.Pages - len(c.free) - c.cached}
}

// Available is the number of pages that can be handed out now: the free ones and the cached ones.
func (c *Cache) Available() int { return len(c.free) + c.cached }

// Evictions counts the cached pages that were given to somebody else since the start.
func (c *Cache) Evictions() uint64 { return c.evictions }

// PagesFor is the number of pages that cover positions 0 to tokens-1.
func (c *Cache) PagesFor(tokens int) int { return (tokens + c.cfg.PageTokens - 1) / c.cfg.PageTokens }

// Swap makes version the current one. All Prefix pages leave the index: cached ones are free at once, held ones when
// their last Table closes. A stale Prefix can therefore not be matched, whatever its key.
func (c *Cache) Swap(version int64) {
	for c.oldest != none {
		p := c.oldest
		c.unlink(p)
		c.forget(p)
		c.free = append(c.free, p)
	}
	for p := range c.pages {
		if c.pages[p].indexed {
			c.forget(int32(p))
		}
	}
	c.version = version
	c.check()
}

// take hands out one page with one reference: a free one, else the least recently used cached one.
func (c *Cache) take() int32 {
	var p int32
	switch {
	case len(c.free) > 0:
		p = c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
	case c.oldest != none:
		p = c.oldest
		c.unlink(p)
		c.forget(p)
		c.evictions++
	default:
		panic("BUG: a page was taken though none is available")
	}
	c.pages[p].refs = 1
	return p
}

// hold adds a reference; a cached page becomes a held one.
func (c *Cache) hold(p int32) {
	if c.pages[p].refs == 0 {
		c.unlink(p)
	}
	c.pages[p].refs++
}

// release drops a reference; without one left, a Prefix page is cached and any other is free.
func (c *Cache) release(p int32) {
	pg := &c.pages[p]
	if pg.refs < 1 {
		panic(fmt.Sprintf("BUG: page %d was released with %d references; want at least 1", p, pg.refs))
	}
	pg.refs--
	switch {
	case pg.refs > 0:
	case pg.indexed:
		c.link(p)
	default:
		c.free = append(c.free, p)
	}
}

// forget takes a page out of the index.
func (c *Cache) forget(p int32) {
	delete(c.index, c.pages[p].key)
	c.pages[p].indexed = false
	c.pages[p].key = Key{}
}

// link puts a page at the newest end of the cached list.
func (c *Cache) link(p int32) {
	c.pages[p].prev, c.pages[p].next = c.newest, none
	if c.newest == none {
		c.oldest = p
	} else {
		c.pages[c.newest].next = p
	}
	c.newest = p
	c.cached++
}

// unlink takes a page out of the cached list.
func (c *Cache) unlink(p int32) {
	pg := &c.pages[p]
	if pg.prev == none {
		c.oldest = pg.next
	} else {
		c.pages[pg.prev].next = pg.next
	}
	if pg.next == none {
		c.newest = pg.prev
	} else {
		c.pages[pg.next].prev = pg.prev
	}
	pg.prev, pg.next = none, none
	c.cached--
}
