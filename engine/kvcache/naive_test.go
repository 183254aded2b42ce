package kvcache

import "slices"

// naive is the plain reference of Cache: it keeps the tokens of every Prefix page, searches them one by one, and finds the
// least recently used page by looking at all of them. It must hand out the same pages in the same order.
type naive struct {
	cfg     Config
	version int64
	free    []int32
	holders map[int32]int         // page -> Tables that hold it
	content map[int32]naivePrefix // Prefix pages
	used    map[int32]int         // page -> time of its last release
	now     int
}

// naivePrefix is all tokens from position 0 to the end of the page.
type naivePrefix struct {
	space  Space
	tokens []int32
}

type naiveTable struct {
	space     Space
	pages     []int32
	published int // pages that have had their one chance to become Prefix pages
}

func newNaive(cfg Config, version int64) *naive {
	n := &naive{cfg: cfg, version: version, holders: map[int32]int{}, content: map[int32]naivePrefix{}, used: map[int32]int{}}
	for p := cfg.Pages - 1; p >= 0; p-- {
		n.free = append(n.free, int32(p))
	}
	return n
}

func (n *naive) counts() Counts {
	held := len(n.holders)
	return Counts{Free: len(n.free), Cached: n.cfg.Pages - len(n.free) - held, Held: held}
}

// find returns the page whose content is exactly these tokens.
func (n *naive) find(space Space, tokens []int32) (int32, bool) {
	for p := range int32(n.cfg.Pages) {
		if c, ok := n.content[p]; ok && c.space == space && slices.Equal(c.tokens, tokens) {
			return p, true
		}
	}
	return 0, false
}

func (n *naive) open(space Space, tokens []int32, limit int) (*naiveTable, int) {
	t := &naiveTable{space: space}
	for end := n.cfg.PageTokens; n.cfg.Prefixes && end <= min(limit, len(tokens)); end += n.cfg.PageTokens {
		p, ok := n.find(space, tokens[:end])
		if !ok {
			break
		}
		n.holders[p]++
		t.pages = append(t.pages, p)
	}
	t.published = len(t.pages)
	return t, len(t.pages) * n.cfg.PageTokens
}

func (n *naive) fork(t *naiveTable, tokens int) *naiveTable {
	pages := (tokens + n.cfg.PageTokens - 1) / n.cfg.PageTokens
	f := &naiveTable{space: t.space, pages: slices.Clone(t.pages[:pages]), published: min(t.published, tokens/n.cfg.PageTokens)}
	for _, p := range f.pages {
		n.holders[p]++
	}
	return f
}

func (n *naive) take() int32 {
	var p int32
	if len(n.free) > 0 {
		p = n.free[len(n.free)-1]
		n.free = n.free[:len(n.free)-1]
	} else {
		p = n.leastRecentlyUsed()
		delete(n.content, p)
	}
	n.holders[p] = 1
	return p
}

func (n *naive) leastRecentlyUsed() int32 {
	best, at := none, 0
	for p := range n.content {
		if n.holders[p] == 0 && (best == none || n.used[p] < at) {
			best, at = p, n.used[p]
		}
	}
	return best
}

func (n *naive) release(p int32) {
	if n.holders[p]--; n.holders[p] > 0 {
		return
	}
	delete(n.holders, p)
	n.now++
	n.used[p] = n.now
	if _, ok := n.content[p]; !ok {
		n.free = append(n.free, p)
	}
}

func (n *naive) reserve(t *naiveTable, start, end int) []Copy {
	var copies []Copy
	t.published = min(t.published, start/n.cfg.PageTokens)
	for i := start / n.cfg.PageTokens; i*n.cfg.PageTokens < end; i++ {
		if i >= len(t.pages) {
			t.pages = append(t.pages, n.take())
			continue
		}
		from := t.pages[i]
		if n.holders[from] == 1 {
			delete(n.content, from)
			continue
		}
		t.pages[i] = n.take()
		n.release(from)
		copies = append(copies, Copy{From: from, To: t.pages[i]})
	}
	return copies
}

func (n *naive) publish(t *naiveTable, tokens []int32) {
	if !n.cfg.Prefixes || t.space.Version != n.version {
		return
	}
	for ; (t.published+1)*n.cfg.PageTokens <= len(tokens); t.published++ {
		p, prefix := t.pages[t.published], tokens[:(t.published+1)*n.cfg.PageTokens]
		_, twin := n.find(t.space, prefix)
		if _, has := n.content[p]; !twin && !has {
			n.content[p] = naivePrefix{t.space, slices.Clone(prefix)}
		}
	}
}

func (n *naive) close(t *naiveTable) {
	for i := len(t.pages) - 1; i >= 0; i-- {
		n.release(t.pages[i])
	}
}

func (n *naive) swap(version int64) {
	for n.version = version; ; {
		p := n.leastRecentlyUsed()
		if p == none {
			break
		}
		delete(n.content, p)
		n.free = append(n.free, p)
	}
	clear(n.content)
}
