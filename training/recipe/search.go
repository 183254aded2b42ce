package recipe

import (
	"fmt"
	"strings"

	"astro/training/countdown"
	"astro/training/reward"
	"astro/training/search"
)

// CountdownSearch is a problem of the numbers game as search sees it. A step is `a op b = c | rest`, or `a op b = c ;` where one
// number is left. Its length follows from the numbers that are left, so that every step is drawn to its end and not a token further.
//
// A step that breaks the rules is a terminal that states nothing. The last step is a terminal that states its value: what a model
// says about it afterwards is not drawn, for the verifier judges the steps.
type CountdownSearch struct {
	domain  countdown.Domain
	problem countdown.Problem
}

// NewCountdownSearch makes a search.Problem of `3 7 2 9 -> 27`; id "" = that text itself.
func NewCountdownSearch(d countdown.Domain, id, text string) (search.Problem, error) {
	p, err := reward.ParseCountdown(text)
	if err != nil {
		return search.Problem{}, err
	}
	if len(p.Numbers) < 2 || len(p.Numbers) > d.Numbers {
		return search.Problem{}, fmt.Errorf("the problem %s has %d numbers; the model knows 2 to %d", p, len(p.Numbers), d.Numbers)
	}
	for _, n := range append([]int{p.Target}, p.Numbers...) {
		if n > d.MaxValue {
			return search.Problem{}, fmt.Errorf("the problem %s has the number %d; the model knows numbers up to %d", p, n, d.MaxValue)
		}
	}
	if id == "" {
		id = p.String()
	}
	return search.Problem{ID: id, Text: p.String(), Domain: CountdownSearch{d, p}}, nil
}

// Prompt implements search.Domain.
func (c CountdownSearch) Prompt() []int32 { return countdown.Prompt(c.problem) }

// Step implements search.Domain.
func (c CountdownSearch) Step(answer []int32) search.Limit {
	return search.Limit{MaxTokens: stepTokens(c.left(answer)), StopTokens: []int32{countdown.End}}
}

// Rollout implements search.Domain.
func (c CountdownSearch) Rollout(answer []int32) search.Limit {
	tokens := 0
	for left := c.left(answer); left > 1; left-- {
		tokens += stepTokens(left)
	}
	return search.Limit{MaxTokens: tokens, StopTokens: []int32{countdown.End}}
}

// left is how many numbers are left after an answer of legal steps.
func (c CountdownSearch) left(answer []int32) int {
	left := len(c.problem.Numbers)
	for len(answer) > 0 {
		answer = answer[min(stepTokens(left), len(answer)):]
		left--
	}
	return max(left, 2)
}

// stepTokens is the length of a step from a state of so many numbers: a op b = c, and `;` or `|` with the numbers that are left.
func stepTokens(left int) int {
	if left == 2 {
		return 6
	}
	return 5 + left
}

// Judge implements search.Domain.
func (c CountdownSearch) Judge(answer []int32, at int, _ search.End) (search.Verdict, error) {
	steps := len(c.problem.Numbers) - c.left(answer[:at]) + 1
	if steps == len(c.problem.Numbers)-1 {
		v, err := c.Grade(answer)
		v.Terminal = true
		return v, err
	}
	r := c.domain.Verify(c.problem, answer)
	switch {
	case r.Reason != reward.ReasonNoAnswer:
		return search.Verdict{Terminal: true, Reason: string(r.Reason)}, nil
	case r.LegalSteps != steps || r.Returns > 0 || len(answer)-at != stepTokens(c.left(answer[:at])):
		return search.Verdict{Terminal: true, Reason: string(reward.ReasonMalformed)}, nil
	}
	return search.Verdict{}, nil
}

// Grade implements search.Domain: it completes a whole derivation by its statement, `But wait ... The answer is c`, and asks the verifier.
// A derivation that takes another way than straight to its end (a return, a verdict of its own) is none of a search.
func (c CountdownSearch) Grade(answer []int32) (search.Verdict, error) {
	value, ok := lastValue(answer)
	if !ok {
		return search.Verdict{Reason: string(c.broken(answer))}, nil
	}
	whole := append(append([]int32(nil), answer...), countdown.ButWait, countdown.NotSure, countdown.Answer, value)
	r := c.domain.Verify(c.problem, whole)
	v := search.Verdict{Correct: r.Correct, Reason: string(r.Reason)}
	if v.Correct {
		v.Score = 1
	}
	if r.Correct || r.Reason == reward.ReasonWrong {
		v.Answer = countdown.Text(value)
	}
	return v, nil
}

// broken is why an answer is no derivation: the verifier's reason, if it has one.
func (c CountdownSearch) broken(answer []int32) reward.Reason {
	if r := c.domain.Verify(c.problem, answer); r.Reason != reward.ReasonCorrect {
		return r.Reason
	}
	return reward.ReasonMalformed // it goes on after its end
}

// lastValue is c of the last step, `... = c ;`.
func lastValue(answer []int32) (int32, bool) {
	n := len(answer)
	if n < 6 || answer[n-1] != countdown.End || answer[n-3] != countdown.Equals {
		return 0, false
	}
	return answer[n-2], true
}

// Text implements search.Domain: every word with a space before it, as the tokenizer decodes them.
func (c CountdownSearch) Text(tokens []int32) string {
	var b strings.Builder
	for _, id := range tokens {
		if id != countdown.EOS {
			b.WriteString(" " + countdown.Text(id))
		}
	}
	return b.String()
}
