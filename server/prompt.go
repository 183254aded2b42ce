package server

import (
	"fmt"
	"strings"

	"astro/model/chat"
	"astro/openai"
)

// render makes the tokens of a conversation, which param holds. Only the template's own text can become special tokens; what a message
// says never does.
func (s *Server) render(param string, messages []openai.Message, d *openai.Rendering, t *openai.Tooling) ([]int32, *openai.Error) {
	if s.Template == nil {
		return nil, openai.Invalid(param, "no_chat_template", "This model has no chat template. Use /v1/completions.")
	}
	in := chat.Input{AddGenerationPrompt: d.AddGenerationPrompt, ContinueFinalMessage: d.ContinueFinalMessage}
	for i := range messages {
		in.Messages = append(in.Messages, chatMessage(&messages[i]))
	}
	if t.Choice.Mode != openai.ToolsNone {
		for i := range t.Tools {
			in.Tools = append(in.Tools, t.Tools[i].Raw)
		}
	}
	if d.Kwargs != nil {
		vars, err := chat.ParseKwargs(d.Kwargs)
		if err != nil {
			return nil, openai.Invalid("chat_template_kwargs", "invalid_value", "Invalid 'chat_template_kwargs': %s.", clipReason(err))
		}
		in.Vars = vars
	}
	segments, err := s.Template.Render(in)
	if err != nil {
		return nil, openai.Invalid(param, "invalid_value", "The model's chat template cannot render these messages: %s.", clipReason(err))
	}
	return s.Tokenizer.EncodeSegments(segments), nil
}

// chatMessage is a message as templates see it.
func chatMessage(m *openai.Message) chat.Message {
	out := chat.Message{Role: m.Role, Content: m.Content, NoContent: m.NoContent, Name: m.Name, ToolCallID: m.ToolCallID}
	if m.Role == "developer" {
		out.Role = "system" // OpenAI's newer name for it; templates know the older one
	}
	for _, c := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, chat.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments})
	}
	return out
}

// clipReason is why a template refuses, for the client.
func clipReason(err error) string {
	const maxReasonBytes = 512
	reason := err.Error()
	return strings.ToValidUTF8(reason[:min(len(reason), maxReasonBytes)], "")
}

// encode makes the tokens of a text completion's prompt.
func (s *Server) encode(p *openai.Prompt) prompt {
	if p.IDs != nil {
		return prompt{ids: p.IDs}
	}
	return prompt{ids: s.Tokenizer.Encode(p.Text), text: &p.Text}
}

// fingerprint names what answers: the program's version and the policy's.
func (s *Server) fingerprint() string { return s.fingerprintOf(s.Engine.Version()) }

func (s *Server) fingerprintOf(version int64) string {
	return fmt.Sprintf("astro-%s-v%d", s.Version, version)
}
