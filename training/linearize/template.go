package linearize

import (
	"context"
	"fmt"

	"astro/training/tree"
)

// Phrases are the token sequences of a domain whose every sentence is fixed, for one trace of one Tree. Paths are nodes from the
// root's child on.
type Phrases struct {
	Prompt             []int32
	Reflect, Good, Bad []int32 // the question, and its two verdicts
	End                []int32 // after everything, such as the end of sequence

	Step   func(path []int) ([]int32, error) // the last step of the path
	Return func(path []int) ([]int32, error) // back to the end of the path, with what is restated; an empty path is a restart
	Answer func(path []int) ([]int32, error) // what follows the last positive verdict
	Text   func(tokens []int32) string
}

// Language prepares the Phrases of one trace; seed is for what a domain varies, such as the order of given numbers.
type Language func(t *tree.Tree, seed uint64) (Phrases, error)

// Template is the Writer of such a domain.
func Template(language Language) Writer {
	return func(_ context.Context, o *Options, t *tree.Tree, p *Plan) (Trace, error) {
		phrases, err := language(t, p.Seed)
		if err != nil {
			return Trace{}, err
		}
		w := template{Phrases: phrases, trace: newTrace(t, p)}
		if err := w.write(o, p); err != nil {
			return Trace{}, err
		}
		return w.trace, nil
	}
}

// template is a trace in the making.
type template struct {
	Phrases
	trace Trace
	path  []int // the live one
	err   error // the first
}

func (w *template) write(o *Options, p *Plan) error {
	w.add(weight(o.PromptLoss), w.Prompt, nil)
	w.trace.Prompt = len(w.Prompt)
	for _, m := range p.Moves {
		if m.Back != Advance {
			w.path = w.path[:m.Back]
			w.say(w.Reflect, w.Bad)
			w.ask(w.Return, 1)
		}
		w.path = append(w.path, m.Node)
		w.ask(w.Step, weight(!m.Failed || !o.MaskFailed))
		if m.Good {
			w.say(w.Reflect, w.Good)
		}
	}
	w.say(w.Reflect, w.Good)
	w.ask(w.Answer, 1)
	w.say(w.End)
	if w.err == nil {
		w.trace.Text = w.Text(w.trace.Tokens[w.trace.Prompt : len(w.trace.Tokens)-len(w.End)])
	}
	return w.err
}

// say adds fixed tokens, which always count.
func (w *template) say(phrases ...[]int32) {
	for _, tokens := range phrases {
		w.add(1, tokens, nil)
	}
}

// ask adds what the domain says about the live path.
func (w *template) ask(say func(path []int) ([]int32, error), weight float32) {
	tokens, err := say(w.path)
	w.add(weight, tokens, err)
}

func (w *template) add(weight float32, tokens []int32, err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("at node %v: %w", w.path, err)
	}
	w.trace.Tokens = append(w.trace.Tokens, tokens...)
	for range tokens {
		w.trace.Weights = append(w.trace.Weights, weight)
	}
}

func weight(counts bool) float32 {
	if counts {
		return 1
	}
	return 0
}
