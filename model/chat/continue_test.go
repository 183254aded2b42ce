package chat

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func mustParse(t testing.TB, source string) *Template {
	t.Helper()
	template, err := Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// TestContinueFinalMessage: the last message stays open, with its own spaces where the template keeps them; its text is as little
// trusted as ever, and the caller's messages stay as they were.
func TestContinueFinalMessage(t *testing.T) {
	const keeps, trims = `{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}`, `{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}<end>{% endfor %}`
	const parts = `{% for m in messages %}{% for p in m.content %}<p>{{ p.text }}</p>{% endfor %}{% endfor %}`
	for name, c := range map[string]struct {
		source string
		last   Message
		want   string
	}{
		"as it is":                   {keeps, Message{Content: "So "}, "<user>q<end><>So "},
		"trimmed":                    {trims, Message{Content: " So \n"}, "<user>q<end><>So"},
		"nothing yet":                {keeps, Message{Content: ""}, "<user>q<end><>"},
		"the mark itself":            {keeps, Message{Content: openMark + " x"}, "<user>q<end><>" + openMark + " x"},
		"parts":                      {parts, Message{Parts: []string{"a", "b "}}, "<p>a</p><p>b "},
		"parts where strings belong": {keeps, Message{Parts: []string{"a", "b "}}, "<user>q<end><>ab "},
		"invalid UTF-8":              {keeps, Message{Content: "a\xff"}, "<user>q<end><>a\uFFFD"},
	} {
		first := Message{Role: "user", Content: "q"}
		if strings.Contains(c.source, "<p>") {
			first.Parts = []string{}
		}
		in := Input{Messages: []Message{first, c.last}, ContinueFinalMessage: true}
		segments, err := mustParse(t, c.source).Render(in)
		if got := Join(segments); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
		if last := segments[len(segments)-1]; last.Trusted && name != "nothing yet" {
			t.Errorf("%s: the open message is trusted: %q", name, last.Text)
		}
		if got := in.Messages[1]; got.Content != c.last.Content || !slices.Equal(got.Parts, c.last.Parts) {
			t.Errorf("%s: the caller's message became %+v", name, got)
		}
	}
}

// TestNothingToContinue: who asks for what cannot be is told so, and can tell it from a template's mistakes.
func TestNothingToContinue(t *testing.T) {
	const source = `{% for m in messages %}{{ m.content | upper }}{% endfor %}`
	user := Message{Role: "user", Content: "q"}
	for name, c := range map[string]struct {
		in   Input
		want error
	}{
		"both flags":        {Input{Messages: []Message{user}, AddGenerationPrompt: true}, ErrContinueAndGenerate},
		"no message":        {Input{}, ErrNothingToContinue},
		"only calls":        {Input{Messages: []Message{user, {NoContent: true, ToolCalls: []ToolCall{{Name: "f"}}}}}, ErrNothingToContinue},
		"no parts":          {Input{Messages: []Message{user, {Parts: []string{}}}}, ErrNothingToContinue},
		"text is not shown": {Input{Messages: []Message{{Content: "abc"}}}, ErrNothingToContinue},
	} {
		c.in.ContinueFinalMessage = true
		if segments, err := mustParse(t, source).Render(c.in); !errors.Is(err, c.want) || segments != nil {
			t.Errorf("%s: got %v, %v; want %v", name, segments, err, c.want)
		}
	}
	in := Input{Messages: []Message{user}, ContinueFinalMessage: true}
	if _, err := mustParse(t, "{{ nothing.x }}").Render(in); err == nil || errors.Is(err, ErrNothingToContinue) {
		t.Errorf("a template's mistake: got %v; want it, not ErrNothingToContinue", err)
	}
}
