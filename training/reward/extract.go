package reward

import (
	"strings"

	"astro/training/reward/latex"
)

// MaxResponseBytes bounds what Verify reads; a longer response is ReasonTooLong.
const MaxResponseBytes = 1 << 20

// Extraction rules, in the order in which they are tried; "" = no answer was found.
const (
	FromBox    Rule = "box"
	FromHashes Rule = "hashes" // behind ####
	FromPhrase Rule = "phrase" // behind "the answer is"
	FromMath   Rule = "math"   // the last formula
	FromNumber Rule = "number" // the last number
)

// Extraction is the answer that a response states.
type Extraction struct {
	Text  string   // the answer; with several boxes side by side, the last
	Rule  Rule     // how it was found
	Boxes []string // the contents of the boxes that stand side by side at the end, with nothing but separators between
	Count int      // boxes in the response
}

// endTokens are special tokens that leak into texts; what follows the first is not the response.
var endTokens = []string{"<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "</s>"}

// Extract finds the answer in a response. Strict takes the last box; if that is not
// closed, the response was cut off, and if it is empty, nothing was stated. Lenient goes on to the other rules when there is no box.
func Extract(response string, o Options) Extraction {
	text, ok := finalPart(response, o.Think)
	if !ok || len(response) > MaxResponseBytes {
		return Extraction{}
	}
	if strings.Contains(text, `\\boxed`) && !singleBox(text) {
		text = strings.ReplaceAll(text, `\\`, `\`)
	}
	boxes := findBoxes(text, o.Mode == Lenient)
	if len(boxes) > 0 {
		return fromBoxes(text, boxes)
	}
	if o.Mode == Strict {
		return Extraction{}
	}
	return fromProse(text)
}

// finalPart is the response without what leaked behind it and without the reasoning before </think>.
func finalPart(response string, think bool) (string, bool) {
	for _, t := range endTokens {
		if at := strings.Index(response, t); at > 0 && strings.TrimSpace(response[:at]) != "" {
			response = response[:at]
		}
	}
	const open, closed = "<think>", "</think>"
	if at := strings.LastIndex(response, closed); at >= 0 {
		return response[at+len(closed):], true
	}
	return response, !think && !strings.Contains(response, open)
}

// singleBox says that a \boxed with one backslash occurs.
func singleBox(s string) bool {
	for at := range s {
		if strings.HasPrefix(s[at:], `\boxed`) && (at == 0 || s[at-1] != '\\') {
			return true
		}
	}
	return false
}

// box is a \boxed or \fbox: text[start:end] with its content.
type box struct {
	start, end int
	inner      string
	closed     bool
}

// findBoxes finds all boxes outside of others. Those without braces count only if bare ones are wanted.
func findBoxes(text string, bare bool) []box {
	var found []box
	for at := 0; ; {
		next := nextBox(text[at:])
		if next < 0 {
			return found
		}
		at += next
		b, ok := readBox(text, at, bare)
		if ok {
			found = append(found, b)
		}
		if ok && b.closed {
			at = b.end
		} else {
			at += len(`\fbox`)
		}
		if len(found) > 4096 {
			return found
		}
	}
}

// nextBox is the position of the next \boxed or \fbox, -1 if there is none.
func nextBox(s string) int {
	for at := 0; ; at++ {
		next := strings.IndexByte(s[at:], '\\')
		if next < 0 {
			return -1
		}
		at += next
		if strings.HasPrefix(s[at:], `\boxed`) || strings.HasPrefix(s[at:], `\fbox`) {
			return at
		}
	}
}

// readBox reads the box that begins at start.
func readBox(text string, start int, bare bool) (box, bool) {
	at := start + strings.IndexByte(text[start:], 'x') + 1 // behind fbox, or the x of boxed
	at += len(text[at:]) - len(strings.TrimPrefix(text[at:], "ed"))
	open := at + len(text[at:]) - len(strings.TrimLeft(text[at:], " \t\n"))
	if open < len(text) && text[open] == '{' {
		end := closing(text, open)
		if end < 0 {
			return box{start: start, end: len(text)}, true
		}
		return box{start: start, end: end + 1, inner: text[open+1 : end], closed: true}, true
	}
	if !bare || open >= len(text) {
		return box{}, false
	}
	end := strings.IndexAny(text[open:], "$\n ")
	if end < 0 {
		end = len(text) - open
	}
	inner := strings.TrimRight(text[open:open+end], ".,;")
	return box{start: start, end: open + end, inner: inner, closed: true}, inner != ""
}

// closing is the position of the brace that closes the one at open, -1 if there is none within reach.
func closing(text string, open int) int {
	depth := 0
	for i := open; i < len(text) && i < open+8*latex.MaxBytes; i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// fromBoxes takes the last box and those directly before it. An empty box states nothing, unless it stands directly beside one
// that does.
func fromBoxes(text string, boxes []box) Extraction {
	e := Extraction{Count: len(boxes)}
	if !boxes[len(boxes)-1].closed {
		return e
	}
	for n := len(boxes); n > 1 && emptyAnswer(boxes[n-1].inner) && beside(text, boxes[n-2], boxes[n-1]); n-- {
		boxes = boxes[:n-1]
	}
	last := len(boxes) - 1
	if !boxes[last].closed || emptyAnswer(boxes[last].inner) {
		return e
	}
	first := last
	for first > 0 && !emptyAnswer(boxes[first-1].inner) && beside(text, boxes[first-1], boxes[first]) {
		first--
	}
	for _, b := range boxes[first:] {
		e.Boxes = append(e.Boxes, strings.TrimSpace(b.inner))
	}
	e.Text, e.Rule = e.Boxes[len(e.Boxes)-1], FromBox
	return e
}

// beside says that two boxes follow each other with separators alone between them. One that is not closed reaches to the end of the
// text, past those after it.
func beside(text string, a, b box) bool {
	return a.closed && separatorsOnly(text[a.end:b.start])
}

// emptyAnswer says that nothing but typography is there.
func emptyAnswer(s string) bool { return latex.Clean(typography.Replace(s)) == "" }

// separatorsOnly says that a text between two boxes only separates them; the name of the second may stand before it: y = .
func separatorsOnly(between string) bool {
	if len(between) > 64 {
		return false
	}
	s := strings.NewReplacer(`\(`, " ", `\)`, " ", `\[`, " ", `\]`, " ", `\text`, " ", `\quad`, " ", `\qquad`, " ", `\,`, " ", `\;`, " ", "$", " ", "{", " ", "}", " ",
		",", " ", ";", " ", "&", " ", `\\`, " ", "=", " = ").Replace(between)
	words := strings.Fields(s)
	if n := len(words); n > 1 && words[n-1] == "=" {
		words = words[:n-2]
	}
	and := 0
	for _, w := range words {
		if w != "and" && w != "or" {
			return false
		}
		and++
	}
	return and <= 1
}
