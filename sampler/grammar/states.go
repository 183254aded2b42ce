package grammar

import (
	"encoding/binary"
	"fmt"

	"astro/internal/invariant"
)

// State is how far a text has come: a value that is copied freely, stays good as long as its Grammar, and compares equal to another
// one if the same may follow. The zero State is none: it is given to no function.
type State struct{ paths string }

// frame is a call that has not returned. Frames are shared: equal stacks are one pointer.
type frame struct {
	below *frame // nil = the outermost
	node  int32  // of kindCall or kindRepeat
	count int32  // how many times a repeat has been read in full; no more than it needs to know
	depth int32  // levels of arrays and objects, with this one
	id    uint64 // never given twice
}

// path is one way to read the text so far: where it stands, always at a node of kindBytes, or at end without frames for "complete".
type path struct {
	node  int32
	stack *frame
}

func (p path) depth() int32 {
	if p.stack == nil {
		return 0
	}
	return p.stack.depth
}

// entry is a State at work. An entry without paths is dead.
type entry struct {
	paths []path
	state State                // "" = not asked for yet
	next  []*entry             // by class of bytes; nil = not computed yet
	alike [len(reaches)]*entry // as far as tokens of so many bytes can tell; nil = not computed yet
	mask  *maskEntry
}

func (e *entry) accepts() bool {
	for _, p := range e.paths {
		if p.node == end {
			return true
		}
	}
	return false
}

// states keeps entries and frames until there are too many; then it forgets them all and begins anew. A State needs neither.
type states struct {
	g       *Grammar
	byPaths map[string]*entry
	byState map[State]*entry
	frames  map[frame]*frame
	dead    *entry
	bytes   int
	lastID  uint64
	key     []byte // scratch
	kept    pathSet
}

func newStates(g *Grammar) *states {
	s := &states{g: g, dead: &entry{}}
	s.forget()
	return s
}

// forget drops all entries, and the ways between them, so that what still points to one keeps only that one.
func (s *states) forget() {
	for _, e := range s.byPaths {
		e.next, e.alike, e.mask = nil, [len(reaches)]*entry{}, nil
	}
	s.byPaths, s.byState, s.frames = map[string]*entry{}, map[State]*entry{}, map[frame]*frame{}
	s.bytes = 0
}

const (
	frameBytes = 120 // with its place in the map
	entryBytes = 300
)

// trim forgets the entries when they are too many; half of CacheBytes is for masks. It is called only where no State will be made of
// paths from before: their frames would no longer be shared with those of equal stacks.
func (s *states) trim() {
	if s.bytes > s.g.limits.CacheBytes/2 {
		s.forget()
		s.g.masks.forget()
	}
}

// push is the stack with one more call.
func (s *states) push(below *frame, node, count, depth int32) *frame {
	key := frame{below: below, node: node, count: count, depth: depth}
	f := s.frames[key]
	if f == nil {
		s.lastID++
		f = &frame{below, node, count, depth, s.lastID}
		s.frames[key] = f
		s.bytes += frameBytes
	}
	return f
}

// alive says that from the node the end of its rule can be reached without going too deep. Of a call that includes what follows
// its return, so that a stack of calls made at nodes that were alive can be finished too.
func (g *Grammar) alive(node, depth int32) bool {
	return depth+g.measures.depth[node] <= int32(g.limits.ValueDepth)
}

// close adds to the paths what is reached from p without reading. When there are too many, the later ones are given up: the
// others can still be completed.
func (g *Grammar) close(paths []path, p path) []path {
	depth := p.depth()
	if len(paths) >= g.limits.StatePaths || !g.alive(p.node, depth) {
		return paths
	}
	n := &g.nodes[p.node]
	switch n.kind {
	case kindBytes:
		if g.kept.add(paths, p) {
			paths = append(paths, p)
		}
	case kindSplit:
		for _, a := range n.alternatives {
			paths = g.close(paths, path{a, p.stack})
		}
	case kindCall:
		paths = g.close(paths, path{n.body, g.push(p.stack, p.node, 0, depth+int32(g.nodes[n.body].deeper))})
	case kindRepeat:
		paths = g.again(paths, p, 0)
	case kindEnd:
		switch f := p.stack; {
		case f == nil:
			if g.kept.add(paths, p) {
				paths = append(paths, p)
			}
		case g.nodes[f.node].kind == kindRepeat:
			paths = g.again(paths, path{f.node, f.below}, f.count+1)
		default:
			paths = g.close(paths, path{g.nodes[f.node].next, f.below})
		}
	}
	return paths
}

// again goes on at a repeat whose body has been read count times.
func (g *Grammar) again(paths []path, p path, count int32) []path {
	n := &g.nodes[p.node]
	if n.max == unbounded || count < n.max {
		known := count
		if n.max == unbounded {
			known = min(count, n.min)
		}
		paths = g.close(paths, path{n.body, g.push(p.stack, p.node, known, p.depth())})
	}
	if count >= n.min {
		paths = g.close(paths, path{n.next, p.stack})
	}
	return paths
}

// step is the entry after a byte of the class.
func (g *Grammar) step(e *entry, class uint8) *entry {
	if e.next != nil && e.next[class] != nil {
		return e.next[class]
	}
	b := g.example[class]
	var paths []path
	g.kept.reset()
	for _, p := range e.paths {
		for _, out := range g.nodes[p.node].edges {
			if out.lo <= b && b <= out.hi {
				paths = g.close(paths, path{out.to, p.stack})
			}
		}
	}
	next := g.intern(paths)
	if e.next == nil && e != g.dead {
		e.next = make([]*entry, len(g.example))
	}
	if e.next != nil {
		e.next[class] = next
	}
	return next
}

// intern is the entry with these paths.
func (s *states) intern(paths []path) *entry {
	if len(paths) == 0 {
		return s.dead
	}
	s.key = s.key[:0]
	for _, p := range paths {
		id := uint64(0)
		if p.stack != nil {
			id = p.stack.id
		}
		s.key = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(s.key, uint32(p.node)), id)
	}
	e := s.byPaths[string(s.key)]
	if e == nil {
		s.bytes += entryBytes + 3*len(s.key) + 8*len(s.g.example)
		e = &entry{paths: paths}
		s.byPaths[string(s.key)] = e
	}
	return e
}

// handle is the State of an entry.
func (g *Grammar) handle(e *entry) State {
	if e.state == (State{}) {
		e.state = State{string(encodePaths(e.paths))}
		g.byState[e.state] = e
		g.bytes += 2*len(e.state.paths) + 64
		invariant.Check(func() error { return g.check(e) })
	}
	return e.state
}

// lookup is the entry of a State.
func (g *Grammar) lookup(s State) *entry {
	g.trim()
	e := g.byState[s]
	if e == nil {
		e = g.intern(g.decodePaths([]byte(s.paths)))
		if e.state == (State{}) {
			e.state = s
			g.byState[s] = e
		}
	}
	return e
}

// encodePaths writes paths with their stacks: each frame once, after the one below it.
func encodePaths(paths []path) []byte {
	var frames, out []byte
	index := map[*frame]uint64{nil: 0}
	var write func(f *frame)
	write = func(f *frame) {
		if _, ok := index[f]; ok {
			return
		}
		write(f.below)
		frames = binary.AppendUvarint(frames, index[f.below])
		frames = binary.AppendUvarint(binary.AppendUvarint(frames, uint64(f.node)), uint64(f.count))
		index[f] = uint64(len(index))
	}
	for _, p := range paths {
		write(p.stack)
		out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(p.node)), index[p.stack])
	}
	head := binary.AppendUvarint(nil, uint64(len(index)-1))
	return append(append(head, frames...), out...)
}

// decodePaths is the inverse. Only States of this Grammar come here.
func (g *Grammar) decodePaths(in []byte) []path {
	number := func() int {
		v, n := binary.Uvarint(in)
		if n <= 0 {
			panic("BUG: got a State that is zero or of another Grammar; want one of this")
		}
		in = in[n:]
		return int(v)
	}
	frames := []*frame{nil}
	for range number() {
		below, node, count := frames[number()], int32(number()), int32(number())
		depth := path{0, below}.depth()
		if n := &g.nodes[node]; n.kind == kindCall {
			depth += int32(g.nodes[n.body].deeper)
		}
		frames = append(frames, g.push(below, node, count, depth))
	}
	var paths []path
	for len(in) > 0 {
		paths = append(paths, path{int32(number()), frames[number()]})
	}
	return paths
}

// check says what is wrong with an entry: each path must stand where a byte is read, and be able to come to the end.
func (g *Grammar) check(e *entry) error {
	if len(e.paths) == 0 || len(e.paths) > g.limits.StatePaths {
		return fmt.Errorf("a state with %d paths; want 1 to %d", len(e.paths), g.limits.StatePaths)
	}
	for _, p := range e.paths {
		if k := g.nodes[p.node].kind; k != kindBytes && (k != kindEnd || p.stack != nil) {
			return fmt.Errorf("a path at node %d of kind %d", p.node, k)
		}
		if !g.alive(p.node, p.depth()) {
			return fmt.Errorf("a path at node %d, depth %d, that cannot come to the end", p.node, p.depth())
		}
		for f := p.stack; f != nil; f = f.below {
			if next := g.nodes[f.node].next; !g.alive(next, path{0, f.below}.depth()) {
				return fmt.Errorf("a call at node %d that cannot return", f.node)
			}
		}
	}
	if again := encodePaths(g.decodePaths([]byte(e.state.paths))); string(again) != e.state.paths {
		return fmt.Errorf("a state is %x after it was written as %x", again, e.state.paths)
	}
	return nil
}

// pathSet remembers which paths are in a list; short lists are looked through.
type pathSet struct{ seen map[path]struct{} }

func (s *pathSet) reset() { clear(s.seen) }

const fewPaths = 12

// add says that p is not among the paths yet.
func (s *pathSet) add(paths []path, p path) bool {
	if len(paths) < fewPaths {
		for _, q := range paths {
			if p == q {
				return false
			}
		}
		return true
	}
	if len(s.seen) == 0 {
		if s.seen == nil {
			s.seen = map[path]struct{}{}
		}
		for _, q := range paths {
			s.seen[q] = struct{}{}
		}
	}
	if _, ok := s.seen[p]; ok {
		return false
	}
	s.seen[p] = struct{}{}
	return true
}
