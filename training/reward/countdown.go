package reward

import (
	"fmt"
	"slices"
	"strings"
)

// Countdown grades derivations of the numbers game: combine all numbers with + - * / until one is left, the target.
//
// The target stands in the prompt, so a stated answer proves nothing. Verify replays the live derivation instead: the steps
// since the last return, after those that the return kept. Every step must be legal in its state, the numbers that it
// restates must be right, and the single number at the end must be both the target and the stated answer. What an abandoned
// branch did wrong does not count against the answer.
type Countdown struct {
	MaxValue int // largest value that a step may reach
}

// MaxCountdownWords bounds what Verify reads; a longer response is ReasonTooLong.
const MaxCountdownWords = 4096

// Reasons of Countdown alone.
const (
	ReasonIllegalStep    Reason = "illegal_step"      // a step of the live path that the rules or its state do not allow
	ReasonBadRestatement Reason = "bad_restatement"   // numbers or target restated wrongly after a step or a return
	ReasonWrongStatement Reason = "wrong_statement"   // the derivation is right, but another answer is stated
	ReasonBadReturn      Reason = "impossible_return" // back to a step that was not taken
)

// CountdownProblem asks to reach Target from Numbers, each used exactly once.
type CountdownProblem struct {
	Numbers []int
	Target  int
}

// String is the user's form: `3 7 2 9 -> 27`.
func (p CountdownProblem) String() string {
	return strings.Trim(fmt.Sprint(p.Numbers), "[]") + " -> " + fmt.Sprint(p.Target)
}

// ParseCountdown reads `3 7 2 9 -> 27`, with or without the colon that a prompt ends with.
func ParseCountdown(text string) (CountdownProblem, error) {
	words, whole := countdownWords(strings.TrimSuffix(strings.TrimSpace(text), WordColon), 16)
	at := slices.Index(words, WordArrow)
	if !whole || at < 1 || at != len(words)-2 {
		return CountdownProblem{}, fmt.Errorf("cannot read the problem %.60q: want the form `3 7 2 9 -> 27`", text)
	}
	p := CountdownProblem{Target: number(words[at+1])}
	for _, w := range words[:at] {
		p.Numbers = append(p.Numbers, number(w))
	}
	if p.Target == 0 || slices.Contains(p.Numbers, 0) {
		return CountdownProblem{}, fmt.Errorf("cannot read the problem %.60q: a number is not between 1 and 999", text)
	}
	return p, nil
}

// CountdownResult is the verdict on one response and what was seen on the way.
type CountdownResult struct {
	Correct   bool
	Reason    Reason // of the verdict; for a broken derivation, what broke its live path
	Extracted string // the stated answer, "" if there is none

	Steps, LegalSteps       int  // steps judged; those whose move is legal and whose restated numbers are right
	Verdicts, RightVerdicts int  // reflections on a finished legal attempt; those that say the truth about it
	Returns, RightReturns   int  // "restart" and "go back"; those that restate their problem exactly
	Attempts, Distinct      int  // finished legal attempts; different ones among them
	FirstCorrect            bool // the first finished legal attempt reaches the target
}

// Verify grades a response text (without the prompt).
func (c Countdown) Verify(p CountdownProblem, response string) CountdownResult {
	words, whole := countdownWords(response, MaxCountdownWords)
	if !whole {
		return CountdownResult{Reason: ReasonTooLong}
	}
	return c.VerifyWords(p, words)
}

// VerifyWords grades a response that is cut into words already, as the texts of tokens are.
func (c Countdown) VerifyWords(p CountdownProblem, words []string) CountdownResult {
	if len(words) > MaxCountdownWords {
		return CountdownResult{Reason: ReasonTooLong}
	}
	r := &replay{rules: c, problem: p, words: words, seen: map[string]bool{}}
	r.states = [][]int{sorted(p.Numbers)}
	for !r.finished {
		r.advance()
	}
	return r.result
}
