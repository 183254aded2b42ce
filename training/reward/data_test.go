package reward

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/training/reward/latex"
)

// dataDir holds the conformance cases and problem sets. They are not part of the repository.
const dataDir = "../../../shared/data"

// readRows reads a JSONL file of dataDir, or skips the test.
func readRows[T any](t testing.TB, name string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join(dataDir, name))
	if err != nil {
		t.Skipf("no ../shared/data/%s beside the repository: the conformance data is missing", name)
	}
	defer f.Close()
	var rows []T
	in := bufio.NewScanner(f)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		var row T
		if err := json.Unmarshal(in.Bytes(), &row); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows = append(rows, row)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// scores counts passed rows by group, in order of appearance.
type scores struct {
	names  []string
	passed map[string]int
	all    map[string]int
}

func (s *scores) add(name string, passed bool) {
	if s.all == nil {
		s.passed, s.all = map[string]int{}, map[string]int{}
	}
	if s.all[name] == 0 {
		s.names = append(s.names, name)
	}
	s.all[name]++
	if passed {
		s.passed[name]++
	}
}

// report prints the table and fails where a group is below its bar, in per mille; a group without a bar is only shown.
func (s *scores) report(t *testing.T, file string, bars map[string]int) {
	t.Helper()
	for _, name := range s.names {
		rate := float64(s.passed[name]) / float64(s.all[name])
		bar := "      "
		if b, ok := bars[name]; ok {
			bar = fmt.Sprintf("%5.1f%%", float64(b)/10)
			if s.passed[name]*1000 < b*s.all[name] {
				t.Errorf("%s %s: %d of %d", file, name, s.passed[name], s.all[name])
			}
		}
		fmt.Printf("%-26s %-20s %5d of %5d  %6.2f%%  bar %s\n", file, name, s.passed[name], s.all[name], 100*rate, bar)
	}
}

type verifierCase struct {
	ID, Gold, Pred, Form, Tier string
	Equal                      bool
	SolvedInequality           bool `json:"allow_set_relation_comp"`
}

func (c verifierCase) verdict() bool {
	o := Options{Mode: Lenient, SolvedInequality: c.SolvedInequality}
	if c.Form == "answer" {
		return Equal(c.Gold, c.Pred, o).Equal
	}
	return Verify(c.Gold, c.Pred, o).Correct
}

func TestVerifierCases(t *testing.T) {
	var s scores
	for _, c := range readRows[verifierCase](t, "verifier_cases_dev.jsonl") {
		ok := c.verdict() == c.Equal
		s.add(c.Tier, ok)
		if !ok {
			t.Logf("%s: gold %q, answer %.300q: want equal %v", c.Tier, c.Gold, tail(c.Pred), c.Equal)
		}
	}
	s.report(t, "verifier_cases_dev", map[string]int{"core": 1000, "extended": 1000, "adversarial": 1000, "parser": 950})
}

func tail(s string) string { return s[max(0, len(s)-300):] }

type extractionCase struct {
	ID, Response, Mode, Match, Tier string
	Expected                        *string `json:"expected_answer"`
}

// passes compares as the case says: the same text but for spaces, or equal by the verifier.
func (c extractionCase) passes() bool {
	mode := Strict
	if c.Mode == "lenient" {
		mode = Lenient
	}
	want := ""
	if c.Expected != nil {
		want = *c.Expected
	}
	r := Verify(want, c.Response, Options{Mode: mode})
	if c.Match == "equiv" {
		return r.Correct
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	return squeeze(r.Extracted) == squeeze(want)
}

// contradicts says that the case wants one member of an answered list to count as the whole answer, which the adversarial
// cases forbid.
func (c extractionCase) contradicts() bool {
	if c.Match != "equiv" || c.Expected == nil {
		return false
	}
	answer, want := read(Extract(c.Response, Options{}).Text), read(*c.Expected)
	return len(answer.readings) > 0 && len(want.readings) > 0 && answer.readings[0].Kind == latex.List && want.readings[0].Kind != latex.List
}

func TestExtractionCases(t *testing.T) {
	var s scores
	for _, c := range readRows[extractionCase](t, "extraction_cases_dev.jsonl") {
		ok := c.passes()
		group := c.Tier + " " + c.Mode
		if !ok && c.contradicts() {
			group = "contradictory label"
		}
		s.add(group, ok)
		if !ok {
			t.Logf("%s: %.300q: want %q, got %+v", group, tail(c.Response), str(c.Expected), Extract(c.Response, Options{Mode: Lenient}))
		}
	}
	s.report(t, "extraction_cases_dev", map[string]int{"core boxed": 1000, "core lenient": 980})
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

type generatedCase struct {
	ID, Gold, Pred, Kind, Tier string
	Equal                      bool
}

func TestGeneratedCases(t *testing.T) {
	var s scores
	falsePositives := 0
	for _, c := range readRows[generatedCase](t, "verifier_generated_dev.jsonl") {
		v := Equal(c.Gold, c.Pred, Options{})
		s.add(c.Tier, v.Equal == c.Equal)
		if v.Equal != c.Equal {
			t.Logf("%s %s: gold %q, answer %q: want equal %v; got %+v", c.Tier, c.Kind, c.Gold, c.Pred, c.Equal, v)
		}
		if v.Equal && !c.Equal {
			falsePositives++
		}
	}
	s.report(t, "verifier_generated_dev", map[string]int{"core": 998, "extended": 980})
	fmt.Printf("%-26s %-20s %5d\n", "verifier_generated_dev", "false positives", falsePositives)
	if falsePositives > 0 {
		t.Errorf("got %d false positives; want none", falsePositives)
	}
}

// verdictRow is a line for scripts/compare_math_verify.py.
type verdictRow struct {
	ID       string `json:"id"`
	Tier     string `json:"tier"`
	Gold     string `json:"gold"`
	Answer   string `json:"answer"`
	Response bool   `json:"response"` // the answer is running text
	Equal    bool   `json:"equal"`    // what the case says
	Correct  bool   `json:"correct"`  // what Verify says
}

// TestWriteVerdicts writes our verdicts on the conformance cases to the file that VERDICTS names.
func TestWriteVerdicts(t *testing.T) {
	name := os.Getenv("VERDICTS")
	if name == "" {
		t.Skip("no file to write to: VERDICTS in the environment names it")
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	out := json.NewEncoder(f)
	for _, c := range readRows[verifierCase](t, "verifier_cases_dev.jsonl") {
		err = errors.Join(err, out.Encode(verdictRow{c.ID, c.Tier, c.Gold, c.Pred, c.Form != "answer", c.Equal, c.verdict()}))
	}
	for _, c := range readRows[generatedCase](t, "verifier_generated_dev.jsonl") {
		v := Equal(c.Gold, c.Pred, Options{})
		err = errors.Join(err, out.Encode(verdictRow{c.ID, "generated " + c.Tier, c.Gold, c.Pred, false, c.Equal, v.Equal}))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
