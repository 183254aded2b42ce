package kvcache

import (
	"fmt"

	"astro/internal/invariant"
)

// check is called at the end of every operation; it costs one pass over all pages and does nothing without -tags invariants.
func (c *Cache) check() {
	invariant.Check(func() error { return c.Check(nil) })
}

// Check looks for contradictions: every page in exactly one state, the index and the list of cached pages in agreement
// with the pages. If tables are given, they must be all open ones: then every reference is accounted for too.
func (c *Cache) Check(tables []*Table) error {
	state := make([]string, len(c.pages))
	for _, p := range c.free {
		if state[p] != "" || c.pages[p].refs != 0 || c.pages[p].indexed {
			return fmt.Errorf("kvcache: free page %d is %q, %+v", p, state[p], c.pages[p])
		}
		state[p] = "free"
	}
	cached := 0
	for p, prev := c.oldest, none; p != none; prev, p = p, c.pages[p].next {
		if state[p] != "" || c.pages[p].refs != 0 || !c.pages[p].indexed || c.pages[p].prev != prev {
			return fmt.Errorf("kvcache: cached page %d is %q, %+v; want prev %d", p, state[p], c.pages[p], prev)
		}
		state[p] = "cached"
		cached++
	}
	if n := c.Counts(); cached != c.cached || n.Free+n.Cached+n.Held != c.cfg.Pages {
		return fmt.Errorf("kvcache: %+v pages, %d in the list of cached ones; want a sum of %d", n, cached, c.cfg.Pages)
	}
	return c.checkPages(state, tables)
}

// checkPages compares what each page says with the index and with the tables that hold it.
func (c *Cache) checkPages(state []string, tables []*Table) error {
	refs := make([]int32, len(c.pages))
	for _, t := range tables {
		for _, p := range t.pages {
			refs[p]++
		}
	}
	indexed := 0
	for p, pg := range c.pages {
		if state[p] == "" && pg.refs < 1 {
			return fmt.Errorf("kvcache: page %d is lost: %+v", p, pg)
		}
		if tables != nil && refs[p] != pg.refs {
			return fmt.Errorf("kvcache: page %d has %d references; %d tables hold it", p, pg.refs, refs[p])
		}
		if !pg.indexed {
			continue
		}
		indexed++
		if q, ok := c.index[pg.key]; !ok || q != int32(p) {
			return fmt.Errorf("kvcache: page %d is a Prefix page; the index has %d (%v)", p, q, ok)
		}
	}
	if indexed != len(c.index) {
		return fmt.Errorf("kvcache: %d Prefix pages; the index has %d", indexed, len(c.index))
	}
	return nil
}
