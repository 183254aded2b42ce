package reasoning

import (
	"slices"
	"strings"

	"astro/training/reward"
)

// Countdown reads an answer to a problem of the numbers game, cut into words as reward.CountdownWords or the texts of tokens are. Each
// step is marked as the verifier judges it.
func Countdown(rules reward.Countdown, p reward.CountdownProblem, words []string) *Graph {
	words = words[:min(len(words), reward.MaxCountdownWords)]
	b := newBuilder(p.String())
	r := countdownReader{builder: b, words: words, rules: rules, problem: p}
	for r.pos < len(words) && !b.full() {
		r.piece()
	}
	return &b.graph
}

// countdownReader stands between two pieces of an answer.
type countdownReader struct {
	*builder
	words   []string
	pos     int
	rules   reward.Countdown
	problem reward.CountdownProblem
	seen    reward.CountdownResult // up to the last step
}

// piece reads one step, reflection, return or answer.
func (r *countdownReader) piece() {
	word := r.words[r.pos]
	keep := slices.Index(append([]string{reward.WordRestart}, reward.WordsGoBack[:]...), word)
	switch {
	case keep >= 0:
		from := r.pos
		r.pos++
		r.skip(func(w string) bool { return w != reward.WordColon && !sentence(w) })
		if r.pos < len(r.words) && r.words[r.pos] == reward.WordColon {
			r.pos++
		}
		r.back(keep, strings.Join(r.words[from:r.pos], " "), false)
	case word == reward.WordButWait:
		verdict, from := Mark(""), r.pos
		r.pos++
		if r.pos < len(r.words) && (r.words[r.pos] == reward.WordLooksOK || r.words[r.pos] == reward.WordNotSure) {
			verdict = Bad
			if r.words[r.pos] == reward.WordLooksOK {
				verdict = Good
			}
			r.pos++
		}
		r.reflect(strings.Join(r.words[from:r.pos], " "), verdict)
	case word == reward.WordAnswer:
		r.pos++
		from := r.pos
		r.skip(func(w string) bool { return !sentence(w) })
		value := strings.Join(r.words[from:r.pos], " ")
		r.builder.answer(word+" "+value, value)
	case sentence(word): // a verdict without its question
		r.pos++
		r.reflect(word, map[bool]Mark{true: Good, false: Bad}[word == reward.WordLooksOK])
	default:
		r.derivation()
	}
}

func (r *countdownReader) skip(while func(word string) bool) {
	for r.pos < len(r.words) && while(r.words[r.pos]) {
		r.pos++
	}
}

// derivation reads `a op b = c` and what is left after it.
func (r *countdownReader) derivation() {
	from := r.pos
	r.skip(func(w string) bool { return w != reward.WordBar && w != reward.WordEnd && !sentence(w) })
	text, state := strings.Join(r.words[from:r.pos], " "), ""
	if r.pos < len(r.words) && r.words[r.pos] == reward.WordBar {
		r.pos++
		begin := r.pos
		r.skip(func(w string) bool { return number(w) && !r.operatorAfter() })
		state = strings.Join(r.words[begin:r.pos], " ")
	} else if r.pos < len(r.words) && r.words[r.pos] == reward.WordEnd {
		r.pos++
	}
	r.step(text, state)
	r.judge()
}

// judge marks the step that was read: what the verifier sees of the words so far, less what it had seen before. A step that is cut off,
// or that follows a broken one, is not judged.
func (r *countdownReader) judge() {
	now := r.rules.VerifyWords(r.problem, r.words[:r.pos])
	switch {
	case now.LegalSteps > r.seen.LegalSteps:
		r.graph.Nodes[r.at].Mark = Good
	case now.Steps > r.seen.Steps:
		r.graph.Nodes[r.at].Mark = Bad
	}
	r.seen = now
}

// operatorAfter says that the number here begins the next step.
func (r *countdownReader) operatorAfter() bool {
	return r.pos+1 < len(r.words) && slices.Contains([]string{"+", "-", "*", "/"}, r.words[r.pos+1])
}

func sentence(word string) bool { return slices.Contains(reward.CountdownSentences[:], word) }

func number(word string) bool { return word != "" && strings.Trim(word, "0123456789") == "" }
