package grammar

import (
	"encoding/binary"
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// matching says what a regular expression is asked.
type matching bool

const (
	whole matching = false // it matches the whole text; what is not said otherwise
	part  matching = true  // it matches some part, as "pattern" of a schema does
)

// compileRegex makes the automaton of an expression in RE2 syntax. The anchors ^ and $ (without the flag m) may stand anywhere; word
// borders are refused. With part, '.' leaves out all ends of lines that ECMA-262 knows, so that both readings of a pattern hold.
func compileRegex(b *budget, expression string, how matching) (runes, error) {
	if len(expression) > b.limits.PatternBytes {
		return nil, fail(TooComplex, "", "too complex: a regular expression of %d bytes, limit %d; shorten it", len(expression), b.limits.PatternBytes)
	}
	expression = ecmaEscapes(expression)
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, regexError(err)
	}
	if how == part {
		rest := &syntax.Regexp{Op: syntax.OpStar, Sub: []*syntax.Regexp{{Op: syntax.OpAnyChar}}}
		tree = &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{rest, tree, rest}}
	}
	n := cost(tree, b.limits.WorkUnits)
	if err := b.spend(n + 20*len(expression)); err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, regexError(err)
	}
	s := &subsets{budget: b, program: program, how: how, ids: map[string]int32{}}
	return s.run()
}

func regexError(err error) error {
	var e *syntax.Error
	if errors.As(err, &e) && (e.Code == syntax.ErrLarge || e.Code == syntax.ErrNestingDepth || e.Code == syntax.ErrInvalidRepeatSize) {
		return fail(TooComplex, "", "too complex: regular expression: %v; use smaller repeats", err)
	}
	return fail(Invalid, "", "regular expression: %v; the syntax is RE2's", err)
}

// ecmaEscapes spells \uXXXX, which RE2 does not know, as \x{XXXX}; RE2's quotes (\Q) are left alone.
func ecmaEscapes(s string) string {
	if !strings.Contains(s, `\u`) || strings.Contains(s, `\Q`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			out.WriteByte(s[i])
		case s[i+1] == 'u' && i+6 <= len(s) && !strings.ContainsFunc(s[i+2:i+6], notHex):
			out.WriteString(`\x{` + s[i+2:i+6] + `}`)
			i += 5
		default:
			out.WriteString(s[i : i+2])
			i++
		}
	}
	return out.String()
}

func notHex(r rune) bool { return !unicode.Is(unicode.ASCII_Hex_Digit, r) }

// cost is about the number of ranges in the program of the tree, at most a little more than limit.
func cost(re *syntax.Regexp, limit int) int {
	n := 1 + len(re.Rune)/2
	for _, sub := range re.Sub {
		if n += cost(sub, limit); n > limit {
			return n
		}
	}
	times := 1
	switch {
	case re.Op != syntax.OpRepeat:
	case re.Max < 0:
		times = re.Min + 1
	default:
		times = re.Max + 1
	}
	return min(n*times, limit+1)
}

// subsets makes a deterministic automaton: its states are sets of places in the program.
type subsets struct {
	*budget
	program *syntax.Prog
	how     matching
	ids     map[string]int32
	sets    [][]uint32
	result  runes
	marked  map[uint32]bool
}

func (s *subsets) run() (runes, error) {
	set, err := s.closure([]uint32{uint32(s.program.Start)}, syntax.EmptyBeginText)
	if err != nil {
		return nil, err
	}
	if _, err := s.state(set, syntax.EmptyBeginText); err != nil {
		return nil, err
	}
	for i := 0; i < len(s.sets); i++ {
		edges, err := s.edges(s.sets[i])
		if err != nil {
			return nil, err
		}
		s.result[i].edges = edges
	}
	return s.result, nil
}

// closure follows what reads nothing. A place before an anchor that does not hold stays in the set: it may hold at the end.
func (s *subsets) closure(from []uint32, holds syntax.EmptyOp) ([]uint32, error) {
	s.marked = map[uint32]bool{}
	var set []uint32
	for stack := slices.Clone(from); len(stack) > 0; {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if s.marked[pc] {
			continue
		}
		s.marked[pc] = true
		if err := s.spend(2); err != nil {
			return nil, err
		}
		switch i := &s.program.Inst[pc]; i.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, i.Out, i.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, i.Out)
		case syntax.InstEmptyWidth:
			op := syntax.EmptyOp(i.Arg)
			switch {
			case op&^(syntax.EmptyBeginText|syntax.EmptyEndText) != 0:
				return nil, fail(Unsupported, "", `regular expression: word borders (\b, \B) and the flag m are not supported; write the pattern without them`)
			case op&^holds == 0:
				stack = append(stack, i.Out)
			case op&syntax.EmptyEndText != 0:
				set = append(set, pc)
			}
		case syntax.InstFail:
		default:
			set = append(set, pc)
		}
	}
	slices.Sort(set)
	return set, nil
}

// state is the number of a set; holds is EmptyBeginText for the first one.
func (s *subsets) state(set []uint32, holds syntax.EmptyOp) (int32, error) {
	key := make([]byte, 0, 4*len(set)+1)
	for _, pc := range set {
		key = binary.LittleEndian.AppendUint32(key, pc)
	}
	if holds != 0 {
		key = append(key, 'b')
	}
	if id, ok := s.ids[string(key)]; ok {
		return id, nil
	}
	final, err := s.closure(set, holds|syntax.EmptyEndText)
	if err != nil {
		return 0, err
	}
	accept := slices.ContainsFunc(final, func(pc uint32) bool { return s.program.Inst[pc].Op == syntax.InstMatch })
	id := int32(len(s.sets))
	s.ids[string(key)], s.sets, s.result = id, append(s.sets, set), append(s.result, runeState{accept: accept})
	return id, s.spend(10)
}

// border is where the runes of one place begin or end to be read.
type border struct {
	at    rune
	begin bool
	out   uint32
}

// edges sweeps over the runes that the places of a set read. Pieces that the same places read lead to the same state.
func (s *subsets) edges(set []uint32) ([]runeEdge, error) {
	var borders []border
	for _, pc := range set {
		i := &s.program.Inst[pc]
		for _, r := range s.ranges(i) {
			borders = append(borders, border{r[0], true, i.Out}, border{r[1] + 1, false, i.Out})
		}
	}
	if err := s.spend(2 * len(borders)); err != nil {
		return nil, err
	}
	slices.SortFunc(borders, func(a, b border) int { return int(a.at - b.at) })
	var edges []runeEdge
	active, known := map[uint32]int{}, map[string]int32{}
	for i := 0; i < len(borders); {
		at := borders[i].at
		for ; i < len(borders) && borders[i].at == at; i++ {
			if active[borders[i].out]--; borders[i].begin {
				active[borders[i].out] += 2
			}
			if active[borders[i].out] == 0 {
				delete(active, borders[i].out)
			}
		}
		if len(active) == 0 {
			continue
		}
		to, err := s.target(active, known)
		if err != nil {
			return nil, err
		}
		edges = appendRunes(edges, runeEdge{at, borders[i].at - 1, to})
	}
	return edges, nil
}

// target is the state that reading at the places in active leads to; known remembers for this sweep.
func (s *subsets) target(active map[uint32]int, known map[string]int32) (int32, error) {
	from := make([]uint32, 0, len(active))
	for out := range active {
		from = append(from, out)
	}
	slices.Sort(from)
	var key []byte
	for _, out := range from {
		key = binary.LittleEndian.AppendUint32(key, out)
	}
	if id, ok := known[string(key)]; ok {
		return id, s.spend(len(from))
	}
	set, err := s.closure(from, 0)
	if err != nil {
		return 0, err
	}
	id, err := s.state(set, 0)
	known[string(key)] = id
	return id, err
}

// ranges are the runes that an instruction reads, without surrogates; they may overlap.
func (s *subsets) ranges(i *syntax.Inst) [][2]rune {
	switch i.Op {
	case syntax.InstRuneAny:
		return scalars(0, utf8.MaxRune)
	case syntax.InstRuneAnyNotNL:
		if s.how == part {
			return slices.Concat(scalars(0, '\n'-1), scalars('\n'+1, '\r'-1), scalars('\r'+1, 0x2027), scalars(0x202A, utf8.MaxRune))
		}
		return slices.Concat(scalars(0, '\n'-1), scalars('\n'+1, utf8.MaxRune))
	case syntax.InstRune, syntax.InstRune1:
	default:
		return nil
	}
	if len(i.Rune) == 1 {
		all := scalars(i.Rune[0], i.Rune[0])
		if syntax.Flags(i.Arg)&syntax.FoldCase != 0 {
			for r := unicode.SimpleFold(i.Rune[0]); r != i.Rune[0]; r = unicode.SimpleFold(r) {
				all = append(all, scalars(r, r)...)
			}
		}
		return all
	}
	var all [][2]rune
	for k := 0; k+1 < len(i.Rune); k += 2 {
		all = append(all, scalars(i.Rune[k], i.Rune[k+1])...)
	}
	return all
}

// scalars is lo to hi without surrogates.
func scalars(lo, hi rune) [][2]rune {
	var all [][2]rune
	if b := min(hi, 0xD7FF); lo <= b {
		all = append(all, [2]rune{lo, b})
	}
	if a := max(lo, 0xE000); a <= hi {
		all = append(all, [2]rune{a, hi})
	}
	return all
}
