package grammar

// A graph is a grammar over bytes: a pushdown automaton whose stack holds calls. Building goes from right to left: each function
// takes the node that follows and returns the one to begin at.

type kind uint8

const (
	kindEnd    kind = iota // the end of a rule: return to the caller, or accept
	kindBytes              // read a byte on one of the edges
	kindSplit              // go on at any of the alternatives; as the head of a rule it also says what a call weighs
	kindCall               // read what body says, then go on at next
	kindRepeat             // read what body says min to max times, then go on at next; body reads at least one byte
)

// end is the node of kindEnd in every graph.
const end = int32(0)

// unbounded as max of a repeat means that there is none.
const unbounded = int32(-1)

type edge struct {
	lo, hi byte
	to     int32
}

type node struct {
	kind         kind
	deeper       int8    // of the head of a rule: 1 if its values may be arrays or objects
	edges        []edge  // of kindBytes
	alternatives []int32 // of kindSplit
	body, next   int32   // of kindCall and kindRepeat
	min, max     int32   // of kindRepeat
}

// graph is built within a budget. After its first error it stays as it is; the error is looked at by whoever loops.
type graph struct {
	*budget
	nodes []node
	err   error
}

func newGraph(b *budget) *graph { return &graph{budget: b, nodes: []node{{kind: kindEnd}}} }

func (g *graph) add(n node) int32 {
	if g.err == nil {
		g.err = g.spend(1 + len(n.edges) + len(n.alternatives))
	}
	if g.err == nil && len(g.nodes) >= g.limits.Nodes {
		g.err = fail(TooComplex, "", "too complex: more than %d nodes, the limit; use fewer alternatives, shorter patterns or smaller bounds", g.limits.Nodes)
	}
	if g.err != nil {
		return end
	}
	g.nodes = append(g.nodes, n)
	return int32(len(g.nodes) - 1)
}

// addEdge adds to a node of kindBytes.
func (g *graph) addEdge(from int32, e edge) {
	if g.err == nil {
		g.err = g.spend(1)
	}
	if g.err == nil {
		g.nodes[from].edges = append(g.nodes[from].edges, e)
	}
}

// addAlternative adds to a node of kindSplit.
func (g *graph) addAlternative(from, to int32) {
	if g.err == nil {
		g.err = g.spend(1)
	}
	if g.err == nil {
		g.nodes[from].alternatives = append(g.nodes[from].alternatives, to)
	}
}

func (g *graph) bytes(edges ...edge) int32 { return g.add(node{kind: kindBytes, edges: edges}) }

// one reads one byte.
func (g *graph) one(b byte, next int32) int32 { return g.bytes(edge{b, b, next}) }

func (g *graph) split(alternatives ...int32) int32 {
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return g.add(node{kind: kindSplit, alternatives: alternatives})
}

func (g *graph) call(body, next int32) int32 {
	return g.add(node{kind: kindCall, body: body, next: next})
}

func (g *graph) repeat(body int32, min, max int32, next int32) int32 {
	if max == 0 {
		return next
	}
	return g.add(node{kind: kindRepeat, body: body, next: next, min: min, max: max})
}

// text reads exactly the bytes of s.
func (g *graph) text(s string, next int32) int32 {
	for i := len(s) - 1; i >= 0 && g.err == nil; i-- {
		next = g.one(s[i], next)
	}
	return next
}

// words reads one of the texts; they share their beginnings, so that reading is never of two minds. Texts are sorted and differ.
func (g *graph) words(texts []string, next int32) int32 {
	var alternatives []int32
	if len(texts) > 0 && texts[0] == "" {
		alternatives, texts = append(alternatives, next), texts[1:]
	}
	if len(texts) == 1 {
		return g.split(append(alternatives, g.text(texts[0], next))...)
	}
	var edges []edge
	for len(texts) > 0 && g.err == nil {
		n, first := 0, texts[0][0]
		for n < len(texts) && texts[n][0] == first {
			n++
		}
		rest := make([]string, n)
		for i := range rest {
			rest[i] = texts[i][1:]
		}
		if err := g.spend(n); err != nil {
			g.err = err
		}
		edges = append(edges, edge{first, first, g.words(rest, next)})
		texts = texts[n:]
	}
	if len(edges) > 0 {
		alternatives = append(alternatives, g.bytes(edges...))
	}
	return g.split(alternatives...)
}

// restrict leaves only the bytes that the vocabulary can spell by themselves: whatever is left can always be continued.
func (g *graph) restrict(have *[256]bool) {
	for i := range g.nodes {
		n := &g.nodes[i]
		if n.kind != kindBytes || allHave(n.edges, have) {
			continue
		}
		var kept []edge
		for _, e := range n.edges {
			for b := int(e.lo); b <= int(e.hi); b++ {
				switch last := len(kept) - 1; {
				case !have[b]:
				case last >= 0 && kept[last].to == e.to && int(kept[last].hi) == b-1:
					kept[last].hi = byte(b)
				default:
					kept = append(kept, edge{byte(b), byte(b), e.to})
				}
			}
		}
		n.edges = kept
	}
}

func allHave(edges []edge, have *[256]bool) bool {
	for _, e := range edges {
		for b := int(e.lo); b <= int(e.hi); b++ {
			if !have[b] {
				return false
			}
		}
	}
	return true
}

// classes numbers the bytes so that no edge tells bytes of one class apart, and gives an example of each.
func (g *graph) classes() (of [256]uint8, example []byte) {
	var cut [257]bool
	for _, n := range g.nodes {
		for _, e := range n.edges {
			cut[e.lo], cut[int(e.hi)+1] = true, true
		}
	}
	cut[0] = true
	for b := range 256 {
		if cut[b] {
			example = append(example, byte(b))
		}
		of[b] = uint8(len(example) - 1)
	}
	return of, example
}
