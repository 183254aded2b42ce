package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// realGolden is testdata/real.json: what transformers makes of real models' templates. testdata/make_real.py says how it was made.
type realGolden struct {
	Now           time.Time
	Conversations map[string]realConversation
	Templates     []realTemplate
	Cases         []realCase
}

type realTemplate struct {
	Name, SHA256 string
	Promised     bool
	Special      map[string]string
}

type realConversation struct {
	Messages             []realMessage
	Tools                []json.RawMessage
	Vars                 json.RawMessage
	AddGenerationPrompt  bool `json:"add_generation_prompt"`
	ContinueFinalMessage bool `json:"continue_final_message"`
}

type realMessage struct {
	Role, Name string
	Content    json.RawMessage
	ToolCallID string `json:"tool_call_id"`
	Reasoning  string `json:"reasoning_content"`
	ToolCalls  []struct {
		ID       string
		Function struct {
			Name      string
			Arguments json.RawMessage
		}
	} `json:"tool_calls"`
}

type realCase struct {
	Template, Conversation string
	Want                   *string
	SHA256, Error          string
	Bytes                  int
	ReasonSHA256           string `json:"reason_sha256"`
}

func loadReal(t testing.TB) realGolden {
	t.Helper()
	data, err := os.ReadFile("testdata/real.json")
	if err != nil {
		t.Fatal(err)
	}
	var g realGolden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// input makes what Render takes of a conversation.
func (c realConversation) input(t testing.TB, now time.Time) Input {
	t.Helper()
	in := Input{AddGenerationPrompt: c.AddGenerationPrompt, ContinueFinalMessage: c.ContinueFinalMessage, Tools: c.Tools, Now: now}
	if c.Vars != nil {
		var err error
		if in.Vars, err = ParseKwargs(c.Vars); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range c.Messages {
		in.Messages = append(in.Messages, m.message(t))
	}
	return in
}

func (m realMessage) message(t testing.TB) Message {
	t.Helper()
	out := Message{Role: m.Role, Name: m.Name, ToolCallID: m.ToolCallID, NoContent: m.Content == nil}
	var parts []struct{ Text string }
	if m.Content != nil && json.Unmarshal(m.Content, &out.Content) != nil {
		if err := json.Unmarshal(m.Content, &parts); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range parts {
		out.Parts = append(out.Parts, p.Text)
	}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: string(c.Function.Arguments)})
	}
	if m.Reasoning != "" {
		out.Extra = map[string]any{"reasoning_content": m.Reasoning}
	}
	return out
}

// load reads the template where scripts/fetch_templates.py put it.
func (r realTemplate) load(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", ".cache", "templates", r.Name+".jinja"))
	if err != nil {
		t.Skipf("the template %s is not in .cache/templates: scripts/fetch_templates.py gets it", r.Name)
	}
	if digest(string(source)) != r.SHA256 {
		t.Fatalf("the template %s is another text than transformers rendered: run scripts/fetch_templates.py, and testdata/make_real.py if that changed", r.Name)
	}
	return string(source)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// beyond are the templates, none of a promised family, that transformers renders further than this package: what our error says.
var beyond = map[string]string{
	"Apriel-1.6-15b-Thinker-fixed":      "a mapping cannot be printed",
	"ByteDance-Seed-OSS":                "only strings are supported",
	"GigaChat3-10B-A1.8B":               "macro json_schema_to_typescript calls itself",
	"GigaChat3.1-10B-A1.8B":             "macro json_schema_to_typescript calls itself",
	"Kimi-K3":                           "macro json_sorted calls itself",
	"google-gemma-4-31B-it":             "macro format_argument calls itself",
	"google-gemma-4-31B-it-interleaved": "macro format_argument calls itself",
	"tencent-Hy3":                       `"format" of a string is not a function`,
	"unsloth-Apriel-1.5":                "a mapping cannot be printed",
}

// lenient are templates that this package renders where transformers does not, or does otherwise, when there are tools.
var lenient = map[string]string{
	"meetkai-functionary-medium-v3.1": "it writes |safe before a +, and transformers escapes what follows as HTML: no model was trained on that",
	"llama-cpp-deepseek-r1":           "it writes map() as JSON, which is a generator in Python and a list here",
}

// TestRealTemplates: every case of every real template gives transformers' text, or fails where it fails. A template's refusal
// has its words.
func TestRealTemplates(t *testing.T) {
	g := loadReal(t)
	promised := 0
	cases := map[string][]realCase{}
	for _, c := range g.Cases {
		cases[c.Template] = append(cases[c.Template], c)
	}
	for _, r := range g.Templates {
		if r.Promised {
			promised += len(cases[r.Name])
		}
		t.Run(r.Name, func(t *testing.T) {
			source := r.load(t)
			template, err := Parse(source)
			known, met := beyond[r.Name], false
			for _, c := range cases[r.Name] {
				var segments []Segment
				failed := err
				if err == nil {
					segments, failed = template.WithSpecial(r.Special).Render(g.Conversations[c.Conversation].input(t, g.Now))
				}
				if known != "" && c.Error == "" && failed != nil && strings.Contains(failed.Error(), known) {
					met = true
					continue
				}
				c.check(t, segments, failed)
			}
			if known != "" && (!met || r.Promised) {
				t.Errorf("no case fails with %q (any more), or the template is of a promised family: remove it from beyond", known)
			}
		})
	}
	if promised < 300 {
		t.Errorf("real.json has %d cases of the promised families; want at least 300", promised)
	}
}

func (c realCase) check(t *testing.T, segments []Segment, err error) {
	t.Helper()
	got := Join(segments)
	refused := (*RefusedError)(nil)
	switch {
	case lenient[c.Template] != "" && err == nil && strings.Contains(got, "Weather <now>"):
	case c.Error != "":
		if err == nil {
			t.Errorf("%s: got %q; want an error, as transformers' %s", c.Conversation, got, c.Error)
		}
		if c.ReasonSHA256 != "" && (!errors.As(err, &refused) || digest(refused.Reason) != c.ReasonSHA256) {
			t.Errorf("%s: got the error %v; want the template's own refusal", c.Conversation, err)
		}
	case err != nil:
		t.Errorf("%s: %v", c.Conversation, err)
	case c.Want != nil && got != *c.Want:
		t.Errorf("%s:\n got %q\nwant %q", c.Conversation, got, *c.Want)
	case c.Want == nil && (digest(got) != c.SHA256 || len(got) != c.Bytes):
		t.Errorf("%s: got %d bytes that are not the %d bytes of transformers: %q", c.Conversation, len(got), c.Bytes, got)
	}
	if err := checkSegments(segments); err != nil {
		t.Errorf("%s: %v", c.Conversation, err)
	}
}
