// Package stablehlo reads and rewrites StableHLO modules in the text form that go-xla prints: it gives parameters attributes,
// replaces bodies and links functions of other modules. It understands functions' signatures and treats bodies as opaque text.
//
// The form is go-xla's own and unversioned; golden tests on text of the pinned version hold the parser to it, and whatever it
// does not expect is an error, never a silent pass.
package stablehlo

import (
	"fmt"
	"regexp"
	"strings"
)

// Module is a parsed module. String prints it exactly as it was read, but for what was changed.
type Module struct {
	Name  string
	Funcs []Func // top-level functions in order; "main" is the entry

	attributes string // between the name and the opening brace, verbatim
	preamble   string // lines before the first function (meshes), verbatim
}

// Func is a top-level function.
type Func struct {
	Name    string
	Private bool
	Params  []Param
	Results string // types as printed after "->", with parentheses if there is more than one
	Body    string // statements, whole lines
}

// Param is a parameter of a Func.
type Param struct {
	Name       string // without "%"
	Type       string // such as tensor<4x2xf32>
	Attributes string // such as "{ a = 1 : i32 }" in the form it was printed; "" = none
}

const (
	funcStart = "  func.func "
	funcEnd   = "  }" // the whole line: an attribute of several lines ends with "  } : type"
)

var moduleLine = regexp.MustCompile(`^module @(\w+)(.*) \{$`)

// Parse reads a module.
func Parse(text string) (*Module, error) {
	first, rest, _ := strings.Cut(text, "\n")
	m := moduleLine.FindStringSubmatch(first)
	if m == nil {
		return nil, fmt.Errorf("parse StableHLO: first line is %.80q; want module @name {", first)
	}
	module := &Module{Name: m[1], attributes: m[2]}
	body, ok := strings.CutSuffix(rest, "\n}\n")
	if !ok {
		return nil, fmt.Errorf("parse StableHLO: module @%s does not end with a line }", module.Name)
	}
	if err := module.parseFuncs(body); err != nil {
		return nil, fmt.Errorf("parse StableHLO: module @%s: %w", module.Name, err)
	}
	return module, nil
}

func (m *Module) parseFuncs(body string) error {
	for body != "" {
		var line string
		line, body, _ = strings.Cut(body, "\n")
		switch {
		case strings.HasPrefix(line, funcStart):
			f, rest, err := parseFunc(line + "\n" + body)
			if err != nil {
				return err
			}
			m.Funcs = append(m.Funcs, f)
			body = rest
		case len(m.Funcs) == 0:
			m.preamble += line + "\n"
		case line != "":
			return fmt.Errorf("unexpected %.80q after function @%s", line, m.Funcs[len(m.Funcs)-1].Name)
		}
	}
	if m.Func("main") == nil {
		return fmt.Errorf("it has no function @main")
	}
	return nil
}

// parseFunc reads the function that text starts with and returns what follows its end.
func parseFunc(text string) (f Func, rest string, err error) {
	s := scanner{text: text, at: len(funcStart)}
	f.Private = s.accept("private ")
	s.expect("@")
	f.Name = s.until("(")
	s.expect("(")
	for s.err == nil && !s.accept(")") {
		f.Params = append(f.Params, s.param())
		if !s.accept(", ") && !s.peek(")") {
			s.fail("a comma or )")
		}
	}
	s.expect(" -> ")
	f.Results = strings.TrimSuffix(s.until("{"), " ")
	s.expect("{\n")
	if s.err != nil {
		return f, "", fmt.Errorf("function @%s: %w", f.Name, s.err)
	}
	f.Body, rest, err = cutBody(text[s.at:])
	if err != nil {
		return f, "", fmt.Errorf("function @%s: %w", f.Name, err)
	}
	return f, rest, nil
}

// cutBody splits text behind the line that ends a function.
func cutBody(text string) (body, rest string, err error) {
	if rest, ok := strings.CutPrefix(text, funcEnd+"\n"); ok {
		return "", rest, nil
	}
	if body, ok := strings.CutSuffix(text, "\n"+funcEnd); ok && !strings.Contains(body, "\n"+funcEnd+"\n") {
		return body + "\n", "", nil // the module's last function
	}
	body, rest, ok := strings.Cut(text, "\n"+funcEnd+"\n")
	if !ok {
		return "", "", fmt.Errorf("no line %q ends it", funcEnd)
	}
	return body + "\n", rest, nil
}

// Func finds a function by name, or gives nil.
func (m *Module) Func(name string) *Func {
	for i := range m.Funcs {
		if m.Funcs[i].Name == name {
			return &m.Funcs[i]
		}
	}
	return nil
}

// String prints the module.
func (m *Module) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "module @%s%s {\n%s", m.Name, m.attributes, m.preamble)
	for i, f := range m.Funcs {
		if i > 0 {
			b.WriteString("\n\n")
		}
		f.print(&b)
	}
	b.WriteString("\n}\n")
	return b.String()
}

func (f *Func) print(b *strings.Builder) {
	b.WriteString(funcStart)
	if f.Private {
		b.WriteString("private ")
	}
	fmt.Fprintf(b, "@%s(", f.Name)
	for i, p := range f.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(b, "%%%s: %s", p.Name, p.Type)
		if p.Attributes != "" {
			b.WriteString(" " + p.Attributes)
		}
	}
	fmt.Fprintf(b, ") -> %s {\n%s%s", f.Results, f.Body, funcEnd)
}

// SetAttribute gives the parameter one more attribute, such as "tf.aliasing_output = 1 : i32".
func (p *Param) SetAttribute(attribute string) {
	if p.Attributes == "" {
		p.Attributes = "{ " + attribute + " }"
		return
	}
	p.Attributes = "{ " + attribute + "," + strings.TrimPrefix(p.Attributes, "{")
}

// Alias says that output number output of @main is written into the memory of parameter number param.
// The compiler refuses an output that does not exist or differs in size.
func (m *Module) Alias(param, output int) error {
	main := m.Func("main")
	if param < 0 || param >= len(main.Params) {
		return fmt.Errorf("alias parameter %d of @main: it has %d", param, len(main.Params))
	}
	main.Params[param].SetAttribute(fmt.Sprintf("tf.aliasing_output = %d : i32", output))
	return nil
}

// ResultTypes splits Results into one type each.
func (f *Func) ResultTypes() []string {
	text, many := strings.CutPrefix(f.Results, "(")
	if many {
		text = strings.TrimSuffix(text, ")")
	}
	s := scanner{text: text + ","} // types themselves have commas only inside of brackets
	var types []string
	for s.err == nil && s.at < len(s.text) {
		types = append(types, strings.TrimSpace(s.until(",")))
		s.expect(",")
	}
	if s.err != nil {
		panic(fmt.Sprintf("BUG: results of @%s are %q; want types with commas between them", f.Name, f.Results))
	}
	return types
}
