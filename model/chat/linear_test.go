package chat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/internal/growthtest"
)

// A long message, and many messages, take a template time in proportion; so does reading a long template.
func TestSec_R09TemplatesAreLinear(t *testing.T) {
	for _, style := range []string{"chatml", "llama_tools", "mistral", "qwen"} {
		source, err := os.ReadFile(filepath.Join("testdata", style+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		template, err := Parse(string(source))
		if err != nil {
			t.Fatal(err)
		}
		render := func(in Input) {
			if _, err := template.WithSpecial(map[string]string{"bos_token": "<s>", "eos_token": "</s>"}).Render(in); err != nil {
				t.Error(err)
			}
		}
		for _, unit := range []string{"word ", " ", "\n", "</think>", "{{", "<|im_end|>", "\\\""} {
			growthtest.Linear(t, style+" long "+unit, 1<<19/len(unit), func(n int) {
				render(Input{Messages: []Message{{Role: "user", Content: strings.Repeat(unit, n)}, {Role: "assistant", Content: strings.Repeat(unit, n)}, {Role: "user", Content: "?"}}})
			})
		}
		growthtest.Linear(t, style+" many", 500, func(n int) {
			var in Input
			for i := range n {
				in.Messages = append(in.Messages, Message{Role: []string{"user", "assistant"}[i%2], Content: "a turn"})
			}
			render(in)
		})
	}
	for _, unit := range []string{"{{a}}", "{%if a%}{%endif%}", "{#x#}", "text ", "{{'a'~a}}"} {
		growthtest.Linear(t, "template of "+unit, maxTemplateBytes/4/len(unit), func(n int) { Parse(strings.Repeat(unit, n)) })
	}
}
