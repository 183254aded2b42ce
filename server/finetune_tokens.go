package server

import (
	"encoding/json"
	"errors"
	"slices"

	"astro/model/chat"
	"astro/openai"
	"astro/training/reward"
)

// TuneTokens makes the tokens of a line of a fine-tuning file, as requests with the same content have them: what is asked, and of a
// supervised example what answers it, with its end.
func (s *Server) TuneTokens(e *openai.TuneExample) (prompt, completion []int32, err error) {
	if e.Messages == nil {
		prompt = s.Tokenizer.Encode(e.Prompt)
		if e.Completion != "" {
			completion = s.ended(s.Tokenizer.EncodeSegments([]chat.Segment{{Text: e.Completion}}))
		}
		return prompt, completion, nil
	}
	asked, last := e.Messages, e.Messages[len(e.Messages)-1]
	answered := last.Role == "assistant"
	if answered {
		asked = asked[:len(asked)-1]
	}
	tooling := openai.Tooling{Tools: e.Tools}
	prompt, refused := s.render("messages", asked, &openai.Rendering{AddGenerationPrompt: true}, &tooling)
	if refused != nil || !answered {
		return prompt, nil, orNil(refused)
	}
	whole, refused := s.render("messages", e.Messages, &openai.Rendering{}, &tooling)
	if refused != nil {
		return nil, nil, refused
	}
	if len(whole) < len(prompt) || !slices.Equal(whole[:len(prompt)], prompt) {
		return nil, nil, errors.New("the chat template writes the conversation otherwise once it is answered")
	}
	return prompt, s.ended(whole[len(prompt):]), nil
}

// ended is an answer with its end of sequence.
func (s *Server) ended(ids []int32) []int32 {
	for _, id := range s.Engine.Config().EOS {
		if len(ids) > 0 && ids[len(ids)-1] == id {
			return ids
		}
	}
	if eos := s.Engine.Config().EOS; len(eos) > 0 {
		ids = append(ids, eos[0])
	}
	return ids
}

func orNil(err *openai.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// Grader makes a grader of its JSON, as requests name it.
func (s *Server) Grader(spec json.RawMessage) (reward.Grader, error) {
	g, err := s.grader(spec)
	if err != nil {
		return nil, err
	}
	return g, nil
}
