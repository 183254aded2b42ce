// Package chat turns a conversation into the text that a model was trained on. It runs a bounded subset of Jinja, the language
// of chat templates in Hugging Face folders, and keeps track of which characters the template wrote and which came from
// messages, so that the tokenizer lets only the template make special tokens.
//
// A template is data from a model's folder, never from a request. It reaches no file, no clock but strftime_now and no Go
// value; it ends within maxSteps and maxOutputBytes. A construct outside the subset is named by an error: most when the template
// is parsed, and when it runs a macro that calls itself.
package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of templates and of what they make. Past one of them Parse or Render return an error that names it.
const (
	maxTemplateBytes = 64 << 10
	maxParseDepth    = 100       // of expressions within expressions, blocks within blocks
	maxCallDepth     = 16        // of macros that call macros
	maxValueDepth    = 100       // of lists and maps within each other
	maxSteps         = 1_000_000 // evaluated nodes and visited items of one Render
	maxOutputBytes   = 8 << 20   // of one Render
	maxBuiltBytes    = 256 << 20 // of all the texts that one Render builds on the way
	maxConfigBytes   = 16 << 20  // of tokenizer_config.json
)

// Segment is a stretch of rendered text. Trusted text was written by the template, or is a special token's name from the
// model's folder; all else came from messages, tools or variables and must not become special tokens.
type Segment struct {
	Text    string
	Trusted bool
}

// Input is what a template is rendered with.
type Input struct {
	Messages             []Message
	AddGenerationPrompt  bool              // end with the beginning of an answer
	ContinueFinalMessage bool              // end within the last message, so that the model goes on with it; excludes the other
	Tools                []json.RawMessage // function descriptions; nil = none. Keys keep their order
	Vars                 map[string]any    // further variables: nil, bool, int, int64, float64, string, []any, map[string]any, json.RawMessage; ParseKwargs makes them of a request's
	Now                  time.Time         // for strftime_now; zero = the clock
}

// Template is a parsed template with the special tokens that it may name. It does not change; goroutines may share it.
type Template struct {
	body    []statement
	special map[string]string // bos_token, eos_token, ...: trusted variables
}

// Parse reads a template. The error of an unknown or unsupported construct names it and its line.
func Parse(source string) (*Template, error) {
	if len(source) > maxTemplateBytes {
		return nil, fmt.Errorf("parse chat template: the limit maxTemplateBytes is passed: it has %d bytes; at most %d are accepted", len(source), maxTemplateBytes)
	}
	tokens, err := lex(strings.ToValidUTF8(source, "\uFFFD"))
	if err != nil {
		return nil, fmt.Errorf("parse chat template: %w", err)
	}
	body, err := parse(tokens)
	if err != nil {
		return nil, fmt.Errorf("parse chat template: %w", err)
	}
	return &Template{body: body}, nil
}

// WithSpecial returns the template with trusted variables, such as "bos_token": "<s>".
func (t *Template) WithSpecial(special map[string]string) *Template {
	return &Template{body: t.body, special: special}
}

// Render runs the template. Neighbouring segments differ in trust, and none is empty. Errors: the template called
// raise_exception (a *RefusedError), used something that does not exist, or passed a limit; ErrContinueAndGenerate,
// ErrNothingToContinue.
func (t *Template) Render(in Input) ([]Segment, error) {
	if in.ContinueFinalMessage {
		return t.renderOpen(in)
	}
	out, err := t.run(in)
	return out.segments(), err
}

// run executes the template. One that fails on contents in parts gets their joined texts: many know strings only. That counts
// as a second Render, and none follows one that passed a limit.
func (t *Template) run(in Input) (text, error) {
	m := newMachine(t, in)
	err := m.execAll(t.body)
	if joined, some := joinParts(in.Messages); err != nil && some && !errors.Is(err, errSteps) && !errors.Is(err, errBuilt) && !errors.Is(err, errOutput) {
		in.Messages = joined
		m = newMachine(t, in)
		err = m.execAll(t.body)
	}
	if err != nil {
		return text{}, fmt.Errorf("render chat template: line %d: %w", m.line, err)
	}
	return m.out.text(), nil
}

// Join is the whole text of segments.
func Join(segments []Segment) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString(s.Text)
	}
	return b.String()
}

// RefusedError is a template's own refusal of a conversation, such as "roles must alternate": the caller's mistake.
type RefusedError struct{ Reason string }

// Error is the template's text.
func (e *RefusedError) Error() string { return "the template refuses the conversation: " + e.Reason }
