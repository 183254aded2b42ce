package reasoning

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"astro/training/linearize"
)

// Text reads an answer in prose: steps are parted by blank lines, reflections and returns are found by the fixed sentences of traces.
// Where a return leads to is not said in a form that can be read, so it is guessed by the words that it shares with a step.
func Text(problem, answer string) *Graph {
	b := newBuilder(strings.Join(strings.Fields(problem), " "))
	answer = strings.ReplaceAll(answer[:min(len(answer), MaxTextBytes)], "\u2019", "'")
	for _, block := range blocks(answer) {
		b.block(block)
	}
	return &b.graph
}

// blocks cuts a text at blank lines; within a block, spaces and line ends are one space.
func blocks(text string) []string {
	var list []string
	var block []string
	for line := range strings.Lines(text + "\n\n") {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			block = append(block, line)
		} else if len(block) > 0 {
			list, block = append(list, strings.Join(block, " ")), nil
		}
	}
	return list
}

// hit is a marker in a block.
type hit struct {
	marker
	at int
}

// hits finds all markers in their order.
func hits(block string) []hit {
	var list []hit
	lower := lowerASCII(block)
	for _, m := range markers {
		for at := 0; ; at += len(m.text) {
			i := strings.Index(lower[at:], m.text)
			if i < 0 {
				break
			}
			at += i
			list = append(list, hit{m, at})
		}
	}
	slices.SortFunc(list, func(a, b hit) int { return cmp.Compare(a.at, b.at) })
	return list
}

// block takes a block in, piece by piece.
func (b *builder) block(block string) {
	end := 0 // of what was taken
	for _, h := range hits(block) {
		if h.at < end {
			continue // within the sentence of a return
		}
		b.prose(block[end:h.at])
		if b.full() {
			return
		}
		end = h.at + len(h.text)
		switch h.kind {
		case pieceQuestion:
			b.reflect(block[h.at:end], "")
		case pieceGood, pieceBad:
			b.verdict(block[h.at:end], h.kind)
		case pieceBack, pieceRestart:
			end = h.at + sentenceEnd(block[h.at:], len(h.text))
			keep := 0
			if h.kind == pieceBack {
				keep = b.guess(block[h.at:end])
			}
			b.back(keep, block[h.at:end], h.kind == pieceBack)
		}
	}
	b.prose(block[end:])
}

// prose is a step, or the answer that follows a positive verdict.
func (b *builder) prose(text string) {
	if text = strings.TrimSpace(text); text == "" || b.full() {
		return
	}
	if n := b.graph.Nodes[b.at]; n.Kind == Reflection && n.Mark == Good && strings.Contains(text, `\boxed`) {
		b.answer(text, linearize.LastBox(text))
		return
	}
	b.step(text, linearize.LastBox(text))
}

// verdict belongs to the question before it, if there is one.
func (b *builder) verdict(text string, kind pieceKind) {
	mark := Bad
	if kind == pieceGood {
		mark = Good
	}
	if n := &b.graph.Nodes[b.at]; n.Kind == Reflection && n.Mark == "" {
		n.Text, n.Mark = n.Text+" "+text, mark
		return
	}
	b.reflect(text, mark)
}

// guess is how many steps a return keeps: up to the one that shares the most words with its sentence, the last of equals; without any
// word in common up to the one before the last.
func (b *builder) guess(sentence string) int {
	if len(b.path) < 3 {
		return len(b.path) - 1
	}
	said, best, keep := words(sentence, maxSaid), 0, len(b.path)-2
	for i := max(1, len(b.path)-1-maxLookBack); i < len(b.path)-1; i++ {
		shared := 0
		for w := range said {
			if b.words(b.path[i])[w] {
				shared++
			}
		}
		if shared > 0 && shared >= best {
			best, keep = shared, i
		}
	}
	return keep
}

// Limits of a guess.
const (
	maxSaid     = 50  // words of a sentence
	maxLookBack = 200 // steps
)

// words of a node, made once.
func (b *builder) words(node int) map[string]bool {
	if b.said == nil {
		b.said = map[int]map[string]bool{}
	}
	if b.said[node] == nil {
		b.said[node] = words(b.graph.Nodes[node].Text, MaxTextBytes)
	}
	return b.said[node]
}

// words are those that say what a text is about, the first of them up to a limit.
func words(text string, limit int) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if !idle[w] && len(set) < limit {
			set[w] = true
		}
	}
	return set
}

var idle = map[string]bool{"let": true, "s": true, "us": true, "go": true, "back": true, "to": true, "where": true, "we": true, "the": true, "a": true,
	"an": true, "of": true, "and": true, "in": true, "that": true, "is": true, "our": true, "had": true, "for": true, "it": true, "this": true}

// pieceKind is what a marker begins.
type pieceKind int

const (
	pieceQuestion pieceKind = iota
	pieceGood
	pieceBad
	pieceBack
	pieceRestart
)

type marker struct {
	text string // as lowerASCII makes it
	kind pieceKind
}

// markers are the sentences that linearize counts.
var markers = func() []marker {
	list := []marker{{linearize.Reflect, pieceQuestion}, {linearize.LooksOK, pieceGood}, {linearize.NotSure, pieceBad}}
	for _, s := range linearize.BackSentences {
		list = append(list, marker{s, pieceBack})
	}
	for _, s := range linearize.RestartSentences {
		list = append(list, marker{s, pieceRestart})
	}
	for i := range list {
		list[i].text = lowerASCII(list[i].text)
	}
	return list
}()

// lowerASCII keeps the length.
func lowerASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// sentenceEnd is the length of the sentence that begins a text and goes on after from bytes.
func sentenceEnd(text string, from int) int {
	for i := from; i < len(text); i++ {
		if strings.IndexByte(".!?", text[i]) >= 0 && (i+1 == len(text) || text[i+1] == ' ') {
			return i + 1
		}
	}
	return len(text)
}
