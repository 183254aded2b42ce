package grammar

import "slices"

// maxCount of lengths and numbers of items: a larger maximum is as good as this one, a larger minimum is refused.
const maxCount = 1 << 20

// facts is what all keywords of a branch say together.
type facts struct {
	branch   branch
	types    typeSet // that may be valid
	typed    bool    // some schema says "type"
	hinted   typeSet // types that other keywords speak of
	nullable bool    // OpenAPI's word for "or null"
	finite   bool    // only values may be valid
	values   []*value
	numbers  interval
	patterns []*value // "pattern" and "format" of strings
	length   span
	items    span
	members  span
	unique   *value
}

// span is a range of counts; max unbounded = no maximum.
type span struct{ min, max int32 }

func (s *span) atMost(n int32) {
	if s.max == unbounded || n < s.max {
		s.max = n
	}
}

func (s span) contains(n int) bool { return n >= int(s.min) && (s.max == unbounded || n <= int(s.max)) }
func (s span) limits() bool        { return s.min > 0 || s.max != unbounded }

func (f *facts) impossible() bool { return f.types == noType || f.finite && len(f.values) == 0 }

// emitted are the types that the automaton writes: without "type", those that the keywords speak of.
func (f *facts) emitted() typeSet {
	if !f.typed && f.hinted != noType {
		if f.nullable {
			return f.types & (f.hinted | typeNull)
		}
		return f.types & f.hinted
	}
	return f.types
}

// gather reads the keywords of a branch.
func (c *compiler) gather(b branch) (*facts, error) {
	f := &facts{branch: b, types: anyType, length: span{0, unbounded}, items: span{0, unbounded}, members: span{0, unbounded}}
	for _, schema := range b {
		if err := c.spend(2 + len(schema.members)); err != nil {
			return nil, err
		}
		if schema.isFalse() {
			f.types, f.typed = noType, true
		}
		for _, m := range schema.members {
			f.hinted |= hints[m.name]
			if err := c.apply(f, schema, m.name, m.value); err != nil {
				return nil, err
			}
		}
	}
	if f.unique != nil && f.types&typeArray != 0 && !f.finite && (f.items.max == unbounded || f.items.max > 1) {
		return nil, fail(Unsupported, f.unique.pointer(), "uniqueItems is not supported, other than with maxItems 1; remove it")
	}
	return f, c.filter(f)
}

func (c *compiler) apply(f *facts, schema *value, name string, v *value) error {
	switch name {
	case "type":
		f.typed = true
		f.types &= declared(schema, v)
	case "nullable":
		f.nullable = f.nullable || v.isTrue()
	case "const":
		return c.only(f, v)
	case "enum":
		return c.only(f, v.items...)
	case "pattern":
		f.patterns = append(f.patterns, v)
	case "format":
		return f.format(v)
	case "uniqueItems":
		if v.isTrue() {
			f.unique = v
		}
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return f.numbers.apply(name, v)
	default:
		return f.count(name, v)
	}
	return nil
}

// declared is what "type" says, with null where OpenAPI's "nullable" adds it.
func declared(schema, v *value) typeSet {
	types := typeNames[v.text]
	for _, item := range v.items {
		types |= typeNames[item.text]
	}
	if nullable := schema.get("nullable"); nullable != nil && nullable.isTrue() {
		types |= typeNull
	}
	return types
}

// only leaves those of the values that were valid so far.
func (c *compiler) only(f *facts, values ...*value) error {
	known := map[string]bool{}
	for _, v := range f.values {
		known[v.identity()] = true
	}
	seen, kept := map[string]bool{}, []*value(nil)
	for _, v := range values {
		id := v.identity()
		if err := c.spend(5 + len(id)/8); err != nil {
			return err
		}
		if !seen[id] && (!f.finite || known[id]) {
			kept = append(kept, v)
		}
		seen[id] = true
	}
	f.finite, f.values = true, kept
	return nil
}

func (f *facts) format(v *value) error {
	switch v.text {
	case "int64", "double":
		f.hinted |= numeric
	case "int32":
		f.hinted |= numeric
		f.numbers.lo = tighter(f.numbers.lo, &bound{decimal{true, "2147483648", ""}, false}, true)
		f.numbers.hi = tighter(f.numbers.hi, &bound{decimal{false, "2147483647", ""}, false}, false)
	default:
		f.hinted |= typeString
		if formats[v.text] == "" {
			return fail(Unsupported, v.pointer(), "the format %.100q is not supported; those that are: %s, int32, int64, double", v.text, names(formats))
		}
		f.patterns = append(f.patterns, v)
	}
	return nil
}

func (i *interval) apply(name string, v *value) error {
	b := &bound{v.number, name == "exclusiveMinimum" || name == "exclusiveMaximum"}
	switch name {
	case "minimum", "exclusiveMinimum":
		i.lo = tighter(i.lo, b, true)
		return nil
	case "maximum", "exclusiveMaximum":
		i.hi = tighter(i.hi, b, false)
		return nil
	}
	m, places, ok := v.number.step()
	if !ok {
		return fail(Unsupported, v.pointer(), "multipleOf %.40s is not supported; it must be a number above 0 whose digits, without the point, are at most %d", v.text, maxStep)
	}
	if i.step != 0 && (m != i.step || places != i.places) {
		return fail(Unsupported, v.pointer(), "two different multipleOf for one value are not supported")
	}
	i.step, i.places = m, places
	return nil
}

// count applies the keywords whose value is a number of things.
func (f *facts) count(name string, v *value) error {
	ranges := map[string]*span{"Length": &f.length, "Items": &f.items, "Properties": &f.members}
	if assertions[name] != ofCount {
		return nil
	}
	s, n := ranges[name[len("min"):]], int32(maxCount)
	if len(v.number.whole) < len("1048576") {
		n = 0
		for _, d := range v.number.whole {
			n = n*10 + d - '0'
		}
	}
	if name[:len("min")] == "max" {
		s.atMost(n)
		return nil
	}
	if n == maxCount {
		return fail(TooComplex, v.pointer(), "too complex: %s %.40s, limit %d", name, v.text, 999_999)
	}
	s.min = max(s.min, n)
	return nil
}

// filter leaves the values that the other keywords admit.
func (c *compiler) filter(f *facts) error {
	if !f.finite {
		return nil
	}
	var kept []*value
	for _, v := range f.values {
		ok, err := c.admits(f, v)
		if err != nil {
			return err
		}
		if ok {
			kept = append(kept, v)
		}
	}
	f.values = kept
	return nil
}

// admits says that v is valid against the keywords of f other than enum and const. Arrays and objects are looked at only as far
// as their type.
func (c *compiler) admits(f *facts, v *value) (bool, error) {
	if v.is&f.types == 0 {
		return false, nil
	}
	switch {
	case v.is&numeric != 0:
		return f.numbers.admits(v.number), c.spend(5)
	case v.is == typeString:
		return c.admitsText(f, v.text)
	case v.is&nested != 0 && f.describes(v.is):
		return false, fail(Unsupported, v.pointer(), "enum or const with arrays or objects beside keywords for their content is not supported; remove one of them")
	}
	return true, c.spend(1)
}

// describes says that some keyword speaks of the content of arrays, or of objects.
func (f *facts) describes(t typeSet) bool {
	return slices.ContainsFunc(f.branch, func(schema *value) bool {
		return slices.ContainsFunc(schema.members, func(m member) bool { return hints[m.name] == t })
	})
}

func (c *compiler) admitsText(f *facts, text string) (bool, error) {
	n := 0
	for range text {
		n++
	}
	if !f.length.contains(n) {
		return false, nil
	}
	for _, p := range f.patterns {
		r, err := c.pattern(p)
		if err != nil || !r.accepts(text) {
			return false, err
		}
	}
	return true, c.spend(1 + n*len(f.patterns))
}

// accepts runs the automaton on a text.
func (r runes) accepts(text string) bool {
	at := int32(0)
	for _, c := range text {
		i, found := slices.BinarySearchFunc(r[at].edges, c, func(e runeEdge, c rune) int {
			if e.hi < c {
				return -1
			}
			return max(0, int(e.lo-c))
		})
		if !found {
			return false
		}
		at = r[at].edges[i].to
	}
	return r[at].accept
}

// pattern is the automaton of a "pattern" or "format".
func (c *compiler) pattern(v *value) (runes, error) {
	text, how := v.text, part
	if v.name == "format" {
		text, how = formats[text], whole
	}
	return c.regex(v, text, how)
}

// regex compiles an expression that stands at v, once.
func (c *compiler) regex(at *value, text string, how matching) (runes, error) {
	key := regexKey{text, how}
	if r, ok := c.regexes[key]; ok {
		return r, nil
	}
	r, err := compileRegex(c.budget, text, how)
	if err != nil {
		return nil, locate(err, at)
	}
	c.regexes[key] = r
	return r, nil
}

type regexKey struct {
	text string
	how  matching
}

// locate puts the place of v into an error that has none.
func locate(err error, v *value) error {
	if e, ok := err.(*Error); ok && e.Pointer == "" && v != nil {
		return &Error{e.Problem, v.pointer(), e.Reason}
	}
	return err
}
