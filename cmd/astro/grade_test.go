package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"astro/training/reward"
)

// runGrade runs astro grade with flags.
func runGrade(in string, flags ...string) (string, error) {
	root := newRootCommand()
	var out bytes.Buffer
	root.SetIn(strings.NewReader(in))
	root.SetOut(&out)
	root.SetArgs(append([]string{"grade"}, flags...))
	err := root.Execute()
	return out.String(), err
}

func TestGradeForPeople(t *testing.T) {
	for _, c := range []struct {
		flags []string
		want  []string
	}{
		{[]string{"--gold", `\frac{1}{2}`, "--answer", ` $\boxed{0.5}$. `}, []string{"verdict    correct\n", "equality   rational\n", "(fraction)\n", "answer     0.5\n"}},
		{[]string{"--gold", "3", "--answer", "4"}, []string{"verdict    wrong\n", "reason     wrong\n", "equality   none\n"}},
		{[]string{"--gold", "3", "--answer", ""}, []string{"verdict    wrong\n", "reason     no_answer\n", "answer     none\n"}},
		{[]string{"--gold", "3", "--response", "the answer is 3"}, []string{"verdict    wrong\n", "extracted  none (rule none)\n"}},
		{[]string{"--gold", "3", "--response", "the answer is 3", "--mode", "lenient"}, []string{"verdict    correct\n", "extracted  3 (rule phrase)\n"}},
	} {
		out, err := runGrade("", c.flags...)
		for _, want := range c.want {
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("%q printed\n%serror %v; want %q", c.flags, out, err, want)
			}
		}
	}
	for _, flags := range [][]string{{}, {"--gold", "1"}, {"--answer", "1"}, {"--gold", "1", "--answer", "1", "--response", "1"},
		{"--gold", "1", "--jsonl", "-"}, {"--jsonl", "-", "--mode", "kind"}, {"--jsonl", "absent/file"}} {
		if out, err := runGrade("", flags...); err == nil {
			t.Errorf("%q was accepted and printed %q", flags, out)
		}
	}
}

// Every line comes out, in order, with what it had and what is added, however bad it is.
func TestGradeLines(t *testing.T) {
	long := `{"gold":"1","answer":"` + strings.Repeat("1", maxGradeLineBytes) + `"}`
	lines := []struct{ in, want string }{
		{`{"gold":"1/2","answer":"0.50","z":{"b":[1, 2],"a":null},"correct":"?"}`,
			`{"gold": "1/2", "answer": "0.50", "z": {"b":[1, 2],"a":null}, "correct":true,"extracted":"0.50","rule":"rational","equality":"rational","reason":"correct"`},
		{``, `{"line": 2, "error": "the line is empty", "correct":false,"extracted":"","rule":"","equality":"","reason":"malformed","cost":0}`},
		{`{"gold":3,"response":"<b> \\boxed{3}"}`, `{"gold": 3, "response": "<b> \\boxed{3}", "correct":true,"extracted":"3","rule":"box"`},
		{`{"gold":"3","response":""}`, `{"gold": "3", "response": "", "correct":false,"extracted":"","rule":"","equality":"","reason":"no_answer"`},
		{`{"gold":"3","answer":null}`, `{"gold": "3", "answer": null, "correct":false,"extracted":"","rule":"","equality":"","reason":"no_answer"`},
		{`[1]`, `{"line": 6, "error": "the line is no JSON object", "correct":false`},
		{`{"gold":"3"} x`, `{"line": 7, "error": "the line is not JSON", "correct":false`},
		{`{"answer":"3"}`, `{"answer": "3", "error": "it has no gold", "correct":false,"extracted":"","rule":"","equality":"","reason":"malformed"`},
		{`{"gold":"3","answer":"3","response":"3"}`, `"error": "want one of answer and response", "correct":false`},
		{`{"gold":"3","answer":{}}`, `"error": "answer is no text and no number", "correct":false`},
		{long, `{"line": 11, "error": "the line is longer than 8388608 bytes", "correct":false,"extracted":"","rule":"","equality":"","reason":"over_limit"`},
		{`{"gold":"","answer":"3"}`, `"correct":false,"extracted":"3","rule":"","equality":"","reason":"unreadable_gold"`},
		{`{"gold":"3","answer":"3"}`, `"correct":true,"extracted":"3","rule":"same_text"`},
	}
	var in []string
	for _, l := range lines {
		in = append(in, l.in)
	}
	for _, end := range []string{"", "\n"} {
		out, err := runGrade(strings.Join(in, "\n")+end, "--jsonl", "-")
		got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if err != nil || len(got) != len(lines) {
			t.Fatalf("got %d lines, error %v; want %d", len(got), err, len(lines))
		}
		for i, l := range lines {
			if !strings.Contains(got[i], l.want) || !json.Valid([]byte(got[i])) {
				t.Errorf("%.80s gave\n%.300s\nwant\n%s", l.in, got[i], l.want)
			}
		}
	}
	if out, err := runGrade("", "--jsonl", "-"); out != "" || err != nil {
		t.Errorf("no lines gave %q, error %v", out, err)
	}
}

func TestGradeLinesStop(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := gradeLines(ctx, strings.NewReader("{}\n"), &bytes.Buffer{}, reward.Options{}); err == nil {
		t.Error("a stopped command reported success")
	}
}
