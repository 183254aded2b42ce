package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"astro/model/chat"
)

// realTemplates is model/chat/testdata/real.json, as far as its cases of Llama 3's family say what the tokens are.
type realTemplates struct {
	Now           time.Time
	Conversations map[string]struct {
		Messages []struct {
			Role      string
			Content   json.RawMessage
			ToolCalls json.RawMessage `json:"tool_calls"`
		}
		Tools    []json.RawMessage
		Vars     map[string]any
		Generate bool `json:"add_generation_prompt"`
		Continue bool `json:"continue_final_message"`
	}
	Templates []struct {
		Name    string
		Special map[string]string
	}
	Cases []struct {
		Template, Conversation string
		IDs                    *struct {
			Count  int
			SHA256 string
		}
	}
}

// input makes what chat renders; ok is false for messages with more than text, which package chat's own tests cover.
func (r realTemplates) input(conversation string) (in chat.Input, ok bool) {
	c := r.Conversations[conversation]
	in = chat.Input{Tools: c.Tools, Vars: c.Vars, AddGenerationPrompt: c.Generate, ContinueFinalMessage: c.Continue, Now: r.Now}
	for _, m := range c.Messages {
		var content string
		if m.ToolCalls != nil || json.Unmarshal(m.Content, &content) != nil {
			return in, false
		}
		in.Messages = append(in.Messages, chat.Message{Role: m.Role, Content: content})
	}
	return in, true
}

// TestRealTemplates: the published templates of Llama 3, 3.1, 3.2 and 3.3 give Hugging Face's tokens, encoded in segments, with
// system messages, tools, many turns, open messages and all kinds of characters.
func TestRealTemplates(t *testing.T) {
	data, err := os.ReadFile("../chat/testdata/real.json")
	if err != nil {
		t.Fatal(err)
	}
	var r realTemplates
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	special := map[string]map[string]string{}
	for _, template := range r.Templates {
		special[template.Name] = template.Special
	}
	count := 0
	for _, c := range r.Cases {
		in, ok := r.input(c.Conversation)
		if c.IDs == nil || !ok {
			continue
		}
		count++
		t.Run(c.Template+"/"+c.Conversation, func(t *testing.T) {
			ids := realIDs(t, c.Template, special[c.Template], in)
			raw, _ := binary.Append(nil, binary.LittleEndian, ids) // int32 always encodes
			if sum := sha256.Sum256(raw); len(ids) != c.IDs.Count || hex.EncodeToString(sum[:]) != c.IDs.SHA256 {
				t.Errorf("got %d tokens that are not the %d of Hugging Face: %v", len(ids), c.IDs.Count, ids)
			}
		})
	}
	if count < 75 {
		t.Errorf("real.json has %d cases with tokens; want at least 75", count)
	}
}

// realIDs are the tokens of a conversation in a model's template, where scripts/fetch_templates.py has put that.
func realIDs(t *testing.T, name string, special map[string]string, in chat.Input) []int32 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", ".cache", "templates", name+".jinja"))
	if err != nil {
		t.Skipf("the template %s is not in .cache/templates: scripts/fetch_templates.py gets it", name)
	}
	template, err := chat.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	segments, err := template.WithSpecial(special).Render(in)
	if err != nil {
		t.Fatal(err)
	}
	return load(t, "llama3").EncodeSegments(segments)
}
