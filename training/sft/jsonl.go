package sft

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Mode says which tokens of an example count in the loss.
type Mode string

// The modes.
const (
	All        Mode = "all"        // every token, as the paper does
	Completion Mode = "completion" // those that follow the prompt
	Weights    Mode = "weights"    // as the example's own weights say: failed branches may be masked
)

// ParseMode reads a Mode as flags give it.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case All, Completion, Weights:
		return m, nil
	}
	return "", fmt.Errorf("loss %q: want all, completion or weights", s)
}

// Line is one line of a file of examples. Other fields are ignored, so that files may say more.
type Line struct {
	Tokens  []int32   `json:"tokens"`
	Prompt  *int      `json:"prompt_tokens"` // leading tokens that are given; wanted by Completion
	Weights []float32 `json:"weights"`       // by token; wanted by Weights
}

// Limits of a file of examples.
const (
	MaxLineBytes = 16 << 20
	MaxExamples  = 10_000_000
)

// Weigh makes an Example of a line.
func (l Line) Weigh(m Mode) (Example, error) {
	e := Example{Tokens: l.Tokens, Weights: make([]float32, len(l.Tokens))}
	from := 0
	switch m {
	case Completion:
		if l.Prompt == nil || *l.Prompt < 0 || *l.Prompt > len(l.Tokens) {
			return e, fmt.Errorf("the loss %s needs \"prompt_tokens\", from 0 to the number of tokens (%d)", m, len(l.Tokens))
		}
		from = *l.Prompt
	case Weights:
		if len(l.Weights) != len(l.Tokens) {
			return e, fmt.Errorf("the loss %s needs \"weights\", one for each token: there are %d for %d tokens", m, len(l.Weights), len(l.Tokens))
		}
		copy(e.Weights, l.Weights)
		return e, nil
	}
	for i := from; i < len(e.Weights); i++ {
		e.Weights[i] = 1
	}
	return e, nil
}

// checkExample says what makes an example unusable for a model of so many token ids.
func checkExample(e Example, vocab int) error {
	if len(e.Tokens) < 2 {
		return fmt.Errorf("it has %d tokens; want at least 2 in \"tokens\", for a text must have been made into ids", len(e.Tokens))
	}
	for i, id := range e.Tokens {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("token %d is %d; the model's vocabulary has %d: was it made with another tokenizer?", i, id, vocab)
		}
		if w := float64(e.Weights[i]); !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("the weight of token %d is %g; want a number from 0", i, w)
		}
	}
	return nil
}

// ReadFile reads a file of examples, one JSON object on each line: see Read.
func ReadFile(path string, m Mode, vocab int) ([]Example, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read examples: %w", err)
	}
	defer f.Close()
	examples, err := Read(f, m, vocab)
	if err != nil {
		return nil, fmt.Errorf("cannot read examples from %s: %w", path, err)
	}
	return examples, nil
}

// Read reads examples, one JSON object on each line, for a model of so many token ids. A line that is wrong is an error with its
// number.
func Read(r io.Reader, m Mode, vocab int) ([]Example, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), MaxLineBytes)
	var examples []Example
	n := 1
	for ; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		e, err := parse(lines.Bytes(), m, vocab)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if examples = append(examples, e); len(examples) > MaxExamples {
			return nil, fmt.Errorf("more than %d examples; split the file", MaxExamples)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d has more than %d bytes", n, MaxLineBytes)
	}
	return examples, lines.Err()
}

func parse(text []byte, m Mode, vocab int) (Example, error) {
	var line Line
	if err := json.Unmarshal(text, &line); err != nil {
		return Example{}, fmt.Errorf("it is no JSON object with \"tokens\": %w", err)
	}
	e, err := line.Weigh(m)
	if err != nil {
		return e, err
	}
	return e, checkExample(e, vocab)
}
