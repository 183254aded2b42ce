package chat

import (
	"fmt"
	"time"
)

// machine is one run of a template: its variables, what it has written, and what it may still spend.
type machine struct {
	template    *Template
	in          Input
	now         time.Time // zero until strftime_now asks for it
	root, frame *frame
	out         *textBuilder
	line        int // of the statement that runs
	steps       int // spent of maxSteps
	built       int // spent of maxBuiltBytes
	filters     map[string]filter
	calls       []*macro // those that run
}

func newMachine(t *Template, in Input) *machine {
	root := &frame{}
	return &machine{template: t, in: in, now: in.Now, root: root, frame: root, out: &textBuilder{}, line: 1, filters: filters}
}

// Work is charged in steps. What is not a node of the template or an item of a list counts by size.
const (
	bytesPerStep     = 256 // of texts that are read
	runeBytesPerStep = 64  // of texts that are changed rune by rune, beside that
	spanBytes        = 16  // of memory for each stretch of trust in a text
)

var (
	errDeepValue = fmt.Errorf("the limit maxValueDepth is passed: more than %d lists or mappings within each other", maxValueDepth)

	errSteps  = fmt.Errorf("the limit maxSteps is passed: rendering takes more than %d steps", maxSteps)
	errBuilt  = fmt.Errorf("the limit maxBuiltBytes is passed: the texts made on the way have more than %d bytes", maxBuiltBytes)
	errOutput = fmt.Errorf("the limit maxOutputBytes is passed: a text has more than %d bytes", maxOutputBytes)
)

func (m *machine) spend(steps int) error {
	if steps < 0 || steps > maxSteps-m.steps {
		m.steps = maxSteps
		return errSteps
	}
	m.steps += steps
	return nil
}

// touch spends what it costs to look at the values once. Who visits the items of a list spends for each.
func (m *machine) touch(all ...value) error {
	for _, v := range all {
		steps := 1
		if t, ok := v.(text); ok {
			steps += len(t.s) / bytesPerStep
		}
		if err := m.spend(steps); err != nil {
			return err
		}
	}
	return nil
}

// build accounts for bytes of text before they are made.
func (m *machine) build(bytes int) error {
	if bytes < 0 || bytes > maxBuiltBytes-m.built {
		m.built = maxBuiltBytes
		return errBuilt
	}
	m.built += bytes
	return nil
}

// times is build for count texts of the given length.
func (m *machine) times(count, bytes int) error {
	if bytes > 0 && count > maxBuiltBytes/bytes {
		return errBuilt
	}
	return m.build(count * bytes)
}

// made accounts for a text that shares its bytes with others or whose bytes are accounted for: for its spans.
func (m *machine) made(t text) (value, error) {
	return t, m.build(spanBytes * len(t.spans))
}

// concat is a + b within the limits.
func (m *machine) concat(a, b text) (value, error) {
	if err := m.build(len(a.s) + len(b.s) + spanBytes*(len(a.spans)+len(b.spans))); err != nil {
		return nil, err
	}
	return concat(a, b), nil
}

func (m *machine) write(t text) error {
	if len(t.s) > maxOutputBytes-m.out.s.Len() {
		return errOutput
	}
	if err := m.build(len(t.s) + spanBytes*len(t.spans)); err != nil {
		return err
	}
	m.out.add(t)
	return nil
}

func (m *machine) eval(e expression) (value, error) {
	if err := m.spend(1); err != nil {
		return nil, err
	}
	return e.eval(m)
}

// frame holds the variables that a loop's body or a captured text sets; they hide those of the frames around it.
type frame struct {
	outer *frame
	vars  map[string]value
}

func (f *frame) set(name string, v value) {
	if f.vars == nil {
		f.vars = map[string]value{}
	}
	f.vars[name] = v
}

func (f *frame) clear() { clear(f.vars) }

// scoped runs what has variables of its own.
func (m *machine) scoped(run func(*frame) error) error {
	f := &frame{outer: m.frame}
	m.frame = f
	defer func() { m.frame = f.outer }()
	return run(f)
}

// lookup finds a variable: the template's own, then the input's, then a global function.
func (m *machine) lookup(name string) (value, error) {
	for f := m.frame; f != nil; f = f.outer {
		if v, known := f.vars[name]; known {
			return v, nil
		}
	}
	v, err := m.input(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if _, missing := v.(undefined); missing && globals[name] != nil {
		v = &function{name, globals[name]}
	}
	m.root.set(name, v)
	return v, nil
}

// loop is the variable of that name in a loop's body.
type loop struct {
	items []value
	at    int
	seen  *list // the arguments of the last changed()
}

// attribute is loop.name; ok is false if there is none.
func (l *loop) attribute(name string) (v value, ok bool) {
	n := int64(len(l.items))
	at := int64(l.at)
	switch name {
	case "index":
		return at + 1, true
	case "index0":
		return at, true
	case "revindex":
		return n - at, true
	case "revindex0":
		return n - at - 1, true
	case "first":
		return at == 0, true
	case "last":
		return at == n-1, true
	case "length":
		return n, true
	case "depth": // loops are not recursive
		return int64(1), true
	case "depth0":
		return int64(0), true
	case "previtem":
		return l.neighbour(l.at-1, name), true
	case "nextitem":
		return l.neighbour(l.at+1, name), true
	case "cycle":
		return &function{"loop.cycle", l.cycle}, true
	case "changed":
		return &function{"loop.changed", l.changed}, true
	}
	return nil, false
}

func (l *loop) neighbour(i int, name string) value {
	if i < 0 || i >= len(l.items) {
		return undefined{"loop." + name}
	}
	return l.items[i]
}

func (l *loop) cycle(_ *machine, a arguments) (value, error) {
	if len(a.positional) == 0 || len(a.named) > 0 {
		return nil, fmt.Errorf("it takes the items to cycle through")
	}
	return a.positional[l.at%len(a.positional)], nil
}

func (l *loop) changed(m *machine, a arguments) (value, error) {
	now, before := &list{items: a.positional}, l.seen
	l.seen = now
	if before == nil {
		return true, nil
	}
	same, err := equal(m, now, before, 0)
	return !same, err
}
