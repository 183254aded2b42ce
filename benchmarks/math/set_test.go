package math

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a file in a new folder and returns both.
func write(t *testing.T, name, content string) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

// Sets from elsewhere call their fields differently.
func TestFieldsOfOtherSets(t *testing.T) {
	for line, want := range map[string]Problem{
		`{"id":"a","problem":"?","answer":"1","subject":"S","level":3}`:                 {"a", "?", "1", "S", "3"},
		`{"unique_id":"a","problem":"?","answer":"\\frac12","subject":"S","level":5}`:   {"a", "?", `\frac12`, "S", "5"},
		`{"id":7,"question":"?","answer":27.0}`:                                         {"7", "?", "27", "", ""},
		`{"id":"a","problem":"?","solution":"no \\boxed{1} but \\boxed{\\{2, {3}\\}}"}`: {"a", "?", `\{2, {3}\}`, "", ""},
		`{"problem":"?","answer":0.5,"type":"S","level":"Level 4"}`:                     {"line-1", "?", "0.5", "S", "4"},
	} {
		got, err := readProblems(strings.NewReader(line + "\n\n"))
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %+v, error %v; want %+v", line, got, err, want)
		}
	}
}

func TestBadSets(t *testing.T) {
	good := `{"id":"a","problem":"?","answer":"1"}` + "\n"
	for content, want := range map[string]string{
		"":                            "no problem in it",
		good + "{":                    "line 2: not a JSON object",
		good + good:                   `line 2: id "a" is also on line 1`,
		`{"id":"a","answer":"1"}`:     "line 1: it has no problem",
		`{"id":"a","problem":"?"}`:    "line 1: it has no answer",
		strings.Repeat("x", 1<<20+1):  "1048576 bytes",
		`{"problem":"?","answer":[]}`: "line 1: it has no answer",
	} {
		_, path := write(t, "s.jsonl", content)
		if _, err := (Source{}).Load(context.Background(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v; want %q", content, err, want)
		}
	}
}

// A name is looked for in the data folder first, then it is a path, then a name on the hub.
func TestWhereSetsAreLookedFor(t *testing.T) {
	dir, path := write(t, "math500.jsonl", `{"id":"a","problem":"?","answer":"1"}`)
	for _, name := range []string{"math500", path} {
		set, err := Source{DataDir: dir}.Load(context.Background(), name)
		if err != nil || set.Name != "math500" || set.Origin != path || len(set.Problems) != 1 {
			t.Errorf("%s: got %+v, error %v", name, set, err)
		}
	}
	_, err := Source{DataDir: dir}.Load(context.Background(), "olympiad")
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "olympiad.jsonl")) || !strings.Contains(err.Error(), "aime24, aime25, amc23, math500") {
		t.Errorf("an unknown name: got %v; want where it was looked for and which names there are", err)
	}
}

func TestDigest(t *testing.T) {
	a := Set{Problems: []Problem{{ID: "a", Text: "?", Gold: "1"}, {ID: "b", Text: "?", Gold: "2"}}}
	b := Set{Problems: []Problem{{ID: "a", Text: "?", Gold: "1"}, {ID: "b", Text: "?", Gold: "3"}}}
	if a.Digest() == b.Digest() || a.Limit(1).Digest() != b.Limit(1).Digest() || a.Limit(0).Digest() != a.Digest() {
		t.Error("digests do not tell sets apart by their problems and answers")
	}
}

func TestPrompts(t *testing.T) {
	for _, name := range []string{"box", "fewshot", "plain"} {
		p, err := LoadPrompt(name)
		if err != nil {
			t.Fatal(err)
		}
		text := p.Ask(" What is {{problem}} + 1? ")
		if strings.Count(text, "What is {{problem}} + 1?") != 1 || p.Name != name || strings.Contains(text, `\boxed`) != (name != "plain") {
			t.Errorf("%s asks %q", name, text)
		}
	}
	_, own := write(t, "mine.txt", "Q: {{problem}}\nA:\n")
	if p, err := LoadPrompt(own); err != nil || p.Name != "mine" || p.Ask("x") != "Q: x\nA:" {
		t.Errorf("a prompt of one's own: got %+v, error %v", p, err)
	}
	_, none := write(t, "none.txt", "no place for it")
	for name, want := range map[string]string{none: "holds {{problem}} 0 times", "backtracks": "no prompt", "absent": "box, fewshot, plain"} {
		if _, err := LoadPrompt(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %q", name, err, want)
		}
	}
}

func TestCountBacktracks(t *testing.T) {
	ours, err := LoadPhrases("")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		"": 0,
		"But wait, are we solving the problem correctly so far? Hmm... Our solution seems to be correct so far.":                          0,
		"I'm not sure if we're solving the problem correctly so far. Let's go back to where we set up the equation.":                      1,
		"Let\u2019s restart our  solution from\nthe beginning. LET'S GO BACK TO where we had taken one step. Let's go back to the start.": 3,
		"We go back to school and restart our solution engine.":                                                                           0,
	} {
		if got := ours.Count(text); got != want {
			t.Errorf("%q: got %d backtracks; want %d", text, got, want)
		}
	}
	_, path := write(t, "mine.txt", "# mine\nhmm\n\nhmm, no\nno\n")
	mine, err := LoadPhrases(path)
	if err != nil || mine.Count("Hmm, no. hmm no") != 3 {
		t.Errorf("got %d, error %v; want the longest phrase at each place: 3", mine.Count("Hmm, no. hmm no"), err)
	}
	_, empty := write(t, "empty.txt", "# nothing\n")
	if _, err := LoadPhrases(empty); err == nil {
		t.Error("an empty list was accepted")
	}
}

// The problems of this package are what they say: enough of them, of several kinds, each with an answer that the verifier
// accepts for itself, in a box, and for no other problem with another answer.
func TestOwnProblems(t *testing.T) {
	set, err := Source{DataDir: "testdata"}.Load(context.Background(), "own")
	if err != nil {
		t.Fatal(err)
	}
	subjects, levels := map[string]bool{}, map[string]bool{}
	verifier := Verifier()
	for _, p := range set.Problems {
		subjects[p.Subject], levels[p.Level] = true, true
		for _, other := range set.Problems {
			v := verifier.Boxed(p.Gold, "So the answer is \\boxed{"+other.Gold+"}.")
			if v.Correct != (p.Gold == other.Gold) {
				t.Errorf("%s: the answer %s for the gold %s is %+v", p.ID, other.Gold, p.Gold, v)
			}
		}
	}
	if len(set.Problems) < 40 || len(subjects) != 7 || len(levels) != 5 {
		t.Errorf("got %d problems, %d subjects, %d levels; want at least 40, 7 and 5", len(set.Problems), len(subjects), len(levels))
	}
}
