package reward

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

type problem struct {
	ID, Answer, Solution string
}

// strictExceptions are solutions whose box has no braces: \boxed 9, which only lenient extraction reads.
const strictExceptions = 2

// TestGoldsAgainstSolutions: the last box of the reference solution is the gold, for every row of math500 and math_train.
func TestGoldsAgainstSolutions(t *testing.T) {
	for _, file := range []string{"math500.jsonl", "math_train.jsonl"} {
		rows := readRows[problem](t, file)
		strict, lenient := 0, 0
		for _, p := range rows {
			if Verify(p.Answer, p.Solution, Options{}).Correct {
				strict++
			}
			r := Verify(p.Answer, p.Solution, Options{Mode: Lenient})
			if r.Correct {
				lenient++
			} else {
				t.Errorf("%s: gold %q: got %+v", p.ID, p.Answer, r)
			}
		}
		fmt.Printf("%-26s %-20s %5d of %5d\n%-26s %-20s %5d of %5d\n", file, "solution, strict", strict, len(rows), file, "solution, lenient", lenient, len(rows))
		if len(rows)-strict > strictExceptions {
			t.Errorf("%s: got %d of %d in strict mode; want all but %d", file, strict, len(rows), strictExceptions)
		}
	}
}

// TestGSM8K: the form in which the set publishes its solutions, the number behind ####, is read. Without that line the last
// number of a solution is not always the answer ("8 years old 4 years from now"): those are counted, not judged.
func TestGSM8K(t *testing.T) {
	rows := readRows[problem](t, "gsm8k_test.jsonl")
	hashes, last := 0, 0
	for _, p := range rows {
		if r := Verify(p.Answer, p.Solution+"\n#### "+p.Answer, Options{Mode: Lenient}); r.Correct && r.Rule == FromHashes {
			hashes++
		} else {
			t.Errorf("%s: gold %q: got %+v", p.ID, p.Answer, r)
		}
		if Verify(p.Answer, p.Solution, Options{Mode: Lenient}).Correct {
			last++
		}
	}
	fmt.Printf("%-26s %-20s %5d of %5d\n", "gsm8k_test.jsonl", "behind ####", hashes, len(rows))
	fmt.Printf("%-26s %-20s %5d of %5d\n", "gsm8k_test.jsonl", "last number", last, len(rows))
}

// distinctGolds are all different golds of math500 and every n-th of math_train.
func distinctGolds(t testing.TB, every int) []string {
	var golds []string
	seen := map[string]bool{}
	add := func(gold string) {
		if !seen[gold] {
			seen[gold] = true
			golds = append(golds, gold)
		}
	}
	for _, p := range readRows[problem](t, "math500.jsonl") {
		add(p.Answer)
	}
	for i, p := range readRows[problem](t, "math_train.jsonl") {
		if i%every == 0 {
			add(p.Answer)
		}
	}
	return golds
}

// TestGoldsAgainstEachOther: equality of golds is reflexive and symmetric. The pairs of different texts that are equal are
// counted; GOLD_MATCHES=1 in the environment prints them for reading.
func TestGoldsAgainstEachOther(t *testing.T) {
	golds := distinctGolds(t, 40)
	sides := make([]side, len(golds))
	unreadable := 0
	for i, gold := range golds {
		sides[i] = readGold(gold)
		if len(sides[i].readings) == 0 {
			unreadable++
			t.Logf("no formula: %q", gold)
		}
		if v := equalSides(sides[i], sides[i], Options{}); !v.Equal {
			t.Errorf("%q is not equal to itself: %+v", gold, v)
		}
	}
	pairs, matches := 0, []string{}
	for i := range golds {
		for j := range i {
			pairs++
			a, b := equalSides(sides[i], sides[j], Options{}), equalSides(sides[j], sides[i], Options{})
			if a.Equal != b.Equal {
				t.Errorf("%q and %q: %+v, the other way %+v", golds[i], golds[j], a, b)
			}
			if a.Equal {
				matches = append(matches, fmt.Sprintf("%s: %s = %s", a.Rule, golds[i], golds[j]))
			}
		}
	}
	fmt.Printf("%-26s %-20s %5d golds, %d pairs, %d equal, %d unreadable\n", "golds", "each with each", len(golds), pairs, len(matches), unreadable)
	if os.Getenv("GOLD_MATCHES") != "" {
		fmt.Println(strings.Join(matches, "\n"))
	}
}
