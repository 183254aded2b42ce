package reward

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of a Multi.
const (
	MaxFormulaBytes = 1000
	maxFormulaDepth = 32
)

// Multi grades by a formula over the scores of other graders: "0.9*answer + 0.1*format", "answer and format",
// "answer * (1 - 0.5*(length > 0.8))". There are + - *, comparisons, and, or, not, min(...), max(...) and parentheses; and is
// the smaller, or the larger, not x is 1-x, a comparison 1 or 0.
type Multi struct {
	formula string
	root    formulaNode
	names   []string // in alphabetical order
	graders map[string]Grader
}

// formulaNode computes a part of a formula from the scores.
type formulaNode func(scores map[string]float64) float64

// NewMulti checks the formula; every name in it must be one of the graders.
func NewMulti(formula string, graders map[string]Grader) (*Multi, error) {
	if len(formula) > MaxFormulaBytes {
		return nil, fmt.Errorf("multi grader: got a formula of %d bytes; want at most %d", len(formula), MaxFormulaBytes)
	}
	p := &formulaParser{words: formulaWords(formula), graders: graders}
	root := p.sum()
	if p.err == nil && len(p.words) > 0 {
		p.fail("%q is not expected", p.words[0])
	}
	if p.err != nil {
		return nil, fmt.Errorf("multi grader: formula %.100q: %w", formula, p.err)
	}
	slices.Sort(p.used)
	return &Multi{formula: formula, root: root, names: slices.Compact(p.used), graders: graders}, nil
}

// Grade runs each grader of the formula once. When one fails, so does the whole. A value outside of 0 to 1 is an error of the
// formula. The reason is that of the first grader, in alphabetical order, that does not say correct.
func (m *Multi) Grade(item Item) (Grade, error) {
	scores := map[string]float64{}
	g := Grade{Reason: ReasonCorrect}
	for _, name := range m.names {
		one, err := m.graders[name].Grade(item)
		if err != nil {
			return Grade{}, fmt.Errorf("multi grader: %s: %w", name, err)
		}
		scores[name] = one.Score
		if g.Reason == ReasonCorrect {
			g.Reason = one.Reason
		}
		if g.Answer == "" {
			g.Answer = one.Answer
		}
	}
	g.Score = m.root(scores)
	if !(g.Score >= 0 && g.Score <= 1) {
		return Grade{}, fmt.Errorf("multi grader: formula %.100q: got %v; want 0 to 1", m.formula, g.Score)
	}
	return g, nil
}

// formulaWords cuts a formula into names, numbers and signs.
func formulaWords(s string) []string {
	var words []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		n := 1
		switch name := func(b byte) bool { return isLetterOrDigit(b) && b != '^' || b == '.' }; {
		case name(s[0]):
			n = runLength(s, name)
		case strings.HasPrefix(s, ">="), strings.HasPrefix(s, "<="), strings.HasPrefix(s, "=="):
			n = 2
		}
		words = append(words, s[:n])
		s = s[n:]
	}
	return words
}

// formulaParser reads a formula by recursive descent.
type formulaParser struct {
	words   []string
	graders map[string]Grader
	used    []string
	depth   int
	err     error
}

func (p *formulaParser) fail(format string, args ...any) formulaNode {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.words = nil
	return func(map[string]float64) float64 { return 0 }
}

// take reads one of the words if it is next.
func (p *formulaParser) take(words ...string) string {
	if len(p.words) > 0 && slices.Contains(words, p.words[0]) {
		w := p.words[0]
		p.words = p.words[1:]
		return w
	}
	return ""
}

// binary are the operators with two operands.
var binary = map[string]func(a, b float64) float64{
	"+": func(a, b float64) float64 { return a + b }, "-": func(a, b float64) float64 { return a - b }, "*": func(a, b float64) float64 { return a * b },
	"and": func(a, b float64) float64 { return min(a, b) }, "or": func(a, b float64) float64 { return max(a, b) },
	">": func(a, b float64) float64 { return truth(a > b) }, ">=": func(a, b float64) float64 { return truth(a >= b) },
	"<": func(a, b float64) float64 { return truth(a < b) }, "<=": func(a, b float64) float64 { return truth(a <= b) },
	"==": func(a, b float64) float64 { return truth(a == b) },
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// chain reads operands with operators of one level between them.
func (p *formulaParser) chain(operand func() formulaNode, operators ...string) formulaNode {
	left := operand()
	for op := p.take(operators...); op != "" && p.err == nil; op = p.take(operators...) {
		a, b, f := left, operand(), binary[op]
		left = func(s map[string]float64) float64 { return f(a(s), b(s)) }
	}
	return left
}

// sum is the whole formula, weakest operators first.
func (p *formulaParser) sum() formulaNode {
	if p.depth++; p.depth > maxFormulaDepth {
		return p.fail("more than %d parentheses in each other", maxFormulaDepth)
	}
	defer func() { p.depth-- }()
	product := func() formulaNode { return p.chain(p.operand, "*") }
	total := func() formulaNode { return p.chain(product, "+", "-") }
	compared := func() formulaNode { return p.chain(total, ">", ">=", "<", "<=", "==") }
	both := func() formulaNode { return p.chain(compared, "and") }
	return p.chain(both, "or")
}

func (p *formulaParser) operand() formulaNode {
	if len(p.words) == 0 {
		return p.fail("something is missing at the end")
	}
	w := p.words[0]
	p.words = p.words[1:]
	switch {
	case w == "(":
		inner := p.sum()
		p.closing()
		return inner
	case w == "not":
		if p.depth++; p.depth > maxFormulaDepth {
			return p.fail("more than %d operators in each other", maxFormulaDepth)
		}
		inner := p.operand()
		p.depth--
		return func(s map[string]float64) float64 { return 1 - inner(s) }
	case w == "min" || w == "max":
		return p.extreme(w)
	case p.graders[w] != nil:
		p.used = append(p.used, w)
		return func(s map[string]float64) float64 { return s[w] }
	}
	value, err := strconv.ParseFloat(w, 64)
	if err != nil {
		return p.fail("no grader is called %q", w)
	}
	return func(map[string]float64) float64 { return value }
}

func (p *formulaParser) closing() {
	if p.err == nil && p.take(")") == "" {
		p.fail("a parenthesis is not closed")
	}
}

// extreme is min(a, b, ...) or max(a, b, ...).
func (p *formulaParser) extreme(name string) formulaNode {
	if p.take("(") == "" {
		return p.fail("%s needs parentheses", name)
	}
	choose := binary["and"]
	if name == "max" {
		choose = binary["or"]
	}
	best := p.sum()
	for p.take(",") != "" && p.err == nil {
		a, b := best, p.sum()
		best = func(s map[string]float64) float64 { return choose(a(s), b(s)) }
	}
	p.closing()
	return best
}
