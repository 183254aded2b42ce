package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrContinueAndGenerate says that an Input asks for the end of the last message and for the beginning of the next one.
var ErrContinueAndGenerate = errors.New("continue_final_message and add_generation_prompt exclude each other: the first leaves the last message open, the second begins a new one; set one of them")

// ErrNothingToContinue says that the last message cannot be left open: there is none, or it has no text that the template
// renders as it is.
var ErrNothingToContinue = errors.New("continue_final_message")

// openMark stands behind the text to continue while the template runs. What the template writes from there on is cut off. The
// space shows whether the template trims. Both are transformers', so the cut falls where theirs does.
const openMark, openSpace = "CONTINUE_FINAL_MESSAGE_TAG", " "

// renderOpen is Render up to the end of the last message's text.
func (t *Template) renderOpen(in Input) ([]Segment, error) {
	if in.AddGenerationPrompt {
		return nil, ErrContinueAndGenerate
	}
	if len(in.Messages) == 0 {
		return nil, fmt.Errorf("%w: the conversation is empty", ErrNothingToContinue)
	}
	in.Messages = slices.Clone(in.Messages)
	said, err := in.Messages[len(in.Messages)-1].open()
	if err != nil {
		return nil, err
	}
	out, err := t.run(in)
	if err != nil {
		return nil, err
	}
	at := strings.LastIndex(out.s, openMark)
	if at < 0 || !strings.Contains(out.s, strings.TrimFunc(said, isSpace)) {
		return nil, fmt.Errorf("%w: the chat template does not render the last message's text as it is", ErrNothingToContinue)
	}
	trimmed := !strings.HasPrefix(out.s[at:], openMark+openSpace)
	return out.slice(0, at).trim(false, trimmed, isSpace).segments(), nil
}

// open marks the end of the message's text, in a copy, and returns the text.
func (m *Message) open() (said string, err error) {
	switch {
	case len(m.Parts) > 0:
		m.Parts = slices.Clone(m.Parts)
		last := &m.Parts[len(m.Parts)-1]
		said, *last = *last, *last+openMark+openSpace
	case m.NoContent || m.Parts != nil:
		return "", fmt.Errorf("%w: the last message has no content to continue", ErrNothingToContinue)
	default:
		said, m.Content = m.Content, m.Content+openMark+openSpace
	}
	return strings.ToValidUTF8(said, "\uFFFD"), nil
}
