package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"astro/model/chat"
	"astro/model/tokenizer"
	"astro/training/reward"
	"astro/training/reward/latex"
	"astro/training/search"
)

// Boundary says where a step of a text ends.
type Boundary string

// Boundaries.
const (
	BlankLine     Boundary = "blank"    // behind an empty line
	NumberedSteps Boundary = "numbered" // before the next line that begins with "Step 2", "## Step 2", "2." or "2)"
)

// SearchText is how problems with a known answer are searched with a model of text: a step is a paragraph or a numbered step, a step
// that holds a \boxed{} answer ends a path, and reward.Verify says whether it is right.
type SearchText struct {
	Tokenizer       *tokenizer.Tokenizer
	Template        *chat.Template // nil = the instruction alone is the prompt
	Instruction     string         // holds {{problem}}
	Boundary        Boundary
	MaxStepTokens   int // a step that is longer ends its path without an answer
	MaxAnswerTokens int // of a path and its rollout together
	Reward          reward.Options
}

// Instructions that ask a chat model for steps that end where a Boundary is.
const (
	paragraphsInstruction = "Solve the following problem. Work in small, self-contained steps. Write each step as a paragraph of its own and leave one blank line between steps. " +
		"When you know the answer, put it in \\boxed{} in a last step.\n\nProblem: {{problem}}"
	numberedInstruction = "Solve the following problem. Work in small, self-contained steps and number them: begin each with a new line \"Step 1:\", \"Step 2:\" and so on. " +
		"When you know the answer, put it in \\boxed{} in a last step.\n\nProblem: {{problem}}"
)

// DefaultSearchText is for chat models; MaxAnswerTokens leaves room for the article's 8192 tokens of a rewritten trace.
func DefaultSearchText(t *tokenizer.Tokenizer, template *chat.Template, b Boundary) SearchText {
	s := SearchText{Tokenizer: t, Template: template, Instruction: paragraphsInstruction, Boundary: b, MaxStepTokens: 512, MaxAnswerTokens: 4096}
	if b == NumberedSteps {
		s.Instruction = numberedInstruction
	}
	return s
}

// Validate says what is wrong with the settings, or nil.
func (s SearchText) Validate() error {
	switch {
	case s.Boundary != BlankLine && s.Boundary != NumberedSteps:
		return fmt.Errorf("steps end at %q: want %s or %s", s.Boundary, BlankLine, NumberedSteps)
	case !strings.Contains(s.Instruction, "{{problem}}"):
		return errors.New("the instruction has no {{problem}} in it")
	case s.MaxStepTokens < 1 || s.MaxAnswerTokens < s.MaxStepTokens:
		return fmt.Errorf("steps of %d tokens in answers of %d: want at least 1, and answers as long as a step", s.MaxStepTokens, s.MaxAnswerTokens)
	}
	return nil
}

// String is what decides about trees, for Search.Settings.
func (s SearchText) String() string {
	return fmt.Sprintf("text, steps %s, step tokens %d, answer tokens %d, instruction %q", s.Boundary, s.MaxStepTokens, s.MaxAnswerTokens, s.Instruction)
}

// Problem makes a search.Problem, or says what it lacks.
func (s SearchText) Problem(id, text, gold string) (search.Problem, error) {
	if strings.TrimSpace(gold) == "" {
		return search.Problem{}, errors.New("the problem has no answer, so nothing could be graded")
	}
	prompt, err := s.prompt(text)
	if err != nil {
		return search.Problem{}, err
	}
	return search.Problem{ID: id, Text: text, Gold: gold, Domain: textProblem{s, prompt, gold}}, nil
}

// templateDate is the date that templates which ask for one are told, so that prompts do not depend on the day.
var templateDate = time.Date(2024, time.July, 26, 0, 0, 0, 0, time.UTC)

func (s SearchText) prompt(text string) ([]int32, error) {
	return s.Ask(strings.ReplaceAll(s.Instruction, "{{problem}}", text))
}

// Ask makes the prompt of a user's message.
func (s SearchText) Ask(text string) ([]int32, error) {
	if s.Template == nil {
		return s.Tokenizer.Encode(text + "\n\n"), nil
	}
	segments, err := s.Template.Render(chat.Input{Messages: []chat.Message{{Role: "user", Content: text}}, AddGenerationPrompt: true, Now: templateDate})
	if err != nil {
		return nil, fmt.Errorf("the chat template cannot render a message: %w", err)
	}
	return s.Tokenizer.EncodeSegments(segments), nil
}

// textProblem is one problem as search sees it.
type textProblem struct {
	search SearchText
	prompt []int32
	gold   string
}

// Prompt implements search.Domain.
func (p textProblem) Prompt() []int32 { return p.prompt }

// Step implements search.Domain.
func (p textProblem) Step(answer []int32) search.Limit {
	left := max(1, p.search.MaxAnswerTokens-len(answer))
	return search.Limit{MaxTokens: min(p.search.MaxStepTokens, left), StepEnd: p.search.stepEnd}
}

// Rollout implements search.Domain.
func (p textProblem) Rollout(answer []int32) search.Limit {
	return search.Limit{MaxTokens: max(1, p.search.MaxAnswerTokens-len(answer))}
}

// Judge implements search.Domain.
func (p textProblem) Judge(answer []int32, at int, end search.End) (search.Verdict, error) {
	if reward.Extract(p.Text(answer[at:]), reward.Options{}).Rule == reward.FromBox {
		v, err := p.Grade(answer)
		v.Terminal = true
		return v, err
	}
	if end == search.EndLength || len(answer) >= p.search.MaxAnswerTokens {
		return search.Verdict{Terminal: true, Reason: "unfinished"}, nil
	}
	return search.Verdict{}, nil
}

// Grade implements search.Domain.
func (p textProblem) Grade(answer []int32) (search.Verdict, error) {
	r := reward.Verify(p.gold, p.Text(answer), p.search.Reward)
	v := search.Verdict{Correct: r.Correct, Reason: string(r.Reason)}
	if v.Correct {
		v.Score = 1
	}
	if r.Extracted != "" {
		v.Answer = latex.Source(latex.Clean(r.Extracted))
	}
	return v, nil
}

// Text implements search.Domain.
func (p textProblem) Text(tokens []int32) string { return p.search.Decode(tokens) }

// Decode is the text of tokens.
func (s SearchText) Decode(tokens []int32) string {
	text, _ := s.decode(tokens)
	return text
}

// decode is the text of tokens, and where in it each of them ends; the bytes of a character that is cut count where it is whole.
func (s SearchText) decode(tokens []int32) (text string, ends []int) {
	var b strings.Builder
	stream := s.Tokenizer.NewStream()
	for _, id := range tokens {
		b.WriteString(stream.Push(id))
		ends = append(ends, b.Len())
	}
	b.WriteString(stream.Flush())
	return b.String(), ends
}

// nextStep finds the first words of a further step on a line of their own.
var nextStep = regexp.MustCompile(`\n[ \t]*((?:#+ *)?(?:\*\*)?(?:Step +\d+|\d+[.)][ \t]))`)

// stepEnd says whether tokens hold a whole step. The work per token is small unless a line has ended just before it.
func (s SearchText) stepEnd(tokens []int32) (keep int, ok bool) {
	const tail = 12 // tokens: a heading is not longer
	recent := false
	for _, id := range tokens[max(0, len(tokens)-tail):] {
		recent = recent || bytes.IndexByte(s.Tokenizer.Bytes(id), '\n') >= 0
	}
	if !recent {
		return 0, false
	}
	text, ends := s.decode(tokens)
	begin := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	if s.Boundary == BlankLine {
		at := strings.Index(text[begin:], "\n\n")
		return tokensTo(ends, begin+at+2, len(tokens)), at >= 0
	}
	at := nextStep.FindStringSubmatchIndex(text[begin:])
	if at == nil {
		return 0, false
	}
	keep = tokensTo(ends, begin+at[2], len(tokens))
	if ends[keep-1] > begin+at[2] {
		keep-- // the token holds the first characters of the next step too
	}
	return max(1, keep), true
}

// tokensTo is the number of tokens that hold the first n bytes of a text.
func tokensTo(ends []int, n, all int) int {
	for i, end := range ends {
		if end >= n {
			return i + 1
		}
	}
	return all
}
