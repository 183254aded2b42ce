package reward

import (
	"errors"
	"strings"

	"astro/training/reward/algebra"
	"astro/training/reward/latex"
)

// Mode says where Verify looks for the answer.
type Mode uint8

// Modes of extraction.
const (
	Strict  Mode = iota // the last box; for training
	Lenient             // else what "the answer is" names, else the last formula or number; for benchmarks
)

// Options of Verify and Equal. The zero value is what training uses.
type Options struct {
	Mode             Mode
	Think            bool // a response without </think> has no answer
	SolvedInequality bool // a < x <= b is accepted where an interval is asked for
	RoundedGold      bool // decimals among the known answers are rounded: the exact value is accepted
	IntegerOnly      bool // only an integer is accepted
}

// MaxCost bounds Verdict.Cost: operations of about one multiplication of 256 bits.
const MaxCost = 50_000

// equalCost is what one comparison of two formulas costs before any arithmetic.
const equalCost = 4

// Rule says how two answers were found to be equal; "" = they were not.
type Rule string

// Rules beside those of package algebra (rational, numeric, identity).
const (
	RuleSameText   Rule = "same_text"
	RuleText       Rule = "text"
	RuleChoice     Rule = "choice"
	RuleRounded    Rule = "rounded"
	RuleInfinity   Rule = "infinity"
	RuleList       Rule = "list"
	RuleTuple      Rule = "tuple"
	RuleMatrix     Rule = "matrix"
	RuleRegion     Rule = "region"
	RuleEquation   Rule = "equation"
	RuleInequality Rule = "inequality"
	RuleBase       Rule = "base"
	RuleRatio      Rule = "ratio"
)

// Verdict on a pair of answers.
type Verdict struct {
	Equal    bool
	Rule     Rule
	GoldType string // integer, fraction, surd, ...; "unreadable" when it is no formula
	Reason   Reason
	Cost     int // at most MaxCost
}

// side is one of two answers in every form that is compared.
type side struct {
	clean    string
	source   string
	readings []*latex.Node // empty when it is no formula
	err      error
}

// read cleans and parses an answer, in each reading that its notation has.
func read(answer string) side {
	s := side{clean: latex.Clean(answer)}
	if s.clean == "" {
		return s
	}
	root, seen, err := latex.Parse(s.clean, latex.Reading{})
	if err != nil {
		s.err = err
		s.source = strings.Join(strings.Fields(s.clean), " ")
		return s
	}
	s.source = latex.Source(s.clean)
	s.readings = append(s.readings, root)
	for _, other := range []latex.Reading{{SplitThousands: seen.SplitThousands}, {TightSlash: seen.TightSlash}} {
		if other != (latex.Reading{}) {
			if root, _, err := latex.Parse(s.clean, other); err == nil {
				s.readings = append(s.readings, root)
			}
		}
	}
	return s
}

// comparer compares two answers within one budget. In its methods g is always of the known answer, a of the other.
type comparer struct {
	o     Options
	judge *algebra.Judge
}

// Equal compares an answer with the known one. It is deterministic, and symmetric but for four rules that trust the known
// answer more: words behind its number are dropped, its inequality accepts an interval, its decimals of six and more places
// accept the fraction that they round, and a short choice letter accepts the letter with its text.
func Equal(gold, answer string, o Options) Verdict {
	return equalSides(read(gold), read(answer), o)
}

func equalSides(g, a side, o Options) Verdict {
	c := &comparer{o: o, judge: algebra.NewJudge(MaxCost)}
	v := Verdict{GoldType: goldType(g)}
	switch {
	case g.clean == "":
		v.Reason = ReasonBadGold
		return v
	case a.clean == "":
		v.Reason = ReasonNoAnswer
		return v
	}
	v.Rule = c.sides(g, a)
	v.Equal = v.Rule != ""
	v.Cost = c.judge.Spent()
	v.Reason = c.reason(g, a, v.Equal)
	return v
}

func (c *comparer) reason(g, a side, equal bool) Reason {
	switch {
	case equal:
		return ReasonCorrect
	case c.judge.Over() || errors.Is(a.err, latex.ErrOverLimit):
		return ReasonTooLong
	case g.err != nil:
		return ReasonBadGold
	case a.err != nil:
		return ReasonMalformed
	case c.undefined(a):
		return ReasonUndefined
	case len(a.readings) > 0 && len(g.readings) > 0 && collection(a.readings[0]) && !collection(g.readings[0]):
		return ReasonHedge
	}
	return ReasonWrong
}

// sides compares texts, then every pair of readings, then words.
func (c *comparer) sides(g, a side) Rule {
	if c.o.IntegerOnly && !c.integer(a) {
		return ""
	}
	if g.source == a.source {
		if c.undefined(a) || strings.EqualFold(a.source, "nan") {
			return ""
		}
		return RuleSameText
	}
	for _, x := range g.readings {
		for _, y := range a.readings {
			if rule := c.equal(x, y); rule != "" {
				return rule
			}
		}
	}
	if wordy(g) && !errors.Is(g.err, latex.ErrOverLimit) && !errors.Is(a.err, latex.ErrOverLimit) {
		return c.words(g.clean, a.clean)
	}
	return ""
}

// integer says that the answer is worth a whole number.
func (c *comparer) integer(a side) bool {
	if len(a.readings) == 0 {
		return false
	}
	_, value := c.unnamed(a.readings[0])
	v, err := c.judge.Value(quantityOf(value).node)
	return err == nil && v.IsInt()
}

// undefined says that the answer is a formula without a value: 1/0. Infinity alone is a value.
func (c *comparer) undefined(a side) bool {
	if len(a.readings) == 0 {
		return false
	}
	n := quantityOf(a.readings[0]).node
	return infinity(n) == 0 && !uncomputed(n) && c.judge.Undefined(n)
}

// equal compares two formulas.
func (c *comparer) equal(g, a *latex.Node) Rule {
	if !c.judge.Spend(equalCost) {
		return ""
	}
	gName, gValue := c.unnamed(algebra.Fold(g))
	aName, aValue := c.unnamed(algebra.Fold(a))
	if gName != aName && gName != "" && aName != "" {
		return c.equations(g, a)
	}
	if gName != "" || aName != "" {
		if rule := c.plain(gValue, aValue); rule != "" {
			return rule
		}
		return c.equations(g, a)
	}
	return c.plain(gValue, aValue)
}

// plain compares two formulas without names before them.
func (c *comparer) plain(g, a *latex.Node) Rule {
	switch {
	case collection(g) || collection(a):
		return c.collections(g, a)
	case g.Kind == latex.Rel || a.Kind == latex.Rel:
		return c.relations(g, a)
	case setExpression(g) || setExpression(a):
		return c.regions(g, a)
	case either(g, a, latex.Tuple):
		return c.tuples(g, a)
	case either(g, a, latex.Matrix):
		return c.matrices(g, a)
	case either(g, a, latex.BaseNum):
		return c.bases(g, a)
	case either(g, a, latex.Ratio):
		return c.ratios(g, a)
	case either(g, a, latex.Text):
		return texts(g, a)
	}
	return c.quantities(quantityOf(g), quantityOf(a))
}

func either(g, a *latex.Node, kind latex.Kind) bool { return g.Kind == kind || a.Kind == kind }
