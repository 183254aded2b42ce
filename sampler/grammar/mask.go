package grammar

// reaches are lengths of tokens in bytes. Counters of repeats whose ends are farther away than a token reaches are all alike to it: so
// few masks are computed where a text may be long, and few paths are followed for each. The first stands for the longest token.
var reaches = [...]int32{maxTokenBytes, 24, 8, 3}

// mask is the set of tokens that may come next, computed once for all states that the longest token cannot tell apart.
func (g *Grammar) mask(e *entry) []uint64 {
	c := g.alike(e, 0)
	if c.mask == nil {
		bits := g.walk(c)
		if e.accepts() {
			for _, id := range g.vocab.eos {
				bits[id/64] |= 1 << (id % 64)
			}
		}
		g.masks.add(c, bits, g.limits.CacheBytes/2)
	}
	g.masks.touch(c.mask)
	return c.mask.bits
}

// alike is one entry for all that tokens of reaches[level] bytes cannot tell apart.
func (g *Grammar) alike(e *entry, level int) *entry {
	if e.alike[level] != nil {
		return e.alike[level]
	}
	a := e
	if paths, changed := g.clip(e.paths, min(reaches[level], int32(g.vocab.longest))); changed {
		a = g.intern(paths)
		a.alike[level] = a
	}
	e.alike[level] = a
	return a
}

func (g *Grammar) clip(paths []path, bytes int32) (clipped []path, changed bool) {
	known := map[*frame]*frame{nil: nil}
	var clip func(f *frame) *frame
	clip = func(f *frame) *frame {
		if c, ok := known[f]; ok {
			return c
		}
		c, below, count := f, clip(f.below), f.count
		if n := &g.nodes[f.node]; n.kind == kindRepeat {
			reach := bytes/max(1, g.measures.bytes[n.body]) + 1
			switch {
			case count+reach < n.min:
				count = 0
			case count >= n.min && (n.max == unbounded || count+reach < n.max):
				count = n.min
			}
		}
		if below != f.below || count != f.count {
			c, changed = g.push(below, f.node, count, f.depth), true
		}
		known[f] = c
		return c
	}
	var set pathSet
	for _, p := range paths {
		if p.stack = clip(p.stack); set.add(clipped, p) {
			clipped = append(clipped, p)
		}
	}
	return clipped, changed
}

// spot is where the walk stands: at an entry, or at a single path for which no entry has been needed.
type spot struct {
	entry *entry
	path  path
}

func (s *spot) paths() int {
	if s.entry == nil {
		return 1
	}
	return len(s.entry.paths)
}

// manyPaths is where following paths begins to cost: it is charged to MaskWorkUnits.
const manyPaths = 16

// manySteps is how many new ways from entry to entry a mask computes and keeps; Grammar.maskSteps is that but in tests.
const manySteps = 4000

// walk goes through the tree of the vocabulary side by side with the automaton. Past MaskWorkUnits it leaves off: then tokens of one
// byte and those found so far are allowed, which still leaves a way on, and depends on nothing but the state.
func (g *Grammar) walk(root *entry) []uint64 {
	v := g.vocab
	bits := make([]uint64, v.Words())
	at := make([]spot, v.longest+1)
	at[0].entry = root
	loops := g.loops(root)
	left, steps := g.limits.MaskWorkUnits, g.maskSteps
	for i := int32(0); int(i) < len(v.nodes); {
		g.trim()
		n := &v.nodes[i]
		from := &at[n.depth-1]
		if n.groups&^loops.groups == 0 && from.entry != nil && loops.hold(g, from.entry, n) {
			v.allow(bits, n.first, v.after(n))
			i = n.skip
			continue
		}
		if many := from.paths(); many > manyPaths {
			if left -= many; left < 0 {
				g.walkBytes(root, bits)
				return bits
			}
		}
		to := &at[n.depth]
		if !g.move(from, n.b, to, &steps) {
			i = n.skip
			continue
		}
		if n.ends > 0 {
			v.allow(bits, n.first, n.first+n.ends)
		}
		i++
	}
	return bits
}

// allow sets the bits of tokens in the order of the tree.
func (v *Vocab) allow(bits []uint64, from, to int32) {
	for _, id := range v.order[from:to] {
		bits[id/64] |= 1 << (id % 64)
	}
}

// after is the index in order behind the tokens of a subtree.
func (v *Vocab) after(n *trieNode) int32 {
	if int(n.skip) == len(v.nodes) {
		return int32(len(v.order))
	}
	return v.nodes[n.skip].first
}

// walkBytes allows the tokens of one byte.
func (g *Grammar) walkBytes(root *entry, bits []uint64) {
	for i := int32(0); int(i) < len(g.vocab.nodes); {
		n := &g.vocab.nodes[i]
		if g.step(root, g.classOf[n.b]) != g.dead {
			g.vocab.allow(bits, n.first, n.first+n.ends)
		}
		i = n.skip
	}
}

// loops are bytes after each of which as much may follow as at the root, so that any text of them may. For each reach: the root
// and the groups for which that holds as far as tokens of so many bytes can tell.
type loops struct {
	groups uint64 // of all levels
	levels [len(reaches)]struct {
		root   *entry
		groups uint64
	}
}

// hold says that all tokens of the subtree may follow e.
func (l *loops) hold(g *Grammar, e *entry, n *trieNode) bool {
	for level := range reaches {
		at := &l.levels[level]
		if n.groups&^at.groups == 0 && int32(n.height) <= reaches[level] && g.alike(e, level) == at.root {
			return true
		}
	}
	return false
}

// loops finds them for a root; the byte 'a' tells at once whether there are any.
func (g *Grammar) loops(root *entry) *loops {
	l := &loops{}
	for level := range reaches {
		at := &l.levels[level]
		at.root = g.alike(root, level)
		if g.alike(g.step(root, g.classOf['a']), level) != at.root {
			continue
		}
		at.groups = uint64(1)<<wideGroup - 1
		for b, group := range groupOf {
			if g.alike(g.step(root, g.classOf[b]), level) != at.root {
				at.groups &^= 1 << group
			}
		}
		if g.loopsWide(root, level) {
			at.groups |= 1 << wideGroup
		}
		l.groups |= at.groups
	}
	return l
}

// loopsWide says that all characters of more than one byte are among the loops of root.
func (g *Grammar) loopsWide(root *entry, level int) bool {
	for _, bytes := range wideRunes {
		here := map[*entry]bool{root: true}
		for _, r := range bytes {
			there := map[*entry]bool{}
			for e := range here {
				for class := g.classOf[r[0]]; class <= g.classOf[r[1]]; class++ {
					there[g.step(e, class)] = true
				}
			}
			here = there
		}
		for e := range here {
			if g.alike(e, level) != g.alike(root, level) {
				return false
			}
		}
	}
	return true
}

// move reads one byte. It is not ok if nothing can follow. While there are steps left it computes what an entry leads to,
// so that the next token with such a byte finds it; later it does so only where it must.
func (g *Grammar) move(from *spot, b byte, to *spot, steps *int) bool {
	class, e := g.classOf[b], from.entry
	if e != nil && e.next != nil && e.next[class] != nil {
		to.entry = e.next[class]
		return to.entry != g.dead
	}
	if *steps--; *steps < 0 && from.paths() == 1 {
		p := from.path
		if e != nil {
			p = e.paths[0]
		}
		if next, known := g.moveAlone(p, b); known {
			to.entry, to.path = nil, next
			return next.node != end
		}
	}
	if e == nil {
		e = g.intern([]path{from.path})
		from.entry = e
	}
	to.entry = g.step(e, class)
	return to.entry != g.dead
}

// moveAlone reads one byte where a single path goes on as a single path, inside one word or expression: no entry is needed there.
// known is false where that is not so; the node end says that nothing can follow.
func (g *Grammar) moveAlone(p path, b byte) (next path, known bool) {
	next.node = end
	for _, out := range g.nodes[p.node].edges {
		if out.lo <= b && b <= out.hi && g.alive(out.to, p.depth()) {
			if next.node != end || g.nodes[out.to].kind != kindBytes {
				return path{}, false
			}
			next = path{out.to, p.stack}
		}
	}
	return next, true
}

// maskEntry is a kept mask, in the list of those, the one used last in front.
type maskEntry struct {
	bits         []uint64
	owner        *entry
	newer, older *maskEntry
}

// maskCache forgets the masks that were used longest ago.
type maskCache struct {
	words          int
	bytes          int
	newest, oldest *maskEntry
}

func (c *maskCache) forget() { c.bytes, c.newest, c.oldest = 0, nil, nil }

func (c *maskCache) add(owner *entry, bits []uint64, limitBytes int) {
	owner.mask = &maskEntry{bits: bits, owner: owner}
	c.link(owner.mask)
	for c.bytes > limitBytes && c.oldest != owner.mask {
		c.oldest.owner.mask = nil
		c.unlink(c.oldest)
	}
}

func (c *maskCache) touch(m *maskEntry) {
	if m != c.newest {
		c.unlink(m)
		c.link(m)
	}
}

func (c *maskCache) link(m *maskEntry) {
	m.newer, m.older = nil, c.newest
	if c.newest != nil {
		c.newest.newer = m
	} else {
		c.oldest = m
	}
	c.newest = m
	c.bytes += 8*len(m.bits) + 64
}

func (c *maskCache) unlink(m *maskEntry) {
	if m.newer != nil {
		m.newer.older = m.older
	} else {
		c.newest = m.older
	}
	if m.older != nil {
		m.older.newer = m.newer
	} else {
		c.oldest = m.newer
	}
	c.bytes -= 8*len(m.bits) + 64
}
