package recipe

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"astro/model/tokenizer"
	"astro/training/search"
)

func textSearch(t *testing.T, b Boundary) SearchText {
	t.Helper()
	tok, err := tokenizer.Load("../../model/tokenizer/testdata/bpe512/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	return DefaultSearchText(tok, nil, b)
}

// Where steps end, fed token by token as the engine does.
func TestTextStepsEnd(t *testing.T) {
	for _, test := range []struct {
		boundary   Boundary
		text, want string // "" = it goes on
	}{
		{BlankLine, "We add 2 and 3.\nThat is 5.\n\nThen we", "We add 2 and 3.\nThat is 5.\n\n"},
		{BlankLine, "\n\nWe add.\n\nThen", "\n\nWe add.\n\n"},
		{BlankLine, "We add 2 and 3.\nThat is 5.", ""},
		{NumberedSteps, "Step 1: add.\nThat is 2.5 or\n2.5 again.\nStep 2: go on", "Step 1: add.\nThat is 2.5 or\n2.5 again.\n"},
		{NumberedSteps, "\n\n## Step 1: add.\n\n## Step 2: go on", "\n\n## Step 1: add.\n\n"},
		{NumberedSteps, "1. add\n2. go on", "1. add\n"},
		{NumberedSteps, "1) add\n  2) go on", "1) add\n  "},
		{NumberedSteps, "Step 1: as in Step 2, add\n\nand add", ""},
	} {
		s, got := textSearch(t, test.boundary), ""
		tokens := s.Tokenizer.Encode(test.text)
		for n := range tokens {
			if keep, ok := s.stepEnd(tokens[:n+1]); ok {
				got, _ = s.decode(tokens[:keep])
				break
			}
		}
		if strings.TrimRight(got, " ") != strings.TrimRight(test.want, " ") {
			t.Errorf("%s: of %q the step is %q; want %q", test.boundary, test.text, got, test.want)
		}
	}
}

// scripted answers with whole texts: the i-th sample goes on with the i-th text that begins as the answer so far does.
type scripted struct {
	tokenizer *tokenizer.Tokenizer
	prompt    int
	texts     []string
}

func (s scripted) Sample(_ context.Context, draws []search.Draw) []search.Drawn {
	out := make([]search.Drawn, len(draws))
	for i, d := range draws {
		var fitting [][]int32
		for _, text := range s.texts {
			if tokens, so := s.tokenizer.Encode(text), d.Prompt[s.prompt:]; len(tokens) > len(so) && reflect.DeepEqual(append([]int32{}, tokens[:len(so)]...), append([]int32{}, so...)) {
				fitting = append(fitting, tokens[len(so):])
			}
		}
		for k := range d.N {
			out[i].Samples = append(out[i].Samples, s.say(fitting[k%len(fitting)], d.Limit))
		}
	}
	return out
}

func (s scripted) say(tokens []int32, limit search.Limit) search.Sample {
	for n := range tokens {
		if n+1 == limit.MaxTokens && n+1 < len(tokens) {
			return search.Sample{Tokens: tokens[:n+1], Drawn: n + 1, Logprob: -1, End: search.EndLength}
		}
		if limit.StepEnd != nil && n+1 < len(tokens) {
			if keep, ok := limit.StepEnd(tokens[:n+1]); ok {
				return search.Sample{Tokens: tokens[:keep], Drawn: n + 1, Logprob: -1, End: search.EndStep}
			}
		}
	}
	return search.Sample{Tokens: tokens, Drawn: len(tokens), Logprob: -1, End: search.EndSequence}
}

// Three solutions of one problem, two of which begin alike: the tree has their steps, and says what each end states.
func TestTextSearch(t *testing.T) {
	s := textSearch(t, BlankLine)
	s.MaxStepTokens = 60
	problem, err := s.Problem("sum", "What is 1/4 + 1/4?", `\frac{1}{2}`)
	if err != nil {
		t.Fatal(err)
	}
	p := scripted{s.Tokenizer, len(problem.Domain.Prompt()), []string{
		"Add the tops.\n\nSo \\boxed{0.5}.",
		"Add the tops.\n\nSo it is 2 of 8.\n\nThat is \\boxed{\\frac28}.",
		"I do not know",
		strings.Repeat("on and on, ", 40),
	}}
	c := search.Config{Children: 4, Rollouts: 2, Iterations: 10, MaxDepth: 9, CPUCT: 1, Leaves: 1}
	got := map[string]string{}
	for _, n := range searchOne(t, c, p, problem).Nodes {
		if n.Terminal {
			got[n.Text[:min(len(n.Text), 9)]] = n.Reason + " " + n.Answer
		}
	}
	want := map[string]string{"So \\boxed": "correct 0.5", "That is \\": `wrong \frac{2}{8}`, "I do not ": "no_answer ", "on and on": "unfinished "}
	for begin, end := range want {
		if !strings.HasPrefix(got[begin], strings.Fields(end)[0]) || len(got) != len(want) {
			t.Errorf("got ends %q; want %q", got, want)
		}
	}
	if _, err := s.Problem("x", "What?", " "); err == nil {
		t.Error("a problem without an answer passes")
	}
	if s.Instruction = "Solve it."; s.Validate() == nil {
		t.Error("an instruction without a problem passes")
	}
}

func TestReadProblems(t *testing.T) {
	path := filepath.Join(t.TempDir(), "problems.jsonl")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("{\"id\":\"a\",\"problem\":\"p\",\"answer\":\"1\",\"level\":3}\n\n{\"problem\":\"q\"}\n")
	got, err := ReadProblems(path)
	if want := []ProblemLine{{"a", "p", "1", 1}, {"line 3", "q", "", 3}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v); want %+v", got, err, want)
	}
	for text, want := range map[string]string{"": "no problems", "{\"problem\":\"q\"}\nnot JSON": "line 2", "{\"id\":\"a\"}": "line 1",
		"{\"problem\":\"" + strings.Repeat("x", MaxProblemLineBytes) + "\"}": "line 1"} {
		write(text)
		if _, err := ReadProblems(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v; want %q", text, err, want)
		}
	}
}
