package math

import (
	"errors"
	"fmt"
	"strings"
)

// backtrackFile is the list of this package, beside the prompts.
const backtrackFile = "backtracks"

// maxPhrases bounds a list.
const maxPhrases = 1000

// Phrases are the sentences that count as a backtrack.
type Phrases struct {
	list []string // plain, none empty
}

// LoadPhrases reads a file with one phrase a line; "" is this package's list, the fixed sentences of ASTRO traces.
func LoadPhrases(path string) (Phrases, error) {
	data, err := promptFiles.ReadFile("prompts/" + backtrackFile + ".txt")
	if path != "" {
		data, err = readSmall(path, maxPromptBytes)
	}
	if err != nil {
		return Phrases{}, fmt.Errorf("read the backtrack phrases: %w", err)
	}
	var p Phrases
	for line := range strings.Lines(string(data)) {
		if phrase := plain(line); phrase != "" && phrase[0] != '#' {
			p.list = append(p.list, phrase)
		}
	}
	switch {
	case len(p.list) == 0:
		return Phrases{}, errors.New("the list of backtrack phrases is empty: want one phrase a line")
	case len(p.list) > maxPhrases:
		return Phrases{}, fmt.Errorf("the list has %d backtrack phrases; want at most %d", len(p.list), maxPhrases)
	}
	return p, nil
}

// Count is the number of backtracks in a text. Places do not overlap; where several phrases begin, the longest counts.
func (p Phrases) Count(text string) int {
	n := 0
	for text = plain(text); text != ""; {
		at, length := p.next(text)
		if at < 0 {
			return n
		}
		n++
		text = text[at+length:]
	}
	return n
}

// next is the first place of any phrase, and the length of the longest phrase there; -1 = none.
func (p Phrases) next(text string) (at, length int) {
	at = -1
	for _, phrase := range p.list {
		i := strings.Index(text, phrase)
		if i >= 0 && (at < 0 || i < at || i == at && len(phrase) > length) {
			at, length = i, len(phrase)
		}
	}
	return at, length
}

// Digest names the list.
func (p Phrases) Digest() string { return digest(strings.Join(p.list, "\n")) }

// plain makes texts comparable: lower case, straight apostrophes, single spaces.
func plain(text string) string {
	text = strings.ReplaceAll(strings.ToLower(text), "\u2019", "'")
	return strings.Join(strings.Fields(text), " ")
}
