package grammar

// How many digits the numbers have at most. It keeps them finite in every parser, and lets a model end.
const (
	maxIntegerDigits = 18 // of integers: they fit 64 bits
	maxFloatDigits   = 15 // of other numbers, before and after the point together: float64 tells them apart
	maxBoundDigits   = 40 // of a bound in a schema
	maxStep          = 1000
)

// interval is a set of numbers to be written in decimal.
type interval struct {
	lo, hi  *bound
	integer bool
	step    int // only multiples of step/10^places; 0 = all
	places  int
}

func (i *interval) admits(d decimal) bool {
	return (d.isWhole() || !i.integer) && i.lo.admits(d, true) && i.hi.admits(d, false) && (i.step == 0 || d.multipleOf(i.step, i.places))
}

// numbers reads one number of the interval: without superfluous zeros before it, no "-0", and with an exponent only where there
// are no bounds. The error has no pointer.
func numbers(g *graph, i interval, next int32) (int32, error) {
	for _, b := range []*bound{i.lo, i.hi} {
		if b != nil && (len(b.part) > maxBoundDigits || len(b.whole) > maxBoundDigits) && !beyond(b, i) {
			return end, fail(Unsupported, "", "a bound with more than %d digits is not supported", maxBoundDigits)
		}
	}
	from0 := &bound{zero, false}
	above0 := &bound{zero, true}
	positive, err := magnitudes(g, i, tighter(i.lo, from0, true), i.hi, next)
	if err != nil {
		return end, err
	}
	var lo, hi *bound
	if i.lo != nil {
		hi = &bound{i.lo.negated(), i.lo.open}
	}
	if lo = above0; i.hi != nil {
		lo = tighter(above0, &bound{i.hi.negated(), i.hi.open}, true)
	}
	negative, err := magnitudes(g, i, lo, hi, next)
	return g.split(positive, g.one('-', negative)), err
}

// beyond says that a long bound forbids no number that is short enough to be written: it can be forgotten.
func beyond(b *bound, i interval) bool {
	return len(b.part) <= maxBoundDigits && (b == i.hi && !b.negative || b == i.lo && b.negative)
}

// place is a state of reading the digits of a magnitude.
type place struct {
	phase  phase
	n      uint8 // digits read in this phase
	room   uint8 // digits that may stand after the point
	lo, hi int8  // how what is read compares to as many digits of the bound: -1, 0, 1
	rest   uint16
}

type phase uint8

const (
	begin    phase = iota
	onlyZero       // the whole part is 0: no digit follows it
	inWhole
	afterPoint
	inPart
)

// magnitudeGraph builds nodes for places, each once.
type magnitudeGraph struct {
	*graph
	interval
	from, to  *bound // nil = none
	whole     uint8  // digits
	part      uint8
	needed    uint8 // digits after the point that the bounds call for
	next      int32
	nodes     map[place]int32
	unvisited []place
}

// magnitudes reads an unsigned number between from, which is not nil, and to.
func magnitudes(g *graph, i interval, from, to *bound, next int32) (int32, error) {
	if to != nil && to.negative {
		return g.split(), nil
	}
	m := &magnitudeGraph{graph: g, interval: i, from: from, to: to, whole: maxFloatDigits, part: maxFloatDigits, next: next, nodes: map[place]int32{}}
	if i.integer {
		m.whole, m.part = maxIntegerDigits, 0
	}
	m.whole = max(m.whole, uint8(len(from.whole)))
	for _, b := range []*bound{from, to} {
		if b != nil && !i.integer {
			m.needed = max(m.needed, uint8(len(b.part)+1))
		}
	}
	if to != nil && len(to.whole) > maxBoundDigits {
		m.to = nil
	}
	if m.part = max(m.part, m.needed); i.step > 0 {
		m.part = min(m.part, uint8(i.places))
	}
	if i.lo == nil && i.hi == nil && i.step == 0 && !i.integer {
		m.next = g.split(next, g.exponent(next))
	}
	if m.from.isZero() && !m.from.open {
		m.from = nil
	}
	head := m.node(place{})
	for len(m.unvisited) > 0 && g.err == nil {
		p := m.unvisited[0]
		m.unvisited = m.unvisited[1:]
		m.fill(p)
	}
	return head, g.err
}

// exponent keeps the number finite: 15 digits and two of exponent.
func (g *graph) exponent(next int32) int32 {
	last := g.split(g.bytes(edge{'0', '9', next}), next)
	digits := g.bytes(edge{'0', '9', last})
	return g.bytes(edge{'e', 'e', g.split(digits, g.bytes(edge{'+', '+', digits}, edge{'-', '-', digits}))},
		edge{'E', 'E', g.split(digits, g.bytes(edge{'+', '+', digits}, edge{'-', '-', digits}))})
}

// node is that of p; where the number may end it is a split, whose first alternative reads on.
func (m *magnitudeGraph) node(p place) int32 {
	id, ok := m.nodes[p]
	if !ok {
		if id = m.bytes(); m.mayEnd(p) {
			id = m.split(id, m.next)
		}
		m.nodes[p], m.unvisited = id, append(m.unvisited, p)
		if m.err == nil {
			m.err = m.spend(10)
		}
	}
	return id
}

func (m *magnitudeGraph) fill(p place) {
	from := m.nodes[p]
	if n := &m.graph.nodes[from]; n.kind == kindSplit {
		from = n.alternatives[0]
	}
	if room := m.room(p); room > 0 {
		m.addEdge(from, edge{'.', '.', m.node(place{afterPoint, 0, room, m.settled(p.lo, p.n, m.from), m.settled(p.hi, p.n, m.to), p.rest})})
	}
	for d := byte('0'); d <= '9'; d++ {
		if to, ok := m.read(p, d); ok {
			m.addEdge(from, edge{d, d, m.node(to)})
		}
	}
}

// room is how many digits may follow a point after p; 0 = no point may.
func (m *magnitudeGraph) room(p place) uint8 {
	digits := p.n
	switch p.phase {
	case onlyZero:
		digits = 0
	case inWhole:
	default:
		return 0
	}
	return min(m.part, max(m.needed, maxFloatDigits-min(digits, maxFloatDigits)))
}

// read is the place after one more digit.
func (m *magnitudeGraph) read(p place, d byte) (place, bool) {
	to := place{inWhole, p.n + 1, p.room, p.lo, p.hi, p.rest}
	switch p.phase {
	case begin:
		if d == '0' {
			to.phase = onlyZero
		}
	case onlyZero:
		return p, false
	case inWhole:
		if p.n == m.whole {
			return p, false
		}
	default:
		if to.phase = inPart; p.n == p.room {
			return p, false
		}
	}
	to.lo, to.hi = compareDigit(to, p.n, d, m.from, p.lo), compareDigit(to, p.n, d, m.to, p.hi)
	if m.step > 0 {
		to.rest = uint16((int(p.rest)*10 + int(d-'0')) % m.step)
	}
	return to, m.from == nil || to.phase < inPart || to.lo >= 0
}

// compareDigit compares digit n against the bound's, where all before were equal.
func compareDigit(to place, n uint8, d byte, b *bound, before int8) int8 {
	if b == nil || before != 0 {
		return before
	}
	digits, missing := b.whole, byte('0')
	if to.phase == inPart {
		digits = b.part
	}
	if int(n) < len(digits) {
		missing = digits[n]
	} else if to.phase != inPart {
		return 0 // longer than the bound: settled says so
	}
	switch {
	case d < missing:
		return -1
	case d > missing:
		return 1
	}
	return 0
}

// settled compares whole parts of which one is known to end after n digits.
func (m *magnitudeGraph) settled(compared int8, n uint8, b *bound) int8 {
	switch {
	case b == nil:
		return 0
	case int(n) < len(b.whole):
		return -1
	case int(n) > len(b.whole):
		return 1
	}
	return compared
}

// mayEnd says that the digits read are a number of the interval.
func (m *magnitudeGraph) mayEnd(p place) bool {
	lo, hi, parts := p.lo, p.hi, uint8(0)
	switch p.phase {
	case begin, afterPoint:
		return false
	case inPart:
		parts = p.n
	default:
		lo, hi = m.settled(p.lo, p.n, m.from), m.settled(p.hi, p.n, m.to)
	}
	if m.step > 0 {
		rest := int(p.rest)
		for range m.places - int(parts) {
			rest = rest * 10 % m.step
		}
		if rest != 0 {
			return false
		}
	}
	return side(lo, m.from, parts, true) && side(hi, m.to, parts, false)
}

// side says that a number lies on the right side of a bound to whose digits its own compare as given; parts are those after
// the point.
func side(compared int8, b *bound, parts uint8, lower bool) bool {
	if b == nil {
		return true
	}
	if compared == 0 && int(parts) < len(b.part) {
		compared = -1 // the bound goes on
	}
	if compared == 0 {
		return !b.open
	}
	return compared > 0 == lower
}
