package server

import (
	"fmt"
	"strings"

	"astro/model/chat"
	"astro/openai"
)

// render makes the tokens of a conversation. Only the template's own text can become special tokens; what a message says never
// does.
func (s *Server) render(messages []openai.Message) ([]int32, *openai.Error) {
	if s.Template == nil {
		return nil, openai.Invalid("messages", "no_chat_template", "This model has no chat template. Use /v1/completions.")
	}
	in := chat.Input{AddGenerationPrompt: true}
	for _, m := range messages {
		if m.Role == "developer" {
			m.Role = "system" // OpenAI's newer name for it; templates know the older one
		}
		in.Messages = append(in.Messages, chat.Message{Role: m.Role, Content: m.Content})
	}
	segments, err := s.Template.Render(in)
	if err != nil {
		const maxReasonBytes = 512
		reason := err.Error()
		return nil, openai.Invalid("messages", "invalid_value", "The model's chat template cannot render these messages: %s.",
			strings.ToValidUTF8(reason[:min(len(reason), maxReasonBytes)], ""))
	}
	return s.Tokenizer.EncodeSegments(segments), nil
}

// encode makes the tokens of a text completion's prompt.
func (s *Server) encode(p *openai.Prompt) prompt {
	if p.IDs != nil {
		return prompt{ids: p.IDs}
	}
	return prompt{ids: s.Tokenizer.Encode(p.Text), text: &p.Text}
}

// fingerprint names what answers: the program's version and the policy's.
func (s *Server) fingerprint() string {
	return fmt.Sprintf("astro-%s-v%d", s.Version, s.Engine.Version())
}
