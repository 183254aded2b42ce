package linearize

import (
	"strings"

	"astro/training/reward"
)

// The fixed sentences of traces (astro-method.md 1.4), shared with the Countdown domain.
const (
	Reflect    = reward.WordButWait
	NotSure    = reward.WordNotSure
	LooksOK    = reward.WordLooksOK
	BackPrefix = "Let's go back to where we"  // begins every return to a step
	Restart    = "Let's restart our solution" // begins every return to the beginning
)

// Returns are the backtracks of a text.
type Returns struct {
	Back    int // to a step
	Restart int // to the beginning
}

// Total is all of them.
func (r Returns) Total() int { return r.Back + r.Restart }

// The beginnings of all sentences that count as a backtrack. None is the beginning of another.
var (
	BackSentences    = [...]string{"Let's go back to", "Let us go back to"}
	RestartSentences = [...]string{Restart, "Let us restart our solution", "Let's start over", "Let us start over"}
)

// CountReturns counts the backtracks of any text by their sentences. Case, the kind of apostrophe and the width of spaces do not
// matter. What may stand between the beginning of such a sentence and its end is the writer's, so only the beginning is looked for.
func CountReturns(text string) Returns {
	text = plain(text)
	var r Returns
	for _, s := range BackSentences {
		r.Back += strings.Count(text, plain(s))
	}
	for _, s := range RestartSentences {
		r.Restart += strings.Count(text, plain(s))
	}
	return r
}

// CountReflections counts the reflection questions of a text.
func CountReflections(text string) int { return strings.Count(plain(text), plain(Reflect)) }

// plain makes texts comparable: lower case, straight apostrophes, single spaces.
func plain(text string) string {
	text = strings.ReplaceAll(strings.ToLower(text), "\u2019", "'")
	return strings.Join(strings.Fields(text), " ")
}
