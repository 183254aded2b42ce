package grammar

import (
	"slices"
	"unicode/utf8"
)

// compiler makes the graph of a schema. Each conjunction of schemas that some value must satisfy is a rule, made once, so that
// recursion through $ref ends.
type compiler struct {
	*budget
	g       *graph
	root    *value
	checked map[*value]bool
	regexes map[regexKey]runes
	rules   map[string]int32
	queue   []rule
	char    int32 // the rule of one character of a string in any spelling; 0 = not made yet
}

// rule is a conjunction and the split at which its automaton begins.
type rule struct {
	schemas branch
	head    int32
}

// compileSchema builds the automaton of a schema into g and returns where it begins.
func compileSchema(g *graph, text string) (int32, error) {
	root, err := readValue(g.budget, text)
	if err != nil {
		return end, err
	}
	c := &compiler{budget: g.budget, g: g, root: root, checked: map[*value]bool{}, regexes: map[regexKey]runes{}, rules: map[string]int32{}}
	if !isSchema(root) {
		return end, fail(Invalid, "", "a schema is an object, true or false")
	}
	head := c.rule(conjunction(root))
	for i := 0; i < len(c.queue); i++ {
		if err := c.fill(c.queue[i]); err != nil {
			return end, err
		}
	}
	return head, g.err
}

// rule is the head of a conjunction's automaton, which is built later.
func (c *compiler) rule(schemas branch) int32 {
	key := schemas.key()
	head, ok := c.rules[key]
	if err := c.spend(5 + len(schemas)); err != nil && c.g.err == nil {
		c.g.err = err
	}
	if !ok {
		head = c.g.add(node{kind: kindSplit})
		c.rules[key], c.queue = head, append(c.queue, rule{schemas, head})
	}
	return head
}

// read calls the rule of a conjunction.
func (c *compiler) read(schemas branch, next int32) int32 { return c.g.call(c.rule(schemas), next) }

func (c *compiler) fill(r rule) error {
	branches, err := c.expand(r.schemas)
	if err != nil {
		return err
	}
	var words []string
	seen := map[string]bool{}
	for _, b := range branches {
		if seen[b.key()] {
			continue
		}
		seen[b.key()] = true
		f, err := c.gather(b)
		if err != nil {
			return err
		}
		if f.finite {
			for _, v := range f.values {
				words = append(words, string(v.appendJSON(nil)))
			}
			continue
		}
		if words, err = c.emit(f, r.head, words); err != nil {
			return err
		}
	}
	slices.Sort(words)
	c.g.addAlternative(r.head, c.g.words(slices.Compact(words), end))
	return c.g.err
}

// emit adds an automaton for each type of f to the head; what is a list of words it adds to words.
func (c *compiler) emit(f *facts, head int32, words []string) ([]string, error) {
	types := f.emitted()
	add := func(at int32, err error) error {
		c.g.addAlternative(head, at)
		return err
	}
	if types&typeNull != 0 {
		words = append(words, "null")
	}
	if types&typeBoolean != 0 {
		words = append(words, "false", "true")
	}
	if types&numeric != 0 {
		f.numbers.integer = types&typeNumber == 0
		if err := add(numbers(c.g, f.numbers, end)); err != nil {
			return nil, locate(err, f.place())
		}
	}
	if types&typeString != 0 {
		if err := add(c.text(f)); err != nil {
			return nil, locate(err, f.place())
		}
	}
	if types&nested != 0 {
		c.g.nodes[head].deeper = 1
	}
	if types&typeArray != 0 {
		if err := add(c.array(f)); err != nil {
			return nil, err
		}
	}
	if types&typeObject != 0 {
		if err := add(c.object(f)); err != nil {
			return nil, err
		}
	}
	return words, c.g.err
}

// place is a schema to name in errors about the branch, or nil.
func (f *facts) place() *value {
	if len(f.branch) == 0 {
		return nil
	}
	return f.branch[len(f.branch)-1]
}

// text reads a string.
func (c *compiler) text(f *facts) (int32, error) {
	close := c.g.one('"', end)
	if len(f.patterns) == 0 {
		if f.length.max != unbounded && f.length.max < f.length.min {
			return c.g.split(), nil
		}
		return c.g.one('"', c.g.repeat(c.oneChar(), f.length.min, f.length.max, close)), nil
	}
	var r runes
	if f.length.limits() {
		if f.length.max != unbounded && f.length.max < f.length.min {
			return c.g.split(), nil
		}
		var err error
		if r, err = lengths(c.budget, f.length.min, f.length.max); err != nil {
			return end, err
		}
	}
	for _, v := range f.patterns {
		p, err := c.pattern(v)
		if err == nil && r != nil {
			p, err = intersect(c.budget, p, r)
		}
		if err != nil {
			return end, err
		}
		r = p
	}
	return c.g.one('"', encode(c.g, r, inJSON, close)), nil
}

// oneChar is the rule of one character of a string, in any spelling that JSON has for it.
func (c *compiler) oneChar() int32 {
	if c.char != 0 {
		return c.char
	}
	g := c.g
	hex := func(next int32) int32 {
		return g.bytes(edge{'0', '9', next}, edge{'a', 'f', next}, edge{'A', 'F', next})
	}
	last := hex(hex(end))
	second := g.bytes(edge{'c', 'f', last}, edge{'C', 'F', last})
	low := g.text(`\u`, g.bytes(edge{'d', 'd', second}, edge{'D', 'D', second})) // \uDC00 to \uDFFF
	high := hex(hex(low))
	afterD := g.bytes(edge{'0', '7', last}, edge{'8', '9', high}, edge{'a', 'b', high}, edge{'A', 'B', high})
	third := hex(last)
	first := g.bytes(edge{'0', '9', third}, edge{'a', 'c', third}, edge{'A', 'C', third}, edge{'e', 'f', third}, edge{'E', 'F', third},
		edge{'d', 'd', afterD}, edge{'D', 'D', afterD})
	escaped := g.bytes(edge{'u', 'u', first})
	for _, b := range []byte(`"\/bfnrt`) {
		g.addEdge(escaped, edge{b, b, end})
	}
	c.char = g.bytes(edge{'\\', '\\', escaped})
	e := &encoder{g, map[edge]int32{}, nil}
	for _, r := range anyRune(end) {
		plainPieces(r.lo, min(r.hi, utf8.MaxRune), func(lo, hi rune) { e.utf8(c.char, lo, hi, end) })
	}
	return c.char
}

// array reads an array.
func (c *compiler) array(f *facts) (int32, error) {
	n := 0
	for _, schema := range f.branch {
		if list := schema.get("prefixItems"); list != nil {
			n = max(n, len(list.items))
		}
	}
	if f.items.max != unbounded && f.items.max < f.items.min {
		return c.g.split(), nil
	}
	if err := c.spend(n * (1 + len(f.branch))); err != nil {
		return end, err
	}
	more := c.read(item(f.branch, n), end)
	if n > 0 {
		more = c.g.one(',', c.space(more))
	}
	close := c.g.one(']', end)
	if n == 0 {
		return c.g.one('[', c.list(more, f.items, close)), nil
	}
	at := close
	if left := f.items.less(n); left.max != 0 {
		at = c.g.repeat(more, left.min, left.max, close)
	}
	for i := n - 1; i >= 0 && c.g.err == nil; i-- {
		if f.items.max != unbounded && i >= int(f.items.max) {
			at = close
			continue
		}
		read := c.read(item(f.branch, i), at)
		if i > 0 {
			read = c.g.one(',', c.space(read))
		}
		if at = read; i >= int(f.items.min) {
			at = c.g.split(read, close)
		}
	}
	return c.g.one('[', at), nil
}

// less is the span after n things.
func (s span) less(n int) span {
	s.min = max(0, s.min-int32(n))
	if s.max != unbounded {
		s.max = max(0, s.max-int32(n))
	}
	return s
}

// list reads as many things as the span says, with commas between them.
func (c *compiler) list(thing int32, s span, next int32) int32 {
	if s.max == 0 {
		return next
	}
	left := s.less(1)
	rest := c.g.repeat(c.g.one(',', c.space(thing)), left.min, left.max, next)
	first := c.g.call(thing, rest)
	if s.min == 0 {
		return c.g.split(first, next)
	}
	return first
}

// space reads one space or none: all the white space that is written, after ',' and ':'.
func (c *compiler) space(next int32) int32 { return c.g.split(next, c.g.one(' ', next)) }

// item is the conjunction for item i; all from the longest prefixItems on are the same.
func item(b branch, i int) branch {
	var schemas []*value
	for _, schema := range b {
		if list := schema.get("prefixItems"); list != nil && i < len(list.items) {
			schemas = append(schemas, list.items[i])
		} else if rest := schema.get("items"); rest != nil {
			schemas = append(schemas, rest)
		}
	}
	return conjunction(schemas...)
}
