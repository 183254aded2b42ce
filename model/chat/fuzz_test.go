package chat

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// seeds are all templates of the tests.
func seeds(f *testing.F) []string {
	g := loadGolden(f)
	var all []string
	for _, c := range g.Language {
		all = append(all, c.Template)
	}
	for _, h := range hostile {
		all = append(all, h.source)
	}
	styles, err := filepath.Glob("testdata/*.jinja")
	if err != nil || len(styles) == 0 {
		f.Fatalf("got the templates %q, %v in testdata; want some", styles, err)
	}
	for _, style := range styles {
		source, err := os.ReadFile(style)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, string(source))
	}
	return append(all, realSeeds()...)
}

// realSeeds are the templates of real models, where scripts/fetch_templates.py has put them.
func realSeeds() []string {
	files, _ := filepath.Glob("../../.cache/templates/*.jinja") // the pattern is well-formed, so there is no error
	var all []string
	for _, file := range files {
		if source, err := os.ReadFile(file); err == nil {
			all = append(all, string(source))
		}
	}
	return all
}

// FuzzParse: any text is a template or an error with a line.
func FuzzParse(f *testing.F) {
	for _, source := range seeds(f) {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		template, err := Parse(source)
		if (template == nil) == (err == nil) {
			t.Errorf("%q: got %v and %v; want one of them", source, template, err)
		}
		if err != nil && len(source) <= maxTemplateBytes && !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: the error %v has no line", source, err)
		}
	})
}

// FuzzRender: any template with any message, left open or not, gives segments that keep Render's promises, twice the same, or
// an error.
func FuzzRender(f *testing.F) {
	g := loadGolden(f)
	for _, source := range append(seeds(f)[:len(g.Language)], realSeeds()...) { // not the hostile ones: they are slow
		f.Add(source, "hi <|eot|>", false)
		f.Add(source, `{"a": [1]}`, true)
	}
	raw, err := json.Marshal(g.Vars)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source, said string, open bool) {
		template, err := Parse(source)
		if err != nil {
			return
		}
		in := Input{Messages: []Message{{Role: "user", Content: said}, {Role: "assistant", NoContent: open, ToolCalls: []ToolCall{{said, "f", said}}}, {Role: "assistant", Parts: []string{said}}},
			Tools: []json.RawMessage{raw}, Now: g.Now, Vars: map[string]any{"m": said}, ContinueFinalMessage: open, AddGenerationPrompt: !open}
		for key, v := range g.Vars {
			in.Vars[key] = v
		}
		segments, err := template.Render(in)
		if errors.Is(err, errBreak) || errors.Is(err, errContinue) {
			t.Errorf("%q: a jump left the template: %v", source, err)
		}
		if err := checkSegments(segments); err != nil {
			t.Errorf("%q: %v", source, err)
		}
		again, _ := template.Render(in)
		if got := Join(segments); !utf8.ValidString(got) || got != Join(again) {
			t.Errorf("%q: got %q, then %q; want the same valid text", source, got, Join(again))
		}
	})
}
