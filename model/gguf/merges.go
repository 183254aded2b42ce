package gguf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of merges. SentencePiece's own limit is 512 bytes a piece, and published Llamas have pieces of up to 48; a vocabulary of 32,000 pieces
// makes about 60,000 merges.
const (
	maxPieceRunes = 128
	maxMerges     = 1 << 20
)

// merge says that two neighbours become the piece id.
type merge struct {
	left, right           string
	leftRunes, rightRunes int
	id                    int
}

// merges are the pairs of Hugging Face's BPE, the first ones joined first, that cut texts as SentencePiece does. SentencePiece joins, again and
// again, the two neighbours whose piece has the best score, and of equal ones the leftmost. So a pair ranks by the score of what it makes,
// and where scores are equal, as Hugging Face's converter has it, by the length of its left part and then of its right part, long before short:
// runs of spaces that all have one score grow from the left then, as they do there. Other equal scores are refused, see checkTies.
//
// Only normal pieces are made. What only a piece that cannot be made would need is left out. llama.cpp also makes tokens of other types
// if their parts are there; SentencePiece, which models were trained with, does not.
func (p *pieces) merges() ([][2]string, error) {
	made, err := p.reach()
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(made, func(a, b merge) int {
		return cmp.Or(cmp.Compare(p.scores[b.id], p.scores[a.id]), cmp.Compare(b.leftRunes, a.leftRunes), cmp.Compare(b.rightRunes, a.rightRunes),
			cmp.Compare(a.id, b.id))
	})
	if err := p.checkTies(made); err != nil {
		return nil, err
	}
	pairs := make([][2]string, len(made))
	for i, m := range made {
		pairs[i] = [2]string{m.left, m.right}
	}
	return pairs, nil
}

// reach finds every pair that can come to stand side by side, as far as pieces alone decide: both parts are a character, or pieces that are
// made themselves.
func (p *pieces) reach() (made []merge, err error) {
	runes, order := make([]int, len(p.names)), make([]int, 0, len(p.names))
	inVocab, reached := map[string]bool{}, map[string]bool{}
	for id, name := range p.names {
		if p.kinds[id] != tokenNormal && p.kinds[id] != tokenUnused || strings.Contains(name, " ") { // no text has a space when it is cut
			continue
		}
		inVocab[name], runes[id] = true, utf8.RuneCountInString(name)
		order = append(order, id)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(runes[a], runes[b]) })
	for _, id := range order {
		if runes[id] > maxPieceRunes && p.kinds[id] == tokenNormal {
			return nil, fmt.Errorf("token %d (%q) has %d characters; at most %d are accepted", id, clip(p.names[id]), runes[id], maxPieceRunes)
		}
		before := len(made)
		made = p.cuts(made, id, runes[id], reached)
		if len(made) == before {
			continue
		}
		if err := p.checkMade(id, inVocab); err != nil {
			return nil, err
		}
		if len(made) > maxMerges {
			return nil, fmt.Errorf("its scores mean more than %d merges, the limit", maxMerges)
		}
		reached[p.names[id]] = true
	}
	return made, nil
}

// cuts adds the ways to make a piece of two parts.
func (p *pieces) cuts(made []merge, id, runes int, reached map[string]bool) []merge {
	name := p.names[id]
	for at, left := 0, 1; left < runes && left <= maxPieceRunes; left++ {
		_, size := utf8.DecodeRuneInString(name[at:])
		at += size
		if (left == 1 || reached[name[:at]]) && (left == runes-1 || reached[name[at:]]) {
			made = append(made, merge{name[:at], name[at:], left, runes - left, id})
		}
	}
	return made
}

// checkMade refuses a piece where Hugging Face's BPE would cut in another way than SentencePiece, which takes unused pieces apart again, and
// joins characters that have no token of their own.
func (p *pieces) checkMade(id int, inVocab map[string]bool) error {
	if p.kinds[id] == tokenUnused {
		return fmt.Errorf("token %d (%q) is unused, but other tokens make it; %s", id, clip(p.names[id]), advice)
	}
	for _, r := range p.names[id] {
		if !inVocab[string(r)] {
			return fmt.Errorf("token %d (%q) has the character %q, which is no token; %s", id, clip(p.names[id]), r, advice)
		}
	}
	return nil
}

// checkTies refuses equal scores that leave open how a text is cut, since of the pairs that make pieces of one score SentencePiece joins the
// leftmost first, and ranks of pairs cannot say so. The order does not matter where no two of these pairs can have a neighbour in common
// (checkTied), and where what they make is a part of no piece with a score as good, which would come next (here). Runs of one character may
// have equal scores: see merges. made is in the order of the ranks.
func (p *pieces) checkTies(made []merge) error {
	tied := map[string]int{} // by name
	for rest := made; len(rest) > 0; {
		n := 1
		for n < len(rest) && p.scores[rest[n].id] == p.scores[rest[0].id] {
			n++
		}
		if slices.ContainsFunc(rest[:n], func(m merge) bool { return m.id != rest[0].id }) {
			if err := p.checkTied(rest[:n]); err != nil {
				return err
			}
			for _, m := range rest[:n] {
				tied[p.names[m.id]] = m.id
			}
		}
		rest = rest[n:]
	}
	for _, m := range made {
		for _, part := range []string{m.left, m.right} {
			if id, ok := tied[part]; ok && (p.scores[m.id] > p.scores[id] || p.scores[m.id] == p.scores[id] && !p.areRuns(id, m.id)) {
				return fmt.Errorf("token %d (%q) has the score of another one, and token %d (%q), of which it is a part, has one as good: %s",
					id, clip(p.names[id]), m.id, clip(p.names[m.id]), openCuts)
			}
		}
	}
	return nil
}

// checkTied looks, among the pairs that make pieces of one score, for two that can have a neighbour in common.
func (p *pieces) checkTied(tied []merge) error {
	endsWith := map[string][]int{} // by the right part two pieces, and one that is no run
	for _, m := range tied {
		with := endsWith[m.right]
		if n := len(with); n < 3 && !slices.Contains(with, m.id) && (n < 2 || !p.isRun(m.id)) {
			endsWith[m.right] = append(with, m.id)
		}
	}
	for _, m := range tied {
		for _, other := range endsWith[m.left] {
			if other != m.id && !p.areRuns(m.id, other) {
				return fmt.Errorf("tokens %d (%q) and %d (%q) have the same score: %s", other, clip(p.names[other]), m.id, clip(p.names[m.id]), openCuts)
			}
		}
	}
	return nil
}

// openCuts ends errors about scores that do not decide.
const openCuts = "the file does not say for certain how texts are cut; " + advice

func (p *pieces) areRuns(a, b int) bool { return p.isRun(a) && p.isRun(b) }

// isRun says that a piece is one character again and again.
func (p *pieces) isRun(id int) bool {
	name := p.names[id]
	_, size := utf8.DecodeRuneInString(name)
	return strings.Count(name, name[:size]) == utf8.RuneCountInString(name)
}
