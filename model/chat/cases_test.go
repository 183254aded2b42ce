package chat

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// golden is testdata/cases.json: what transformers renders. testdata/make_cases.py says how it was made.
type golden struct {
	Now           time.Time
	Vars          map[string]json.RawMessage
	Special       map[string]string
	Language      []goldenCase
	Styles        []goldenCase
	Conversations []goldenCase
}

type goldenCase struct {
	Name                string
	Template, Style     string
	Messages            []map[string]json.RawMessage
	AddGenerationPrompt bool `json:"add_generation_prompt"`
	Tools               []json.RawMessage
	Vars                map[string]json.RawMessage
	Want, Error         string // one of them
	LLaMA3              string `json:"llama3"`
	Countdown           string
}

func loadGolden(t testing.TB) golden {
	t.Helper()
	data, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// input makes what Render takes of a case.
func (c goldenCase) input(t testing.TB, g golden) Input {
	in := Input{AddGenerationPrompt: c.AddGenerationPrompt, Tools: c.Tools, Now: g.Now, Vars: map[string]any{}}
	for key, v := range c.Vars {
		in.Vars[key] = v
	}
	for _, m := range c.Messages {
		in.Messages = append(in.Messages, goldenMessage(t, m))
	}
	return in
}

func goldenMessage(t testing.TB, fields map[string]json.RawMessage) Message {
	m := Message{Extra: map[string]any{}}
	for key, raw := range fields {
		var err error
		switch key {
		case "role":
			err = json.Unmarshal(raw, &m.Role)
		case "name":
			err = json.Unmarshal(raw, &m.Name)
		case "content":
			var parts []struct{ Text string }
			if err = json.Unmarshal(raw, &m.Content); err != nil {
				err = json.Unmarshal(raw, &parts)
				for _, p := range parts {
					m.Parts = append(m.Parts, p.Text)
				}
			}
		default:
			m.Extra[key] = raw
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// check renders a case and compares the text, or that there is an error, with what transformers did.
func (c goldenCase) check(t *testing.T, source string, special map[string]string, in Input) {
	t.Helper()
	template, err := Parse(source)
	var segments []Segment
	if err == nil {
		segments, err = template.WithSpecial(special).Render(in)
	}
	got := Join(segments)
	switch {
	case c.Error == "" && err != nil:
		t.Errorf("%s: %q\n got error %v\nwant %q", c.Name, source, err, c.Want)
	case c.Error != "" && err == nil:
		t.Errorf("%s: %q\n got %q\nwant an error like %s", c.Name, source, got, c.Error)
	case got != c.Want:
		t.Errorf("%s: %q\n got %q\nwant %q", c.Name, source, got, c.Want)
	}
	if err := checkSegments(segments); err != nil {
		t.Errorf("%s: %v", c.Name, err)
	}
	if refused := (*RefusedError)(nil); strings.HasPrefix(c.Error, "TemplateError: ") {
		if !errors.As(err, &refused) || "TemplateError: "+refused.Reason != c.Error {
			t.Errorf("%s: got the error %v; want a RefusedError, %s", c.Name, err, c.Error)
		}
	}
}

// checkSegments says what Render promises of its segments.
func checkSegments(segments []Segment) error {
	for i, s := range segments {
		if s.Text == "" {
			return errors.New("a segment is empty")
		}
		if i > 0 && s.Trusted == segments[i-1].Trusted {
			return errors.New("neighbouring segments have the same trust")
		}
	}
	return nil
}

func TestLanguageAsInTransformers(t *testing.T) {
	g := loadGolden(t)
	if len(g.Language) < 120 {
		t.Fatalf("cases.json has %d cases; want at least 120", len(g.Language))
	}
	for _, c := range g.Language {
		c.Vars = g.Vars
		in := c.input(t, g)
		c.check(t, c.Template, nil, in)
	}
}

func TestStylesAsInTransformers(t *testing.T) {
	g := loadGolden(t)
	for _, c := range g.Styles {
		source, err := os.ReadFile(filepath.Join("testdata", c.Style+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		c.check(t, string(source), g.Special, c.input(t, g))
	}
}

// The templates of real models, read where the models' files are.
func TestConversationsAsInTransformers(t *testing.T) {
	g := loadGolden(t)
	llama3, countdown := loadTemplate(t, llama3Dir(t)), loadTemplate(t, "../../models/countdown-base")
	if len(g.Conversations) < 20 {
		t.Fatalf("cases.json has %d conversations; want at least 20", len(g.Conversations))
	}
	for _, c := range g.Conversations {
		for name, model := range map[string]struct {
			template *Template
			want     string
		}{"llama3": {llama3, c.LLaMA3}, "countdown": {countdown, c.Countdown}} {
			segments, err := model.template.Render(c.input(t, g))
			if got := Join(segments); err != nil || got != model.want {
				t.Errorf("%s, conversation %s: got %q, %v; want %q", name, c.Name, got, err, model.want)
			}
			for _, s := range segments {
				if s.Trusted && strings.Contains(s.Text, "obey") { // what one of the messages says after special tokens' names
					t.Errorf("%s, conversation %s: a message's text is trusted: %q", name, c.Name, s.Text)
				}
			}
		}
	}
}

// llama3Dir is where a dependency keeps the tokenizer of Llama 3 as test data.
func llama3Dir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/daulet/tokenizers").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "test", "data", "meta-llama-3-8b-instruct")
	if _, missing := os.Stat(dir); err != nil || missing != nil {
		t.Skipf("the source of module github.com/daulet/tokenizers is not in the module cache (%v, %v): go mod download gets it", err, missing)
	}
	return dir
}

func loadTemplate(t testing.TB, dir string) *Template {
	t.Helper()
	template, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// TestVariables: every Go type that Input.Vars and Message.Extra may hold. Keys of Go maps come in alphabetical order, those of
// JSON in their own.
func TestVariables(t *testing.T) {
	in := Input{Vars: map[string]any{"v": map[string]any{
		"nil": nil, "bool": true, "int": 1, "int64": int64(2), "float": 1.5, "string": "s", "list": []any{1, []any{}}, "raw": json.RawMessage(`{"z": [1, 2.0, 1e2, null, true], "a": "b"}`),
	}}}
	template, err := Parse(`{{ v | tojson }}`)
	if err != nil {
		t.Fatal(err)
	}
	segments, err := template.Render(in)
	want := `{"bool": true, "float": 1.5, "int": 1, "int64": 2, "list": [1, []], "nil": null, "raw": {"z": [1, 2.0, 100.0, null, true], "a": "b"}, "string": "s"}`
	if got := Join(segments); err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
