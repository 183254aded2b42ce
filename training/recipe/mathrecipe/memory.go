package mathrecipe

import (
	"fmt"

	"astro/internal/device"
	"astro/kernels"
	"astro/model"
	"astro/training/trainer"
)

// Need is what a stage wants of the device's memory, in bytes. It is an estimate: compilers keep less of the activations than all that a
// gradient reads, or more.
type Need struct {
	Stage       string
	State       int64 // weights in f32; where the stage trains also two moments and gradients
	Served      int64 // copies of the weights that answers are drawn with
	KV          int64 // keys and values of all slots at full length
	Activations int64 // of a micro-batch
}

// Bytes is the sum.
func (n Need) Bytes() int64 { return n.State + n.Served + n.KV + n.Activations }

// String is the need in words.
func (n Need) String() string {
	return fmt.Sprintf("%s: %s (weights and optimizer %s, served copies %s, keys and values %s, activations %s)",
		n.Stage, bytesOf(n.Bytes()), bytesOf(n.State), bytesOf(n.Served), bytesOf(n.KV), bytesOf(n.Activations))
}

// bytesOf writes a size in the unit that suits it.
func bytesOf(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

const f32Bytes = 4

// Needs are those of all stages for a model, the fitted settings and the longest prompt. All is f32 but what learning by rewards serves, which is what its
// trainer computes in, and so is the reference of a KL part.
func (c Config) Needs(m model.Config, longestPrompt int) []Need {
	weights := m.Params() * f32Bytes
	const optimizer = 4    // weights, two moments, gradients
	const whileSwapped = 2 // the policy that answers, and the next one while it is published
	drawnWith := m.WeightBytes(c.RL.Optimizer.Compute.DType())
	rlRow := longestPrompt + c.RL.MaxTokens
	needs := []Need{
		{Stage: "search", Served: weights, KV: keyBytes(m, c.Slots, longestPrompt+c.AnswerTokens)},
		{Stage: "supervised learning", State: optimizer * weights, Activations: activationBytes(m, rowsOf(c.BatchTokens, c.Traces.MaxTokens), c.Traces.MaxTokens)},
		{Stage: "learning by rewards", State: optimizer * weights, Served: whileSwapped*drawnWith + c.RL.ReferenceBytes(m), KV: keyBytes(m, c.Slots, rlRow),
			Activations: activationBytes(m, rowsOf(c.RL.BatchTokens, rlRow), rlRow)},
		{Stage: "evaluation", Served: weights, KV: keyBytes(m, c.Slots, rlRow)},
	}
	if c.Prose.own() {
		slots, contextTokens := c.writerSize()
		needs = append(needs, Need{Stage: "writing traces", Served: weights, KV: keyBytes(m, slots, contextTokens)})
	}
	return needs
}

func rowsOf(batchTokens, rowTokens int) int { return max(1, batchTokens/max(1, rowTokens)) }

// keyBytes is the pools' size for so many slots, in f32.
func keyBytes(m model.Config, slots, tokens int) int64 {
	return int64(slots) * int64(tokens) * int64(2*m.Layers*m.KVHeads*m.HeadDim) * f32Bytes
}

// activationBytes counts what a gradient reads again, in f32. By token and layer: norms and residuals (8 x hidden), queries, keys and values
// before and behind the rotation, four of the width of the feed-forward network, and of attention each head's share of every position of the
// row, before and behind the softmax, or in blocks what it gave and a sum for each query. Logits come to that as on XLA, attention too; the go backend has both whole.
func activationBytes(m model.Config, rows, rowTokens int) int64 {
	attention := 2 * rowTokens
	if kernels.InBlocks(device.XLACPU, rows, rowTokens, m.Heads, rowTokens) {
		attention = m.HeadDim + 1
	}
	layer := 8*m.Hidden + 2*(m.Heads+2*m.KVHeads)*m.HeadDim + 4*m.FFN + m.Heads*attention
	return int64(rows)*int64(rowTokens)*int64(m.Layers*layer)*f32Bytes + trainer.LogitBytes(device.XLACPU, m.Vocab, rows*rowTokens, trainer.Config{})
}

// checkMemory refuses a run that cannot come to its end.
func (r *run) checkMemory(longestPrompt int) error {
	if r.MemoryBytes == 0 {
		return nil
	}
	for _, n := range r.config.Needs(r.base, longestPrompt) {
		if n.Bytes() > r.MemoryBytes {
			return fmt.Errorf("not enough memory for %s, estimated; %s are there: use fewer slots or writers, a shorter context, shorter traces or rollouts, or a smaller model", n, bytesOf(r.MemoryBytes))
		}
	}
	return nil
}

// Estimate is what a run would take.
type Estimate struct {
	Parameters int64
	Needs      []Need
	Problems   Problems
	Skipped    Skipped

	SearchTokens int64 // at most: drawn by the search
	TraceTokens  int64 // at most: learnt from by each supervised stage
	RLTokens     int64 // at most: drawn by the astro arm for learning
	EvalTokens   int64 // at most: drawn to judge all models
}

// Estimate says what a run would take, without loading the weights.
func (p *Pipeline) Estimate() (Estimate, error) {
	if err := p.Config.Validate(); err != nil {
		return Estimate{}, err
	}
	unbounded := *p
	unbounded.MemoryBytes = 0
	r, err := unbounded.open()
	if err != nil {
		return Estimate{}, err
	}
	c := r.config
	s := c.Search
	tree := int64(s.Iterations) * int64(s.Children) * (int64(c.StepTokens) + int64(s.Rollouts)*int64(c.AnswerTokens))
	if s.BudgetTokens > 0 {
		tree = min(tree, int64(s.BudgetTokens)+tree/int64(s.Iterations))
	}
	return Estimate{Parameters: r.base.Params(), Needs: c.Needs(r.base, r.longest), Problems: p.Problems, Skipped: r.skipped,
		SearchTokens: int64(len(r.train)) * tree,
		TraceTokens:  int64(len(r.train)) * int64(c.Traces.PerTree*c.Traces.Epochs*c.SFT.Epochs) * int64(c.Traces.MaxTokens),
		RLTokens:     int64(c.RL.Steps) * int64(c.RL.MaxRounds*c.RL.Prompts*c.RL.Group) * int64(c.RL.MaxTokens),
		EvalTokens:   int64(len(Models)) * int64(len(r.test)*c.Eval.Samples) * int64(c.RL.MaxTokens)}, nil
}
