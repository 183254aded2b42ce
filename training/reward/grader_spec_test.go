package reward

import (
	"errors"
	"strings"
	"testing"
)

// parsed makes a grader that must be right.
func parsed(t *testing.T, text string, named map[string]Grader) Grader {
	t.Helper()
	g, err := ParseGrader([]byte(text), named)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return g
}

// Graders as JSON do what their kinds do, in OpenAI's words and in ours.
func TestParseGrader(t *testing.T) {
	named := map[string]Grader{"half": constant(0.5), "math": constant(0.25)}
	check := func(operation string) string {
		return `{"type":"string_check","name":"x","operation":"` + operation + `","input":"{{sample.output_text}}","reference":"{{item.label}}"}`
	}
	item := Item{Problem: "3 7 2 9 -> 7", Gold: "Paris", Response: "in Paris"}
	for _, c := range []struct {
		text  string
		item  Item
		score float64
	}{
		{check("eq"), item, 0}, {check("ne"), item, 1}, {check("like"), item, 1}, {check("ilike"), Item{Response: "in PARIS"}, 1}, {check("like"), Item{Response: "in PARIS"}, 0},
		{check("eq"), Item{Response: "Paris"}, 1}, {check("eq"), Item{Response: "Paris "}, 0}, {`"string_check"`, Item{Gold: "a", Response: "a"}, 1},
		{`{"type":"math"}`, Item{Gold: "1/2", Response: `\boxed{0.5}`}, 1}, {`"math"`, item, 0.25}, {`"half"`, item, 0.5}, {`{"type":"http","name":"half"}`, item, 0.5},
		{`{"type":"numeric"}`, Item{Gold: "200", Response: "it is 201"}, 0}, {`{"type":"numeric","tolerance":0.01}`, Item{Gold: "200", Response: "it is 201"}, 1},
		{`{"type":"numeric","tolerance":"0.01"}`, Item{Gold: "200", Response: "it is 201"}, 1}, {`"numeric"`, Item{Gold: "200", Response: "it is 200"}, 1},
		{`{"type":"numeric","reference":"{{item.number}}"}`, Item{Gold: "1", Response: "it is 7"}, 1},
		{`{"type":"pattern","expression":"^in"}`, item, 1}, {`{"type":"pattern","expression":"in (?P<answer>.*)"}`, item, 1},
		{`"countdown"`, Item{Problem: "3 7 2 9 -> 7", Response: short.Replace(good + "BUTWAIT LOOKSOK ANS 7")}, 1},
		{`{"type":"countdown","max_value":50}`, Item{Gold: "3 7 2 9 -> 7", Response: short.Replace(good + "BUTWAIT LOOKSOK ANS 7")}, 1},
		{`{"type":"countdown"}`, Item{Gold: "3 7 2 9 -> 7", Response: "7"}, 0},
		{`{"type":"multi","graders":{"a":` + check("like") + `,"b":{"type":"http","name":"half"}},"calculate_output":"0.5*a + 0.5*b"}`, item, 0.75},
		{`{"type":"string_check","operation":"eq","input":"<{{ sample.output_text }}>","reference":"<in {{item.answer}}>"}`, item, 1},
	} {
		g := WithFields(parsed(t, c.text, named), map[string]string{"label": "Paris", "number": "7"})
		if got, err := g.Grade(c.item); err != nil || got.Score != c.score {
			t.Errorf("%s of %+v: got %+v, %v; want %g", c.text, c.item, got, err, c.score)
		}
	}
}

// Values are put in as they are, once: what they hold is not a template.
func TestTemplatesAreExpandedOnce(t *testing.T) {
	g := WithFields(parsed(t, `{"type":"string_check","operation":"eq","input":"{{sample.output_text}}","reference":"{{item.a}}"}`, nil), map[string]string{"a": "{{item.b}}", "b": "x"})
	grade(t, g, Item{Response: "{{item.b}}"}, 1, ReasonCorrect)
	grade(t, g, Item{Response: "x"}, 0, ReasonWrong)
	if got, err := parsed(t, `{"type":"string_check","operation":"eq","reference":"{{item.a}}"}`, nil).Grade(Item{Gold: "x", Response: "x"}); err == nil {
		t.Errorf("a field that is not there: got %+v", got)
	}
	if got, err := parsed(t, `{"type":"string_check","operation":"like"}`, nil).Grade(Item{Response: "x"}); err == nil {
		t.Errorf("an empty reference is in everything: got %+v", got)
	}
	long := parsed(t, `{"type":"math","input":"{{sample.output_text}}{{sample.output_text}}{{sample.output_text}}"}`, nil)
	if got, err := long.Grade(Item{Gold: "1", Response: strings.Repeat("x", MaxResponseBytes)}); err == nil {
		t.Errorf("a long template: got %+v", got)
	}
	two := map[string]string{"label": "a"}
	multi := parsed(t, `{"type":"multi","graders":{"x":{"type":"string_check","operation":"eq","reference":"{{item.label}}"}},"calculate_output":"x"}`, nil)
	grade(t, WithFields(multi, two), Item{Response: "a"}, 1, ReasonCorrect)
	if got, err := multi.Grade(Item{Response: "a"}); err == nil {
		t.Errorf("the grader itself was bound: got %+v", got)
	}
}

func TestParseGraderRefusals(t *testing.T) {
	for text, want := range map[string]error{
		`{"type":"http","url":"http://x"}`: ErrGraderURL, `{"type":"math","URL":"x"}`: ErrGraderURL, `"https://x"`: ErrGraderURL, `{"type":"http","name":"http://x"}`: ErrGraderURL,
		`{"type":"multi","graders":{"a":{"type":"http","url":"x"}},"calculate_output":"a"}`: ErrGraderURL,
		`{"type":"python","source":"x"}`: ErrUnsupportedGrader, `{"type":"score_model"}`: ErrUnsupportedGrader, `{"type":"x"}`: ErrUnsupportedGrader, `"x"`: ErrUnsupportedGrader, `"pattern"`: ErrUnsupportedGrader,
		`{"type":"http","name":"x"}`: ErrUnsupportedGrader, `{"type":"http"}`: ErrUnsupportedGrader,
		`{"type":"multi","graders":{"a":{"type":"multi","graders":{},"calculate_output":"1"}},"calculate_output":"a"}`: ErrUnsupportedGrader,
	} {
		if g, err := ParseGrader([]byte(text), nil); !errors.Is(err, want) {
			t.Errorf("%s: got %v, %v; want %v", text, g, err, want)
		}
	}
	for _, text := range []string{``, `{`, `7`, `[]`, `null`, `{}`, `{"type":null}`, `{"type":7}`, `{"type":"math","x":1}`, `{"type":"math","type":"math"}`, `{"type":"math","input":7}`, `{"type":"math","input":"{{item}}"}`,
		`{"type":"math","reference":"{{ sample.text }}"}`, `{"type":"math","name":"` + strings.Repeat("x", 65) + `"}`, `{"type":"math","input":"` + strings.Repeat("x", 5000) + `"}`, `{"type":"math","x":"` + strings.Repeat("x", MaxSpecBytes) + `"}`,
		`{"type":"string_check"}`, `{"type":"string_check","operation":"eval"}`, `{"type":"numeric","tolerance":1}`, `{"type":"numeric","tolerance":-0.1}`, `{"type":"numeric","tolerance":{}}`, `{"type":"numeric","tolerance":"1e-3"}`,
		`{"type":"pattern"}`, `{"type":"pattern","expression":"("}`, `{"type":"pattern","expression":7}`, `{"type":"countdown","max_value":0}`, `{"type":"countdown","max_value":1000}`, `{"type":"countdown","max_value":"9"}`,
		`{"type":"multi"}`, `{"type":"multi","graders":{},"calculate_output":"1"}`, `{"type":"multi","graders":{"a":{"type":"math"}}}`, `{"type":"multi","graders":{"a":{"type":"math"}},"calculate_output":"b"}`,
		`{"type":"multi","graders":{"a":7},"calculate_output":"a"}`, `{"type":"multi","graders":[{"type":"math"}],"calculate_output":"a"}`, `{"type":"multi","graders":{"a":{"type":"math"}},"calculate_output":"a","input":"x"}`} {
		if g, err := ParseGrader([]byte(text), nil); err == nil {
			t.Errorf("%.100s: got %v; want an error", text, g)
		}
	}
}
