package chat

import (
	"fmt"
	"strings"
)

// parser builds statements and expressions from tokens, by recursive descent.
type parser struct {
	tokens []token
	pos    int
	depth  int
	loops  int    // around the statement being read
	ifs    int    // around it
	macro  *macro // around it
}

// errTooDeep is also for chains of operators: they are evaluated by recursion.
var errTooDeep = fmt.Errorf("the limit maxParseDepth is passed: more than %d blocks, brackets or operators within each other", maxParseDepth)

func parse(tokens []token) ([]statement, error) {
	p := &parser{tokens: tokens}
	body, _, err := p.block("")
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", p.peek().line, err)
	}
	return body, nil
}

func (p *parser) peek() token { return p.tokens[p.pos] }

// take returns the next token and moves on; the last one, endOfTemplate, stays.
func (p *parser) take() token {
	t := p.tokens[p.pos]
	if t.kind != endOfTemplate {
		p.pos++
	}
	return t
}

// is says whether the next token is this operator or name.
func (p *parser) is(k kind, text string) bool { return p.peek().kind == k && p.peek().text == text }

func (p *parser) accept(k kind, text string) bool {
	if p.is(k, text) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(k kind, text string) error {
	if !p.accept(k, text) {
		return fmt.Errorf("got %s; want %s", p.peek(), token{kind: k, text: text})
	}
	return nil
}

// String describes a token in error messages.
func (t token) String() string {
	switch t.kind {
	case endOfTemplate:
		return "the end of the template"
	case data:
		return "text"
	case outputBegin, outputEnd, tagBegin, tagEnd:
		return map[kind]string{outputBegin: "{{", outputEnd: "}}", tagBegin: "{%", tagEnd: "%}"}[t.kind]
	case quoted:
		return fmt.Sprintf("the string %.40q", t.text)
	case name:
		if t.text == "" {
			return "a name"
		}
	}
	return t.text
}

// block reads statements up to one of the ends (names between spaces; "" = the end of the template), takes its name and
// leaves what follows it.
func (p *parser) block(ends string) (body []statement, end string, err error) {
	if p.depth++; p.depth > maxParseDepth {
		return nil, "", errTooDeep
	}
	defer func() { p.depth-- }()
	for {
		switch t := p.take(); t.kind {
		case endOfTemplate:
			if ends != "" {
				return nil, "", fmt.Errorf("{%% %s %%} is missing", strings.Fields(ends)[len(strings.Fields(ends))-1])
			}
			return body, "", nil
		case data:
			body = append(body, &print{t.line, constant{literal(t.text)}})
		case outputBegin:
			e, err := p.output()
			if err != nil {
				return nil, "", err
			}
			body = append(body, &print{t.line, e})
		case tagBegin:
			word := p.peek()
			if word.kind == name && strings.Contains(" "+ends+" ", " "+word.text+" ") {
				p.pos++
				return body, word.text, nil
			}
			s, err := p.tag()
			if err != nil {
				return nil, "", err
			}
			body = append(body, s)
		}
	}
}

func (p *parser) output() (expression, error) {
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	return e, p.expect(outputEnd, "")
}

// tag reads what follows {%.
func (p *parser) tag() (statement, error) {
	word := p.take()
	switch word.text {
	case "for":
		return p.forTag(word.line)
	case "if":
		return p.ifTag(word.line)
	case "set":
		return p.setTag(word.line)
	case "break", "continue":
		if p.loops == 0 {
			return nil, fmt.Errorf("%s outside a loop", word.text)
		}
		return &jump{word.line, word.text == "break"}, p.expect(tagEnd, "")
	case "generation": // marks the model's own text for training; renders as its body
		if err := p.expect(tagEnd, ""); err != nil {
			return nil, err
		}
		body, _, err := p.body("endgeneration")
		return &group{word.line, body}, err
	case "macro":
		return p.macroTag(word.line)
	case "filter":
		return p.filterTag(word.line)
	case "call", "include", "import", "from", "extends", "block", "raw", "with", "do", "autoescape", "trans":
		return nil, fmt.Errorf("{%% %s %%} is not supported in chat templates", word.text)
	}
	return nil, fmt.Errorf("unknown tag {%% %s %%}", word.text)
}

// body reads a block and the %} after its end's name.
func (p *parser) body(ends string) ([]statement, string, error) {
	body, end, err := p.block(ends)
	if err != nil || end == "elif" {
		return body, end, err
	}
	return body, end, p.expect(tagEnd, "")
}

func (p *parser) ifTag(line int) (statement, error) {
	s := &choice{line: line}
	p.ifs++
	defer func() { p.ifs-- }()
	for {
		test, err := p.expression()
		if err == nil {
			err = p.expect(tagEnd, "")
		}
		if err != nil {
			return nil, err
		}
		body, end, err := p.body("elif else endif")
		if err != nil {
			return nil, err
		}
		s.tests, s.bodies = append(s.tests, test), append(s.bodies, body)
		switch end {
		case "else":
			s.other, _, err = p.body("endif")
			return s, err
		case "endif":
			return s, nil
		}
		if len(s.tests) > maxTemplateBytes { // each takes bytes of the template, so this cannot be
			panic("BUG: an if has more branches than its template has bytes")
		}
	}
}

func (p *parser) forTag(line int) (s statement, err error) {
	f := &each{line: line}
	if f.names, err = p.names(); err != nil {
		return nil, err
	}
	if err := p.expect(name, "in"); err != nil {
		return nil, err
	}
	if f.over, err = p.or(); err != nil { // not expression(): an if after it filters
		return nil, err
	}
	if p.accept(name, "if") {
		if f.where, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.is(name, "recursive") {
		return nil, fmt.Errorf("recursive loops are not supported in chat templates")
	}
	if err := p.expect(tagEnd, ""); err != nil {
		return nil, err
	}
	p.loops++
	body, end, err := p.body("else endfor")
	p.loops--
	if f.body = body; err == nil && end == "else" {
		f.empty, _, err = p.body("endfor")
	}
	return f, err
}

// names reads `a` or `a, b`, the targets of a loop.
func (p *parser) names() ([]string, error) {
	var names []string
	for {
		t := p.take()
		if t.kind != name {
			return nil, fmt.Errorf("got %s; want a name", t)
		}
		names = append(names, t.text)
		if !p.accept(operator, ",") {
			return names, nil
		}
	}
}

// setTag reads `set x = e`, `set ns.x = e` and `{% set x %}...{% endset %}`.
func (p *parser) setTag(line int) (s statement, err error) {
	a := &assign{line: line}
	target := p.take()
	if target.kind != name {
		return nil, fmt.Errorf("got %s; want a name", target)
	}
	a.name = target.text
	if p.accept(operator, ".") {
		key := p.take()
		if key.kind != name {
			return nil, fmt.Errorf("got %s; want a name", key)
		}
		a.key = key.text
	}
	if p.accept(tagEnd, "") {
		loops := p.loops
		p.loops = 0 // no break out of a text that is being built
		a.body, _, err = p.body("endset")
		p.loops = loops
		return a, err
	}
	if err := p.expect(operator, "="); err != nil {
		return nil, err
	}
	if a.from, err = p.expression(); err != nil {
		return nil, err
	}
	return a, p.expect(tagEnd, "")
}
