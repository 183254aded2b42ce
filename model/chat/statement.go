package chat

import (
	"errors"
	"fmt"
	"strings"
)

// statement is what stands between {% and %}, an output, or literal text.
type statement interface {
	exec(m *machine) error
}

type (
	// print writes a value: an output or literal text.
	print struct {
		line int
		of   expression
	}
	// each is a loop.
	each struct {
		line        int
		names       []string
		over, where expression // where: only items for which it is true; nil = all
		body, empty []statement
	}
	// choice is an if with its elifs: bodies[i] runs if tests[i] is the first true one.
	choice struct {
		line   int
		tests  []expression
		bodies [][]statement
		other  []statement
	}
	// assign is a set, of an expression or (from = nil) of what its body writes.
	assign struct {
		line      int
		name, key string // key "" = a variable, else an attribute of the namespace called name
		from      expression
		body      []statement
	}
	// jump is a break or continue.
	jump struct {
		line int
		out  bool // break
	}
	// group is a body with variables of its own.
	group struct {
		line int
		body []statement
	}
)

// How a jump gets out of the statements around it. No render ends with them: the parser allows jumps in loops only.
var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

func (m *machine) execAll(body []statement) error {
	for _, s := range body {
		if err := m.spend(1); err != nil {
			return err
		}
		if err := s.exec(m); err != nil {
			return err
		}
	}
	return nil
}

func (s *print) exec(m *machine) error {
	m.line = s.line
	v, err := m.eval(s.of)
	if err != nil {
		return err
	}
	t, err := toText(v)
	if err != nil {
		return err
	}
	return m.write(t)
}

func (s *jump) exec(*machine) error {
	if s.out {
		return errBreak
	}
	return errContinue
}

func (s *group) exec(m *machine) error {
	return m.scoped(func(*frame) error { return m.execAll(s.body) })
}

func (s *choice) exec(m *machine) error {
	for i, test := range s.tests {
		m.line = s.line
		v, err := m.eval(test)
		if err != nil {
			return err
		}
		if truth(v) {
			return m.execAll(s.bodies[i])
		}
	}
	return m.execAll(s.other)
}

func (s *assign) exec(m *machine) error {
	m.line = s.line
	v, err := s.value(m)
	if err != nil {
		return err
	}
	m.line = s.line
	if s.key == "" {
		m.frame.set(s.name, v)
		return nil
	}
	target, err := m.lookup(s.name)
	if err != nil {
		return err
	}
	ns, ok := target.(*namespace)
	if !ok {
		return fmt.Errorf("set %s.%s: %s is %s; only a namespace() can be changed", s.name, s.key, s.name, typeName(target))
	}
	if strings.HasPrefix(s.key, "_") {
		return errPrivate(s.key)
	}
	ns.set(literal(s.key), v)
	return nil
}

// value is what is assigned. A body writes to a text instead of the output, and has variables of its own.
func (s *assign) value(m *machine) (value, error) {
	if s.from != nil {
		return m.eval(s.from)
	}
	outer := m.out
	m.out = &textBuilder{}
	defer func() { m.out = outer }()
	err := m.scoped(func(*frame) error { return m.execAll(s.body) })
	return m.out.text(), err
}

// exec visits the items, each with fresh variables. Which items pass the loop's if is decided before the first visit.
func (s *each) exec(m *machine) error {
	m.line = s.line
	over, err := m.eval(s.over)
	if err != nil {
		return err
	}
	items, err := iterate(m, over)
	if err != nil {
		return err
	}
	return m.scoped(func(f *frame) error {
		if items, err = s.chosen(m, f, items); err != nil {
			return err
		}
		ended, err := s.visit(m, f, items)
		if ended || err != nil {
			return err
		}
		f.clear()
		return m.execAll(s.empty)
	})
}

func (s *each) chosen(m *machine, f *frame, items []value) ([]value, error) {
	if s.where == nil {
		return items, nil
	}
	var chosen []value
	for _, item := range items {
		if err := s.bind(m, f, item); err != nil {
			return nil, err
		}
		v, err := m.eval(s.where)
		if err != nil {
			return nil, err
		}
		if truth(v) {
			chosen = append(chosen, item)
		}
	}
	return chosen, nil
}

// visit runs the body for each item. As in Jinja, ended is false, and the else runs, also if a break or continue left the body
// each time.
func (s *each) visit(m *machine, f *frame, items []value) (ended bool, err error) {
	l := &loop{items: items}
	for i, item := range items {
		m.line = s.line
		if err := s.bind(m, f, item); err != nil {
			return false, err
		}
		l.at = i
		f.set("loop", l)
		switch err := m.execAll(s.body); err {
		case nil:
			ended = true
		case errContinue:
		case errBreak:
			return ended, nil
		default:
			return false, err
		}
	}
	return ended, nil
}

// bind gives the loop's names their values, in a frame without others.
func (s *each) bind(m *machine, f *frame, item value) error {
	f.clear()
	if len(s.names) == 1 {
		f.set(s.names[0], item)
		return m.spend(1)
	}
	parts, err := iterate(m, item)
	if err != nil || len(parts) != len(s.names) {
		return fmt.Errorf("for: %s does not unpack into %d names", typeName(item), len(s.names))
	}
	for i, name := range s.names {
		f.set(name, parts[i])
	}
	return nil
}
