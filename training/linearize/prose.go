package linearize

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"astro/training/random"
	"astro/training/reward"
	"astro/training/tree"
)

// Request is one question to a model. Equal Requests may get equal replies: whoever wants another reply asks with another seed.
type Request struct {
	Prompt      string
	Temperature float64
	Seed        uint64
	MaxTokens   int
}

// Completer is a model. It is called from several goroutines.
type Completer interface {
	Complete(ctx context.Context, r Request) (string, error)
}

// Prose writes the traces of a text domain: the connecting sentences come from a model, what is counted and learnt as reflection
// is fixed. Without a Model steps stay as they were searched and every sentence is fixed.
type Prose struct {
	Model       Completer // nil = none
	Temperature float64
	Tries       int // replies asked for one step before the trace is given up
	MaxTokens   int // of one reply
	MaxContext  int // bytes of what was written so far that a prompt shows

	// Tokenize makes the ids of a completion, the end of sequence included, and says at which byte of the text each begins (the end of
	// sequence at len(text)). nil: traces have no tokens.
	Tokenize func(text string) (ids []int32, starts []int, err error)
}

// NewProse is a Prose with the usual limits.
func NewProse(model Completer) *Prose {
	return &Prose{Model: model, Temperature: .7, Tries: 4, MaxTokens: 512, MaxContext: 16 << 10}
}

//go:embed prompts/*.txt
var promptFiles embed.FS

// prompt fills one of our prompts in. What is filled in is not looked at again, whatever it holds.
func prompt(name, problem, text, step string) string {
	data, err := promptFiles.ReadFile("prompts/" + name + ".txt")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return strings.NewReplacer("{{problem}}", problem, "{{text}}", text, "{{step}}", step).Replace(strings.TrimSuffix(string(data), "\n"))
}

// Write is the Writer.
func (p *Prose) Write(ctx context.Context, o *Options, t *tree.Tree, plan *Plan) (Trace, error) {
	w := &proseWriter{Prose: p, tree: t, plan: plan}
	said := map[int]string{} // each node as it was written
	for i, m := range plan.Moves {
		if m.Back != Advance {
			sentence, err := w.back(ctx, i, said)
			if err != nil {
				return Trace{}, err
			}
			w.add(Reflect+" "+NotSure+" "+sentence, false)
		}
		step, err := w.step(ctx, i)
		if err != nil {
			return Trace{}, err
		}
		said[m.Node] = step
		w.add(step, m.Failed && o.MaskFailed)
		if m.Good {
			w.add(Reflect+" "+LooksOK, false)
		}
	}
	end := Reflect + " " + LooksOK
	if box := LastBox(t.Nodes[plan.Moves[len(plan.Moves)-1].Node].Text); box != "" {
		end += " The answer is $\\boxed{" + box + "}$."
	}
	w.add(end, false)
	return w.finish(o)
}

// proseWriter is a text in the making.
type proseWriter struct {
	*Prose
	tree   *tree.Tree
	plan   *Plan
	text   strings.Builder
	masked [][2]int
}

const pause = "\n\n" // between two pieces of a text

// add appends a piece; its pause belongs to it.
func (w *proseWriter) add(piece string, masked bool) {
	from := w.text.Len()
	w.text.WriteString(piece + pause)
	if masked {
		w.masked = append(w.masked, [2]int{from, w.text.Len()})
	}
}

// step has the step of a move rewritten.
func (w *proseWriter) step(ctx context.Context, move int) (string, error) {
	n := &w.tree.Nodes[w.plan.Moves[move].Node]
	if w.Model == nil {
		return plainly(checkStep(n.Text, n.Text))
	}
	ask := prompt("continue", w.tree.Problem, w.context(), strings.TrimSpace(n.Text))
	return w.ask(ctx, move, 0, ask, func(reply string) (string, error) { return checkStep(n.Text, reply) })
}

// back has the sentence of a return written: to what was said at the step that is kept last, or to the beginning.
func (w *proseWriter) back(ctx context.Context, move int, said map[int]string) (string, error) {
	m := w.plan.Moves[move]
	n := &w.tree.Nodes[m.Node]
	if w.Model == nil {
		return plainReturn(m.Back, said[n.Parent]), nil
	}
	if m.Back == 0 {
		ask := prompt("restart", w.tree.Problem, w.context(), strings.TrimSpace(n.Text))
		return w.ask(ctx, move, 1, ask, func(reply string) (string, error) { return checkReturn(reply, Restart) })
	}
	ask := prompt("goback", w.tree.Problem, w.context(), said[n.Parent])
	return w.ask(ctx, move, 1, ask, func(reply string) (string, error) { return checkReturn(reply, BackPrefix) })
}

// ask asks until a reply passes.
func (w *proseWriter) ask(ctx context.Context, move, kind int, prompt string, check func(string) (string, error)) (string, error) {
	var why error
	for try := range max(1, w.Tries) {
		seed := random.Named(w.plan.Seed, w.plan.ID, uint64(move), uint64(kind), uint64(try)).Uint64()
		reply, err := w.Model.Complete(ctx, Request{prompt, w.Temperature, seed, w.MaxTokens})
		if err != nil {
			return "", fmt.Errorf("move %d: %w", move, err)
		}
		text, err := check(reply)
		if err == nil {
			return text, nil
		}
		why = err
	}
	return "", &Failure{BadReply, fmt.Errorf("move %d, after %d tries: %w", move, max(1, w.Tries), why)}
}

// context is the end of what was written so far, as a prompt shows it.
func (w *proseWriter) context() string {
	text := strings.TrimSuffix(w.text.String(), pause)
	if text == "" {
		return "(nothing yet)"
	}
	if cut := len(text) - w.MaxContext; cut > 0 {
		for cut < len(text) && !utf8.RuneStart(text[cut]) {
			cut++
		}
		text = "... " + text[cut:]
	}
	return text
}

// finish checks the whole text and makes its tokens.
func (w *proseWriter) finish(o *Options) (Trace, error) {
	trace := newTrace(w.tree, w.plan)
	trace.Text, trace.Masked = strings.TrimSuffix(w.text.String(), pause), w.masked
	if got := CountReturns(trace.Text); got.Total() != trace.K || got.Restart != trace.Restarts {
		return Trace{}, &Failure{Refused, fmt.Errorf("the text has %d returns; want %d", got.Total(), trace.K)}
	}
	if gold := w.tree.Gold; gold != "" {
		if r := reward.Verify(gold, trace.Text, reward.Options{}); !r.Correct {
			return Trace{}, &Failure{Refused, fmt.Errorf("the text is graded %s, with the answer %q for %q", r.Reason, r.Extracted, gold)}
		}
	}
	return trace, w.tokenize(o, &trace)
}

// tokenize fills in the tokens; one that begins in a masked range has no weight.
func (w *proseWriter) tokenize(o *Options, trace *Trace) error {
	if w.Tokenize == nil {
		return nil
	}
	ids, starts, err := w.Tokenize(trace.Text)
	if err != nil {
		return fmt.Errorf("tokenize: %w", err)
	}
	if len(ids) != len(starts) {
		return errors.New("tokenize: not every token has a place")
	}
	trace.Prompt = len(w.tree.Prompt)
	trace.Tokens = append(append(trace.Tokens, w.tree.Prompt...), ids...)
	for range w.tree.Prompt {
		trace.Weights = append(trace.Weights, weight(o.PromptLoss))
	}
	masked := trace.Masked
	for _, at := range starts {
		for len(masked) > 0 && at >= masked[0][1] {
			masked = masked[1:]
		}
		trace.Weights = append(trace.Weights, weight(len(masked) == 0 || at < masked[0][0]))
	}
	return nil
}
