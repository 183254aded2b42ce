package grammar

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// runes is a deterministic automaton over Unicode scalar values, from state 0. It knows nothing of bytes: encode does that.
type runes []runeState

type runeState struct {
	accept bool
	edges  []runeEdge // sorted, without overlaps; other runes are refused
}

type runeEdge struct {
	lo, hi rune
	to     int32
}

// anyRune are all edges to a state: the surrogates are no scalar values.
func anyRune(to int32) []runeEdge {
	return []runeEdge{{0, 0xD7FF, to}, {0xE000, utf8.MaxRune, to}}
}

// lengths accepts texts of min to max runes (unbounded = no maximum).
func lengths(b *budget, min, max int32) (runes, error) {
	n := min
	if max != unbounded {
		n = max
	}
	if err := b.spend(4 * (int(n) + 1)); err != nil {
		return nil, err
	}
	r := make(runes, n+1)
	for i := range r {
		r[i].accept = int32(i) >= min
		if int32(i) < n {
			r[i].edges = anyRune(int32(i) + 1)
		}
	}
	if max == unbounded {
		r[n].edges = anyRune(n)
	}
	return r, nil
}

// texts accepts the given texts.
func texts(b *budget, words []string) (runes, error) {
	r := runes{{}}
	for _, w := range words {
		at := int32(0)
		for _, c := range w {
			if err := b.spend(1 + len(r[at].edges)); err != nil {
				return nil, err
			}
			i, found := slices.BinarySearchFunc(r[at].edges, c, func(e runeEdge, c rune) int { return int(e.lo - c) })
			if !found {
				r = append(r, runeState{})
				r[at].edges = slices.Insert(r[at].edges, i, runeEdge{c, c, int32(len(r) - 1)})
			}
			at = r[at].edges[i].to
		}
		r[at].accept = true
	}
	return r, nil
}

// none stands for "refused" in a pair of states.
const none = int32(-1)

// pairs runs two automata side by side. It accepts what a accepts and b accepts or, with not, b does not accept.
func pairs(bud *budget, a, b runes, not bool) (runes, error) {
	type pair struct{ a, b int32 }
	ids, queue, r := map[pair]int32{{}: 0}, []pair{{}}, runes{{}}
	id := func(p pair) int32 {
		n, ok := ids[p]
		if !ok {
			n = int32(len(r))
			ids[p], queue, r = n, append(queue, p), append(r, runeState{})
		}
		return n
	}
	for i := 0; i < len(queue); i++ {
		p, other := queue[i], runeState{}
		if p.b != none {
			other = b[p.b]
		}
		r[i].accept = a[p.a].accept && other.accept != not
		var edges []runeEdge
		overlay(a[p.a].edges, other.edges, func(lo, hi rune, to, beside int32) {
			if beside != none || not {
				edges = appendRunes(edges, runeEdge{lo, hi, id(pair{to, beside})})
			}
		})
		r[i].edges = edges
		if err := bud.spend(4 + 2*len(a[p.a].edges) + 2*len(other.edges)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func intersect(bud *budget, a, b runes) (runes, error) { return pairs(bud, a, b, false) }
func minus(bud *budget, a, b runes) (runes, error)     { return pairs(bud, a, b, true) }

// overlay cuts the edges of a where those of b begin and end, and visits each piece with where b leads from it.
func overlay(a, b []runeEdge, visit func(lo, hi rune, to, beside int32)) {
	j := 0
	for _, e := range a {
		for lo := e.lo; lo <= e.hi; {
			for j < len(b) && b[j].hi < lo {
				j++
			}
			switch {
			case j == len(b) || b[j].lo > e.hi:
				visit(lo, e.hi, e.to, none)
				lo = e.hi + 1
			case b[j].lo > lo:
				visit(lo, b[j].lo-1, e.to, none)
				lo = b[j].lo
			default:
				hi := min(e.hi, b[j].hi)
				visit(lo, hi, e.to, b[j].to)
				lo = hi + 1
			}
		}
	}
}

// appendRunes joins an edge to the one before it where they touch and lead to the same state.
func appendRunes(edges []runeEdge, e runeEdge) []runeEdge {
	if n := len(edges); n > 0 && edges[n-1].to == e.to && edges[n-1].hi+1 == e.lo {
		edges[n-1].hi = e.hi
		return edges
	}
	return append(edges, e)
}

// spelling is how runes become bytes: as they are, or inside a JSON string.
type spelling bool

const (
	asIs   spelling = false
	inJSON spelling = true
)

// encoder builds the byte automaton of one rune automaton.
type encoder struct {
	g    *graph
	memo map[edge]int32   // single edges that lead on, shared: the last bytes of runes
	tail map[string]int32 // automata of escape sequences, by what they read and where they lead
}

// encode reads the texts of r in UTF-8. In JSON a rune is spelled the short way: '"', '\' and control characters are escaped,
// no other is. The spelling is unique, so what r refuses cannot come in under another spelling.
func encode(g *graph, r runes, how spelling, next int32) int32 {
	e := &encoder{g, map[edge]int32{}, map[string]int32{}}
	bodies, heads := make([]int32, len(r)), make([]int32, len(r))
	for i := range r {
		if bodies[i] = g.bytes(); r[i].accept {
			heads[i] = g.split(bodies[i], next)
		} else {
			heads[i] = bodies[i]
		}
		if g.err != nil {
			return end
		}
	}
	for i := range r {
		if e.state(bodies[i], r[i].edges, heads, how); g.err != nil {
			return end
		}
	}
	return heads[0]
}

// state gives node from the edges of one state.
func (e *encoder) state(from int32, edges []runeEdge, heads []int32, how spelling) {
	var escapes []runeEdge
	for _, r := range edges {
		to := heads[r.to]
		if how == asIs {
			e.utf8(from, r.lo, r.hi, to)
			continue
		}
		plainPieces(r.lo, r.hi, func(lo, hi rune) { e.utf8(from, lo, hi, to) })
		for c := r.lo; c <= min(r.hi, '\\'); c++ {
			if c < ' ' || c == '"' || c == '\\' {
				escapes = append(escapes, runeEdge{c, c, to})
			}
		}
	}
	if len(escapes) > 0 {
		e.g.addEdge(from, edge{'\\', '\\', e.escapes(escapes)})
	}
}

// plainPieces visits the parts of lo to hi that JSON strings hold unescaped.
func plainPieces(lo, hi rune, visit func(lo, hi rune)) {
	for _, p := range [][2]rune{{' ', '!'}, {'#', '['}, {']', utf8.MaxRune}} {
		if a, b := max(lo, p[0]), min(hi, p[1]); a <= b {
			visit(a, b)
		}
	}
}

// escapes reads what stands after the backslash of one of the runes.
func (e *encoder) escapes(list []runeEdge) int32 {
	var key []byte
	for _, r := range list {
		key = strconv.AppendInt(append(key, byte(r.lo)), int64(r.to), 36)
	}
	if n, ok := e.tail[string(key)]; ok {
		return n
	}
	n := e.spell(list, 1)
	e.tail[string(key)] = n
	return n
}

// spell is a trie: the runes of list have the same escape sequence up to byte i.
func (e *encoder) spell(list []runeEdge, i int) int32 {
	n := e.g.bytes()
	for len(list) > 0 && e.g.err == nil {
		b := escape(list[0].lo)[i]
		var same, rest []runeEdge
		for _, r := range list {
			if escape(r.lo)[i] == b {
				same = append(same, r)
			} else {
				rest = append(rest, r)
			}
		}
		to := list[0].to
		if i+1 < len(escape(list[0].lo)) {
			to = e.spell(same, i+1)
		}
		e.g.addEdge(n, edge{b, b, to})
		list = rest
	}
	return n
}

// escape is the spelling of a rune that JSON strings do not hold as it is.
func escape(r rune) string {
	const short, letters = "\"\\\b\f\n\r\t", `"\bfnrt`
	for i := range len(short) {
		if rune(short[i]) == r {
			return `\` + letters[i:i+1]
		}
	}
	const hex = "0123456789abcdef"
	return `\u00` + hex[r>>4:r>>4+1] + hex[r&15:r&15+1]
}

// utf8 adds edges from a node that read lo to hi. Runes of several bytes are cut into pieces whose bytes vary independently.
func (e *encoder) utf8(from int32, lo, hi rune, to int32) {
	for _, limit := range []rune{0x7F, 0x7FF, 0xFFFF, utf8.MaxRune} {
		if lo > hi {
			return
		}
		if lo <= limit {
			e.sameLength(from, lo, min(hi, limit), to)
			lo = limit + 1
		}
	}
}

// sameLength is utf8 for runes with the same number of bytes.
func (e *encoder) sameLength(from int32, lo, hi rune, to int32) {
	n := utf8.RuneLen(lo)
	for i := 1; i < n; i++ {
		span := rune(1)<<(6*i) - 1 // what the last i bytes can say
		if lo&^span == hi&^span {
			continue
		}
		if lo&span != 0 {
			e.sameLength(from, lo, lo|span, to)
			e.sameLength(from, (lo|span)+1, hi, to)
			return
		}
		if hi&span != span {
			e.sameLength(from, lo, hi&^span-1, to)
			e.sameLength(from, hi&^span, hi, to)
			return
		}
	}
	a, b := []byte(string(lo)), []byte(string(hi))
	for i := n - 1; i > 0; i-- {
		to = e.shared(edge{a[i], b[i], to})
	}
	e.g.addEdge(from, edge{a[0], b[0], to})
}

func (e *encoder) shared(one edge) int32 {
	n, ok := e.memo[one]
	if !ok {
		n = e.g.bytes(one)
		e.memo[one] = n
	}
	return n
}
