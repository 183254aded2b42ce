package reward

import (
	"slices"
	"strings"
)

// replay walks through the words of one response. Between two calls of advance it stands at the border of a step, a
// reflection or a return.
//
// Invariant: len(states) = len(path)+1; states[i] is the sorted multiset of numbers after the first i steps of the live path.
type replay struct {
	rules   Countdown
	problem CountdownProblem
	words   []string // those not read yet
	states  [][]int
	path    []string // the live path's steps, as text
	broken  Reason   // why the live path is not worth following until the next return; "" = it is
	seen    map[string]bool

	finished bool
	result   CountdownResult
}

func (r *replay) advance() {
	switch {
	case len(r.words) == 0:
		r.finish(ReasonNoAnswer)
	case returnDepth(r.words[0]) >= 0:
		r.goBack()
	case r.broken != "":
		r.next()
	case r.words[0] == WordButWait:
		r.reflection()
	case len(r.state()) > 1:
		r.step()
	default:
		r.broken = ReasonMalformed
	}
}

func (r *replay) state() []int { return r.states[len(r.states)-1] }

// next takes one word; "" at the end, and at a return, which no broken step may swallow.
func (r *replay) next() string {
	if len(r.words) == 0 || returnDepth(r.words[0]) >= 0 {
		return ""
	}
	w := r.words[0]
	r.words = r.words[1:]
	return w
}

// finish ends the replay; a broken live path keeps its own reason.
func (r *replay) finish(why Reason) {
	r.finished = true
	if r.broken != "" {
		why = r.broken
	}
	r.result.Reason = why
	r.result.Correct = why == ReasonCorrect
}

// step reads `a op b = c` and `| rest` (`;` after the last step) and follows it if it is right.
func (r *replay) step() {
	r.result.Steps++
	if len(r.words) < 6 && r.prefixOfStep() {
		r.result.Steps-- // cut off in the middle: nothing to judge
		r.words = nil
		return
	}
	at := r.words
	a, op, b, eq, c := number(r.next()), r.next(), number(r.next()), r.next(), number(r.next())
	if a == 0 || b == 0 || c == 0 || eq != WordEquals {
		r.broken = ReasonMalformed
		return
	}
	after, ok := r.rules.play(r.state(), a, op, b, c)
	if !ok {
		r.broken = ReasonIllegalStep
		return
	}
	if r.broken = r.restatement(after); r.broken != "" {
		return
	}
	r.result.LegalSteps++
	r.path = append(r.path, strings.Join(at[:5], " "))
	r.states = append(r.states, after)
	if len(after) == 1 {
		r.attempt()
	}
}

// prefixOfStep says whether the few words left could be the beginning of a step.
func (r *replay) prefixOfStep() bool {
	for i, w := range r.words {
		if i == 3 && w != WordEquals || i%2 == 0 && i < 5 && number(w) == 0 {
			return false
		}
	}
	return true
}

// restatement reads what must follow a step: `| rest`, or `;` when one number is left.
func (r *replay) restatement(after []int) Reason {
	if len(r.words) == 0 || len(after) > 1 && len(r.words) <= len(after) {
		r.words = nil
		r.result.Steps-- // cut off in the middle: nothing to judge
		return ReasonNoAnswer
	}
	mark := r.next()
	if len(after) == 1 && mark == WordEnd {
		return ""
	}
	if len(after) == 1 || mark != WordBar {
		return ReasonMalformed
	}
	if !r.numbers(after) {
		return ReasonBadRestatement
	}
	return ""
}

// numbers reads len(want) numbers and says whether they are that multiset.
func (r *replay) numbers(want []int) bool {
	got := make([]int, len(want))
	for i := range got {
		got[i] = number(r.next())
	}
	return slices.Equal(sorted(got), want)
}

// attempt counts a finished legal attempt.
func (r *replay) attempt() {
	if r.result.Attempts == 0 {
		r.result.FirstCorrect = r.state()[0] == r.problem.Target
	}
	r.result.Attempts++
	if key := strings.Join(r.path, ";"); !r.seen[key] {
		r.seen[key] = true
		r.result.Distinct++
	}
}

// reflection reads `But wait ... VERDICT` and what it leads to: an answer, which ends the response, or a return.
func (r *replay) reflection() {
	r.next()
	if len(r.words) == 0 {
		return
	}
	verdict := r.next()
	if verdict != WordLooksOK && verdict != WordNotSure {
		r.broken = ReasonMalformed
		return
	}
	if len(r.state()) == 1 {
		r.result.Verdicts++
		if (verdict == WordLooksOK) == (r.state()[0] == r.problem.Target) {
			r.result.RightVerdicts++
		}
	}
	switch {
	case len(r.words) == 0 || returnDepth(r.words[0]) >= 0:
	case r.words[0] == WordAnswer:
		r.answer()
	default:
		r.broken = ReasonMalformed
	}
}

// answer reads `The answer is v`, which must be the last words.
func (r *replay) answer() {
	r.next()
	r.result.Extracted = r.next()
	stated := number(r.result.Extracted)
	switch {
	case len(r.words) > 0 || len(r.state()) != 1:
		r.finish(ReasonMalformed)
	case r.result.Extracted == "":
		r.finish(ReasonNoAnswer)
	case r.state()[0] != r.problem.Target:
		r.finish(ReasonWrong)
	case stated != r.problem.Target:
		r.finish(ReasonWrongStatement)
	default:
		r.finish(ReasonCorrect)
	}
}

// goBack reads a return and the (sub)problem that it restates just like a prompt: `3 7 11 -> 27 :`.
func (r *replay) goBack() {
	depth := returnDepth(r.words[0])
	r.words = r.words[1:]
	r.result.Returns++
	if depth > len(r.path) || len(r.states[depth]) == 1 {
		r.broken = ReasonBadReturn
		return
	}
	r.states, r.path = r.states[:depth+1], r.path[:depth]
	if len(r.words) < len(r.state())+3 {
		r.words = nil
		r.result.Returns-- // cut off in the middle: nothing to judge
		r.broken = ReasonNoAnswer
		return
	}
	right := r.numbers(r.state())
	if r.next() != WordArrow || number(r.next()) != r.problem.Target || r.next() != WordColon || !right {
		r.broken = ReasonBadRestatement
		return
	}
	r.broken = ""
	r.result.RightReturns++
}

// returnDepth is the number of steps that a return keeps; -1 = the word is no return.
func returnDepth(word string) int {
	if word == WordRestart {
		return 0
	}
	if i := slices.Index(WordsGoBack[:], word); i >= 0 {
		return i + 1
	}
	return -1
}

// play is the rules: it takes a and b from the state, puts c = a op b in, and says whether that is allowed: a >= b, a
// product of numbers above 1, a division by more than 1 without rest, and 1 <= c <= MaxValue.
func (c Countdown) play(state []int, a int, op string, b, result int) (after []int, ok bool) {
	legal := a >= b && 1 <= result && result <= c.MaxValue
	switch op {
	case "+":
		legal = legal && result == a+b
	case "-":
		legal = legal && result == a-b
	case "*":
		legal = legal && b > 1 && result == a*b
	case "/":
		legal = legal && b > 1 && result*b == a
	default:
		legal = false
	}
	if !legal {
		return nil, false
	}
	after = slices.Clone(state)
	for _, used := range []int{a, b} {
		i := slices.Index(after, used)
		if i < 0 {
			return nil, false
		}
		after = slices.Delete(after, i, i+1)
	}
	return sorted(append(after, result)), true
}

func sorted(numbers []int) []int {
	s := slices.Clone(numbers)
	slices.Sort(s)
	return s
}
