package chat

import (
	"fmt"
	"slices"
)

// macro makes a function of the template: calling it runs the body and yields what that writes.
type macro struct {
	line       int
	name       string
	parameters []parameter
	body       []statement
}

// parameter is a macro's. otherwise is evaluated at each call that does not give it; nil = it is undefined then.
type parameter struct {
	name      string
	otherwise expression
}

// errDeepCalls cannot come of recursion, which is refused before.
var errDeepCalls = fmt.Errorf("the limit maxCallDepth is passed: more than %d macros call each other", maxCallDepth)

// macroTag reads what follows {% macro.
func (p *parser) macroTag(line int) (statement, error) {
	t := p.take()
	if t.kind != name {
		return nil, fmt.Errorf("got %s; want the macro's name", t)
	}
	d := &macro{line: line, name: t.text}
	err := p.expect(operator, "(")
	if err == nil {
		d.parameters, err = p.parameters()
	}
	if err == nil {
		err = p.expect(tagEnd, "")
	}
	if err != nil {
		return nil, err
	}
	loops, around := p.loops, p.macro
	p.loops, p.macro = 0, d // no break out of the text that a call makes
	d.body, _, err = p.body("endmacro")
	p.loops, p.macro = loops, around
	return d, err
}

// parameters reads up to the closing bracket.
func (p *parser) parameters() (all []parameter, err error) {
	for !p.accept(operator, ")") {
		if len(all) > 0 {
			if err := p.expect(operator, ","); err != nil {
				return nil, err
			}
		}
		t := p.take()
		if t.kind != name {
			return nil, fmt.Errorf("got %s; want a parameter's name", t)
		}
		next := parameter{name: t.text}
		if p.accept(operator, "=") {
			if next.otherwise, err = p.expression(); err != nil {
				return nil, err
			}
		} else if n := len(all); n > 0 && all[n-1].otherwise != nil {
			return nil, fmt.Errorf("parameter %s without a default follows one with a default", t)
		}
		all = append(all, next)
	}
	return all, nil
}

// has says whether the macro names this parameter. A body may ask Jinja for varargs, kwargs and caller without naming them.
func (s *macro) has(word string) bool {
	return slices.ContainsFunc(s.parameters, func(p parameter) bool { return p.name == word })
}

// exec gives the macro its name, where it stands. Its body sees the variables around the macro, not those around a call.
func (s *macro) exec(m *machine) error {
	m.line = s.line
	around := m.frame
	call := func(m *machine, a arguments) (value, error) { return s.call(m, around, a) }
	m.frame.set(s.name, &function{s.name, call})
	return nil
}

// call refuses recursion, so a template's own size bounds how deep its evaluation goes.
func (s *macro) call(m *machine, around *frame, a arguments) (value, error) {
	if slices.Contains(m.calls, s) {
		return nil, fmt.Errorf("macro %s calls itself; recursive macros are not supported in chat templates", s.name)
	}
	if len(m.calls) >= maxCallDepth {
		return nil, errDeepCalls
	}
	line, caller, out := m.line, m.frame, m.out
	m.calls, m.frame, m.out = append(m.calls, s), &frame{outer: around}, &textBuilder{}
	defer func() { m.calls, m.frame, m.out = m.calls[:len(m.calls)-1], caller, out }()
	if err := s.bind(m, a); err != nil {
		return nil, err
	}
	if err := m.execAll(s.body); err != nil {
		return nil, err
	}
	m.line = line
	return m.out.text(), nil
}

// bind gives the parameters their values. Defaults are evaluated in their order and may use earlier parameters.
func (s *macro) bind(m *machine, a arguments) error {
	if err := m.spend(len(s.parameters)); err != nil {
		return err
	}
	if len(a.positional) > len(s.parameters) {
		return fmt.Errorf("got %d arguments; want at most %d", len(a.positional), len(s.parameters))
	}
	for i, v := range a.positional {
		m.frame.set(s.parameters[i].name, v)
	}
	for _, n := range a.named {
		if _, given := m.frame.vars[n.name]; given {
			return fmt.Errorf("got two values for argument %s", n.name)
		}
		if !s.has(n.name) {
			return fmt.Errorf("there is no argument %s", n.name)
		}
		m.frame.set(n.name, n.v)
	}
	return s.bindDefaults(m)
}

func (s *macro) bindDefaults(m *machine) error {
	for _, p := range s.parameters {
		if _, given := m.frame.vars[p.name]; given {
			continue
		}
		var v value = undefined{"argument " + p.name}
		if p.otherwise != nil {
			var err error
			if v, err = m.eval(p.otherwise); err != nil {
				return err
			}
		}
		m.frame.set(p.name, v)
	}
	return nil
}

// filterTag reads `{% filter f | g(...) %}...{% endfilter %}`: a text that is captured, filtered and written.
func (p *parser) filterTag(line int) (statement, error) {
	const captured = "the text of a filter tag" // no template can write a variable of this name
	var e expression = &variable{captured}
	for n := 0; n == 0 || p.accept(operator, "|"); n++ {
		if n > maxParseDepth {
			return nil, errTooDeep
		}
		var err error
		if e, err = p.filter(e); err != nil {
			return nil, err
		}
	}
	if err := p.expect(tagEnd, ""); err != nil {
		return nil, err
	}
	loops := p.loops
	p.loops = 0
	body, _, err := p.body("endfilter")
	p.loops = loops
	return &group{line, []statement{&assign{line: line, name: captured, body: body}, &print{line, e}}}, err
}
