package mathrecipe

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"astro/training/recipe"
)

// Problems are what a run works on. No text of Test or Validation is in Train.
type Problems struct {
	Train      []recipe.ProblemLine // searched and learnt from
	Validation []recipe.ProblemLine // of learning curves
	Test       []recipe.ProblemLine // models are judged on
	Skipped    Skipped
}

// Skipped counts lines that were left out, by reason.
type Skipped struct {
	Counts map[string]int
	First  error // why, of the first
}

// Total is how many there are.
func (s Skipped) Total() (n int) {
	for _, k := range s.Counts {
		n += k
	}
	return n
}

func (s Skipped) copy() Skipped {
	s.Counts = maps.Clone(s.Counts)
	return s
}

// String is the counts in words.
func (s Skipped) String() string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(s.Counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", s.Counts[reason], reason))
	}
	return strings.Join(parts, ", ")
}

func (s *Skipped) add(line int, reason string) {
	if len(s.Counts) == 0 {
		s.Counts, s.First = map[string]int{}, fmt.Errorf("line %d: %s", line, reason)
	}
	s.Counts[reason]++
}

// Reasons to leave a problem out.
const (
	noAnswer  = "without an answer"
	sameID    = "with an id of another problem"
	again     = "that are there already"
	isTest    = "that are test problems"
	tooLong   = "with a prompt that is too long"
	noPrompt  = "that the chat template refuses"
	badAnswer = "whose answer cannot be read"
)

// Divide sorts problems into those to learn from, to validate and to test. Where a problem goes follows from its text alone, so that more
// problems move none. Test problems may be given; then none of lines is held out for that.
func Divide(lines, test []recipe.ProblemLine, heldOut, validation float64) (Problems, error) {
	var p Problems
	texts, ids := map[string]bool{}, map[string]bool{}
	for _, l := range test {
		if p.usable(l, texts, ids, again) {
			p.Test = append(p.Test, l)
		}
	}
	given, tested := len(test) > 0, maps.Clone(texts)
	clear(ids) // another file counts its lines anew
	for _, l := range lines {
		why := again
		if tested[plain(l.Problem)] {
			why = isTest
		}
		if !p.usable(l, texts, ids, why) {
			continue
		}
		switch place := placeOf(l.Problem); {
		case place < validation:
			p.Validation = append(p.Validation, l)
		case !given && place < validation+heldOut:
			p.Test = append(p.Test, l)
		default:
			p.Train = append(p.Train, l)
		}
	}
	return p, p.check(len(lines))
}

// usable says whether a problem may be taken, and counts why not.
func (p *Problems) usable(l recipe.ProblemLine, texts, ids map[string]bool, why string) bool {
	text := plain(l.Problem)
	switch {
	case strings.TrimSpace(l.Answer) == "":
		p.Skipped.add(l.Line, noAnswer)
	case texts[text]:
		p.Skipped.add(l.Line, why)
	case ids[l.ID]:
		p.Skipped.add(l.Line, sameID)
	default:
		texts[text], ids[l.ID] = true, true
		return true
	}
	return false
}

// check says which part is empty.
func (p *Problems) check(lines int) error {
	for _, part := range []struct {
		name string
		list []recipe.ProblemLine
	}{{"to learn from", p.Train}, {"to validate on", p.Validation}, {"to judge models on", p.Test}} {
		if len(part.list) == 0 {
			return fmt.Errorf("of %d problems (left out: %s) none is left %s: give more of them, change the shares that are held out, or give test problems of their own",
				lines, p.Skipped, part.name)
		}
	}
	return nil
}

// plain is a text by which problems are told apart: case and the width of spaces do not matter.
func plain(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

// placeOf is the place of a problem in [0, 1), by its text.
func placeOf(text string) float64 {
	sum := sha256.Sum256([]byte(plain(text)))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / math.Exp2(53)
}
