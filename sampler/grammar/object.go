package grammar

import "slices"

// required lists the properties that must be there.
func (f *facts) required() []string {
	var all []string
	for _, schema := range f.branch {
		if list := schema.get("required"); list != nil {
			for _, v := range list.items {
				all = append(all, v.text)
			}
		}
	}
	return all
}

// declaredNames are the properties in the order in which they are written: as schemas name them, then the others that are required.
func (f *facts) declaredNames(required []string) []string {
	var all []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			all = append(all, name)
		}
		seen[name] = true
	}
	for _, schema := range f.branch {
		if table := schema.get("properties"); table != nil {
			for _, m := range table.members {
				add(m.name)
			}
		}
	}
	for _, name := range required {
		add(name)
	}
	return all
}

// property is the conjunction for the value of a property.
func (c *compiler) property(b branch, name string) (branch, error) {
	var schemas []*value
	for _, schema := range b {
		matched := false
		if table := schema.get("properties"); table != nil {
			if v := table.get(name); v != nil {
				schemas, matched = append(schemas, v), true
			}
		}
		if table := schema.get("patternProperties"); table != nil {
			for _, m := range table.members {
				r, err := c.regex(m.value, m.name, part)
				if err != nil {
					return nil, err
				}
				if r.accepts(name) {
					schemas, matched = append(schemas, m.value), true
				}
				if err := c.spend(5 + len(name)); err != nil {
					return nil, err
				}
			}
		}
		if rest := schema.get("additionalProperties"); rest != nil && !matched {
			schemas = append(schemas, rest)
		}
	}
	return conjunction(schemas...), c.spend(5 + len(b))
}

// extra is a class of keys that are not declared, and the conjunction for their values.
type extra struct {
	keys    runes // nil = all keys
	schemas branch
}

// extras are the classes of other keys: those that match exactly one of the patterns, and those that match none. The latter
// are written only where "additionalProperties" is there, or nothing is declared at all. No key is of two classes.
func (c *compiler) extras(f *facts, declared []string) ([]extra, error) {
	var patterns []string
	free := true
	asked := false
	for _, schema := range f.branch {
		asked = asked || schema.get("additionalProperties") != nil
		free = free && schema.get("properties") == nil && schema.get("patternProperties") == nil
		if table := schema.get("patternProperties"); table != nil {
			for _, m := range table.members {
				if !slices.Contains(patterns, m.name) {
					patterns = append(patterns, m.name)
				}
			}
		}
	}
	if err := c.spend(len(patterns) * len(patterns)); err != nil {
		return nil, err
	}
	var all []extra
	for i := range patterns {
		e, err := c.extra(f, i, patterns, declared)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if !free && !asked {
		return all, nil
	}
	e, err := c.extra(f, -1, patterns, declared)
	return append(all, e), err
}

// extra is the class of keys that match only pattern i, or none if i is -1.
func (c *compiler) extra(f *facts, i int, patterns, declared []string) (extra, error) {
	var e extra
	var schemas []*value
	for _, schema := range f.branch {
		matching := (*value)(nil)
		if table := schema.get("patternProperties"); table != nil && i >= 0 {
			matching = table.get(patterns[i])
		}
		if matching == nil {
			matching = schema.get("additionalProperties")
		}
		if matching != nil {
			schemas = append(schemas, matching)
		}
	}
	if e.schemas = conjunction(schemas...); len(patterns)+len(declared) == 0 {
		return e, nil
	}
	keys, err := texts(c.budget, declared)
	if err != nil {
		return e, err
	}
	e.keys = runes{{accept: true, edges: anyRune(0)}}
	if i >= 0 {
		if e.keys, err = c.regex(f.keyPlace(patterns[i]), patterns[i], part); err != nil {
			return e, err
		}
	}
	if e.keys, err = minus(c.budget, e.keys, keys); err != nil {
		return e, err
	}
	for k, other := range patterns {
		r, err := c.regex(f.keyPlace(other), other, part)
		if err == nil && k != i {
			e.keys, err = minus(c.budget, e.keys, r)
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

// keyPlace is where a key of "patternProperties" stands, for errors.
func (f *facts) keyPlace(pattern string) *value {
	for _, schema := range f.branch {
		if table := schema.get("patternProperties"); table != nil && table.get(pattern) != nil {
			return table.get(pattern)
		}
	}
	return f.place()
}

// object reads an object: the declared properties in their order, then others.
func (c *compiler) object(f *facts) (int32, error) {
	required := f.required()
	declared := f.declaredNames(required)
	if len(declared) > c.limits.ObjectProperties {
		return end, fail(TooComplex, f.place().pointer(), "too complex: an object with %d properties, limit %d; use fewer", len(declared), c.limits.ObjectProperties)
	}
	extras, err := c.extras(f, declared)
	if err != nil {
		return end, err
	}
	if len(extras) > 0 && int(f.members.min) > len(declared)+1 {
		return end, fail(Unsupported, f.place().pointer(), "minProperties %d is not supported where only %d properties have names: it cannot be guaranteed that the others differ", f.members.min, len(declared))
	}
	must := map[string]bool{}
	for _, name := range required {
		must[name] = true
	}
	o := &objectGraph{compiler: c, span: f.members, pair: end, rows: 2}
	if o.span.max != unbounded || o.span.min > 1 {
		o.rows = min(len(declared), max(int(o.span.min), int(o.span.max))) + 1
		o.rows = max(o.rows, 2)
	}
	o.setPair(extras)
	at := o.tails()
	for i := len(declared) - 1; i >= 0; i-- {
		schemas, err := c.property(f.branch, declared[i])
		if err != nil {
			return end, err
		}
		if at = o.before(at, declared[i], must[declared[i]], schemas); c.g.err != nil {
			return end, c.g.err
		}
	}
	return c.g.one('{', at[0]), c.g.err
}

// objectGraph builds an object from its end. What is left to read depends on how many properties were written: rows counts them,
// and the last row stands for that many or more.
type objectGraph struct {
	*compiler
	span span
	pair int32 // the rule of one property that is not declared; end = there is none
	rows int
}

// setPair makes the rule of one other property.
func (o *objectGraph) setPair(extras []extra) {
	var alternatives []int32
	for _, e := range extras {
		value := o.g.one(':', o.space(o.read(e.schemas, end)))
		if e.keys == nil {
			alternatives = append(alternatives, o.g.one('"', o.g.repeat(o.oneChar(), 0, unbounded, o.g.one('"', value))))
		} else {
			alternatives = append(alternatives, o.g.one('"', encode(o.g, e.keys, inJSON, o.g.one('"', value))))
		}
	}
	if len(alternatives) > 0 {
		o.pair = o.g.split(alternatives...)
	}
}

// tails are what follows the declared properties, by how many of them were written. Other properties may be equal, so that
// however many there are, they count as one towards the minimum.
func (o *objectGraph) tails() []int32 {
	at := make([]int32, o.rows)
	close := o.g.one('}', end)
	for n := range at {
		left := o.span.less(n)
		switch {
		case o.span.max != unbounded && o.span.max < o.span.min, left.min > 1, left.min > 0 && o.pair == end, o.span.max != unbounded && n > int(o.span.max):
			at[n] = o.g.split()
		case o.pair == end:
			at[n] = close
		case n == 0:
			at[n] = o.list(o.pair, left, close)
		default:
			at[n] = o.g.repeat(o.g.one(',', o.space(o.pair)), left.min, left.max, close)
		}
	}
	return at
}

// before puts a property before what at says for each number of properties that were written.
func (o *objectGraph) before(at []int32, name string, must bool, schemas branch) []int32 {
	before := make([]int32, len(at))
	key := quote(name) + ":"
	for n := range before {
		follows := at[min(n+1, len(at)-1)]
		if n+1 == len(at) && o.span.max != unbounded && n >= int(o.span.max) {
			follows = o.g.split() // one too many
		}
		read := o.g.text(key, o.space(o.read(schemas, follows)))
		if n > 0 {
			read = o.g.one(',', o.space(read))
		}
		if before[n] = read; !must {
			before[n] = o.g.split(read, at[n])
		}
	}
	return before
}
