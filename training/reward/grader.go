package reward

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// Item is what a grader judges: a response, and what is known about its problem.
type Item struct {
	Problem  string // the prompt, where a grader needs it
	Gold     string // the known answer
	Response string
}

// Grade is a grader's judgement.
type Grade struct {
	Score  float64 // 0 to 1
	Reason Reason
	Answer string // what was taken out of the response, if anything was
}

// Grader judges responses. An error says that the grader itself failed, or was set up wrongly; it is never a score.
type Grader interface {
	Grade(Item) (Grade, error)
}

// right is the grade of a yes or no.
func right(correct bool, answer string) Grade {
	if correct {
		return Grade{Score: 1, Reason: ReasonCorrect, Answer: answer}
	}
	return Grade{Reason: ReasonWrong, Answer: answer}
}

// Math grades by Verify.
type Math struct{ Options Options }

// Grade is 1 for a right answer.
func (m Math) Grade(item Item) (Grade, error) {
	r := Verify(item.Gold, item.Response, m.Options)
	g := right(r.Correct, r.Extracted)
	g.Reason = r.Reason
	return g, nil
}

// Exact asks for the known answer as the whole response, but for space around it.
type Exact struct{ FoldCase bool }

// Grade is 1 for the same text.
func (e Exact) Grade(item Item) (Grade, error) {
	gold, answer := strings.TrimSpace(item.Gold), strings.TrimSpace(item.Response)
	switch {
	case gold == "":
		return Grade{}, fmt.Errorf("exact grader: the known answer is empty")
	case answer == "":
		return Grade{Reason: ReasonNoAnswer}, nil
	case len(answer) > MaxResponseBytes:
		return Grade{Reason: ReasonTooLong}, nil
	case e.FoldCase:
		return right(strings.EqualFold(gold, answer), answer), nil
	}
	return right(gold == answer, answer), nil
}

// MaxPatternBytes bounds a regular expression.
const MaxPatternBytes = 1000

// Pattern grades by a regular expression of RE2, whose time is linear in the response.
type Pattern struct {
	expression *regexp.Regexp
	group      int // of the group called answer; 0 = there is none
}

// NewPattern compiles an expression. If it has a group (?P<answer>...), the text of that group in the last match must be the
// known answer; else it is enough that the expression matches.
func NewPattern(expression string) (Pattern, error) {
	if len(expression) == 0 || len(expression) > MaxPatternBytes {
		return Pattern{}, fmt.Errorf("pattern grader: got an expression of %d bytes; want 1 to %d", len(expression), MaxPatternBytes)
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return Pattern{}, fmt.Errorf("pattern grader: %w", err)
	}
	return Pattern{expression: re, group: max(re.SubexpIndex("answer"), 0)}, nil
}

// Grade is 1 for a match.
func (p Pattern) Grade(item Item) (Grade, error) {
	switch {
	case p.expression == nil:
		return Grade{}, fmt.Errorf("pattern grader: no expression; make it with NewPattern")
	case len(item.Response) > MaxResponseBytes:
		return Grade{Reason: ReasonTooLong}, nil
	case p.group == 0:
		found := p.expression.FindString(item.Response)
		return right(p.expression.MatchString(item.Response), found), nil
	}
	last := ""
	for _, m := range p.expression.FindAllStringSubmatch(item.Response, maxMatches) {
		last = m[p.group]
	}
	if last == "" {
		return Grade{Reason: ReasonNoAnswer}, nil
	}
	return right(strings.TrimSpace(last) == strings.TrimSpace(item.Gold), last), nil
}

// maxMatches bounds how many matches Pattern looks at.
const maxMatches = 10_000

// Numeric compares the last number of the response with the known one.
type Numeric struct{ relative *big.Rat }

// NewNumeric accepts numbers that are off by at most tolerance times the known one, a decimal such as "0" or "0.01".
func NewNumeric(tolerance string) (Numeric, error) {
	r, ok := plainRat(tolerance)
	if !ok || r.Sign() < 0 || r.Cmp(big.NewRat(1, 1)) >= 0 {
		return Numeric{}, fmt.Errorf("numeric grader: got tolerance %.40q; want a decimal from 0 to below 1", tolerance)
	}
	return Numeric{relative: r}, nil
}

// Grade is 1 for a number within the tolerance.
func (n Numeric) Grade(item Item) (Grade, error) {
	gold, ok := plainRat(item.Gold)
	if !ok || n.relative == nil {
		return Grade{}, fmt.Errorf("numeric grader: the known answer %.40q is no number", item.Gold)
	}
	if len(item.Response) > MaxResponseBytes {
		return Grade{Reason: ReasonTooLong}, nil
	}
	text := Extract(item.Response, Options{Mode: Lenient}).Text
	answer, ok := plainRat(text)
	if !ok {
		return Grade{Reason: ReasonNoAnswer, Answer: text}, nil
	}
	off := answer.Sub(answer, gold)
	limit := new(big.Rat).Mul(new(big.Rat).Abs(gold), n.relative)
	return right(off.Abs(off).Cmp(limit) <= 0, text), nil
}

// plainRat reads a decimal or fraction of at most 100 characters without an exponent.
func plainRat(s string) (*big.Rat, bool) {
	s = strings.TrimSpace(s)
	if plain, ok := proseNumber(s); ok {
		s = plain
	}
	if len(s) > 100 || strings.Trim(s, "0123456789.-/") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// CountdownGrader grades derivations; the problem is read from Item.Problem.
type CountdownGrader struct{ Rules Countdown }

// Grade is 1 for a derivation that is right in every live step.
func (c CountdownGrader) Grade(item Item) (Grade, error) {
	p, err := ParseCountdown(item.Problem)
	if err != nil {
		return Grade{}, err
	}
	r := c.Rules.Verify(p, item.Response)
	g := right(r.Correct, r.Extracted)
	g.Reason = r.Reason
	return g, nil
}
