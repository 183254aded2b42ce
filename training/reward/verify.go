package reward

import (
	"strings"

	"astro/training/reward/latex"
)

// Result is the verdict on a response.
type Result struct {
	Correct   bool
	Extracted string // the answer as it stands in the response, "" if there is none
	Rule      Rule   // of the extraction
	How       Rule   // how the answer was found to be equal
	GoldType  string
	Reason    Reason
	Cost      int // at most MaxCost for each box that stands beside the last, and at most maxHedges of those
}

// maxHedges bounds the boxes side by side that are compared with each other.
const maxHedges = 8

// Verify says whether a response states the known answer. The known answer may itself be a text with boxes. Boxes that stand
// side by side are one list where a list is asked for; where one value is, they must agree.
func Verify(gold, response string, o Options) Result {
	g := readGold(gold)
	r := Result{GoldType: goldType(g)}
	if len(response) > MaxResponseBytes {
		r.Reason = ReasonTooLong
		return r
	}
	e := Extract(response, o)
	r.Extracted, r.Rule = e.Text, e.Rule
	if e.Rule == "" {
		r.Reason = ReasonNoAnswer
		return r
	}
	boxes := withoutRepeats(e.Boxes)
	if len(boxes) > 1 && len(g.readings) > 0 && asksForList(g.readings[0]) {
		r.Extracted = strings.Join(boxes, ", ")
		boxes = nil
	}
	r.judge(equalSides(g, read(r.Extracted), o))
	if len(boxes) > 1 && r.Correct {
		r.hedged(boxes, o)
	}
	return r
}

func (r *Result) judge(v Verdict) {
	r.Correct, r.How, r.Reason, r.Cost = v.Equal, v.Rule, v.Reason, r.Cost+v.Cost
}

// hedged takes a right answer back when a box beside it says something else.
func (r *Result) hedged(boxes []string, o Options) {
	last := read(boxes[len(boxes)-1])
	for i, other := range boxes[:len(boxes)-1] {
		v := equalSides(last, read(other), o)
		r.Cost += v.Cost
		if !v.Equal || i == maxHedges {
			r.Correct, r.How, r.Reason = false, "", ReasonHedge
			return
		}
	}
}

// withoutRepeats drops boxes with the text of an earlier one.
func withoutRepeats(boxes []string) []string {
	seen := map[string]bool{}
	var kept []string
	for i := len(boxes) - 1; i >= 0; i-- {
		if !seen[boxes[i]] {
			kept = append([]string{boxes[i]}, kept...)
		}
		seen[boxes[i]] = true
	}
	return kept
}

// asksForList says that the known answer is several values, with or without a name.
func asksForList(n *latex.Node) bool {
	if n.Kind == latex.Rel {
		return asksForList(n.Args[len(n.Args)-1])
	}
	return collection(n)
}

// readGold reads a known answer: its boxes if it has some, itself if it is a formula or a few words, else what its prose
// states. Of prose only formulas in their signs and numbers are trusted, so that sqrt(2) in a sentence is not read.
func readGold(gold string) side {
	if boxed := goldBoxes(gold); boxed != "" {
		return read(boxed)
	}
	s := read(gold)
	if len(s.readings) > 0 && s.readings[0].Kind != latex.Text && !prose(s.clean) || len(strings.Fields(gold)) < 3 || len(gold) > MaxResponseBytes {
		return s
	}
	e := fromProse(gold)
	if e.Rule == "" || e.Rule == FromPhrase && !trusted(gold, e.Text) {
		return s
	}
	return read(e.Text)
}

// trusted says that the text is a number, or stands between formula signs in the prose.
func trusted(prose, text string) bool {
	_, number := proseNumber(text)
	return number || strings.ContainsAny(prose, "$") || strings.Contains(prose, `\(`) || strings.Contains(prose, `\[`)
}

// goldBoxes joins the last boxes of a known answer that are written as one statement: only separators, or a few words with
// "and" or "or" between them. "" = there is no box.
func goldBoxes(gold string) string {
	if len(gold) > MaxResponseBytes {
		return ""
	}
	if strings.Contains(gold, `\\boxed`) && !singleBox(gold) {
		gold = strings.ReplaceAll(gold, `\\`, `\`)
	}
	e := Extraction{}
	if boxes := findBoxes(gold, true); len(boxes) > 0 {
		e = fromBoxes(gold, boxes)
		if len(boxes) == 2 && boxes[1].closed && enumerates(gold[boxes[0].end:boxes[1].start]) {
			e.Boxes = []string{boxes[0].inner, boxes[1].inner}
		}
	}
	return strings.Join(withoutRepeats(e.Boxes), ", ")
}

// enumerates says that a short text between two boxes lists them: "papers and".
func enumerates(between string) bool {
	words := strings.Fields(between)
	return len(words) > 0 && len(words) <= 4 && (words[len(words)-1] == "and" || words[len(words)-1] == "or")
}
