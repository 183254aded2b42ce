package quality

import (
	"cmp"
	"fmt"
	"slices"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
)

const (
	slots       = 16 // Sequences side by side
	pageTokens  = 16
	chunkTokens = 256
)

// taken is what one form said.
type taken struct {
	scores  [][]engine.TokenScore // of every text, the first token without a value
	answers [][]int32             // greedy, of the first texts
}

// trial is a Scheduler on a runner, without the engine's goroutine between them: what runs beside what is the same in every form.
type trial struct {
	runner    *engine.DeviceRunner
	scheduler *engine.Scheduler
	taken     taken
	scored    map[uint64]int // text of a Request that is scored
	answered  map[uint64]int // and of one that is answered
}

// measure has every text scored and the first ones answered in one form.
func measure(d *device.Device, policy *model.Policy, f Form, texts []Text, o Options) (taken, error) {
	policy, err := asRun(d, policy, f)
	if err != nil {
		return taken{}, err
	}
	defer policy.Release()
	c := config(policy.Weights.Config, texts, o)
	runner, err := engine.NewDeviceRunner(d, policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots,
		ChunkTokens: c.ChunkTokens, MaxContextTokens: c.MaxContextTokens, KVType: f.KV, Form: f.Weights,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		return taken{}, err
	}
	defer runner.Close()
	n := min(o.Answers, len(texts))
	t := &trial{runner: runner, scheduler: engine.NewScheduler(c, policy.Version), scored: map[uint64]int{}, answered: map[uint64]int{},
		taken: taken{scores: make([][]engine.TokenScore, len(texts)), answers: make([][]int32, n)}}
	if err := t.submit(texts, n, o.MaxTokens); err != nil {
		return taken{}, err
	}
	return t.taken, t.run()
}

// asRun gives the policy, or one of its weights in 8 bits where the graph runs on those. The caller releases it.
func asRun(d *device.Device, policy *model.Policy, f Form) (*model.Policy, error) {
	if form, err := f.Weights.On(d.Kind(), 1); err != nil || form != engine.FormGraphInt8 {
		return policy.Retain(), err
	}
	weights, err := policy.Weights.CopyInt8(d, policy.Weights.DType())
	if err != nil {
		return nil, err
	}
	return model.NewPolicy(policy.Version, weights), nil
}

// config has room for the longest text and answer, a queue that holds all, and steps that cut no chunk: fewer shapes are compiled.
func config(m model.Config, texts []Text, o Options) engine.Config {
	longest, total := 2, 0
	for _, t := range texts {
		longest = max(longest, len(t.Tokens), t.Prompt+o.MaxTokens)
		total += len(t.Tokens) + t.Prompt
	}
	c := engine.DefaultConfig(m.Vocab, slots, min(longest, m.MaxPositions))
	c.EOS, c.PageTokens, c.ChunkTokens, c.PrefixCache = m.EOS, pageTokens, chunkTokens, false
	c.StepTokens = slots * chunkTokens
	c.MaxQueuedRequests, c.MaxQueuedTokens = 2*len(texts), max(total, c.MaxContextTokens)
	return c
}

// submit queues texts by length, so that those of one step are of one shape, and then prompts.
func (t *trial) submit(texts []Text, answers, maxTokens int) error {
	for _, i := range byLength(texts) {
		number, err := t.scheduler.Submit(engine.Request{Prompt: texts[i].Tokens, N: 1, Params: sampler.Greedy(), Score: true, ScoreTopN: sampler.MaxTopLogprobs})
		if err != nil {
			return fmt.Errorf("score text %d: %w", i+1, err)
		}
		t.scored[number] = i
	}
	for i, text := range texts[:answers] {
		number, err := t.scheduler.Submit(engine.Request{Prompt: text.Tokens[:text.Prompt], N: 1, Params: sampler.Greedy(), MaxTokens: maxTokens})
		if err != nil {
			return fmt.Errorf("answer text %d: %w", i+1, err)
		}
		t.answered[number] = i
	}
	return nil
}

// byLength lists the texts' indexes, the shortest first.
func byLength(texts []Text) []int {
	order := make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(texts[a].Tokens), len(texts[b].Tokens)) })
	return order
}

// run steps until all has been said.
func (t *trial) run() error {
	for !t.scheduler.Idle() {
		plan := t.scheduler.Next()
		if plan.Empty() {
			panic("BUG: got an empty plan; want work, for nothing waits for a reader")
		}
		result, err := t.runner.Run(plan)
		if err != nil {
			return fmt.Errorf("run a step of %d rows: %w", len(plan.Rows), err)
		}
		for _, e := range t.scheduler.Apply(result) {
			if e.Finish == engine.FinishError {
				return e.Err
			}
			t.take(&e)
		}
	}
	return nil
}

func (t *trial) take(e *engine.Event) {
	if i, ok := t.scored[e.Request]; ok {
		t.taken.scores[i] = e.PromptScores
	} else if i := t.answered[e.Request]; e.HasToken {
		t.taken.answers[i] = append(t.taken.answers[i], e.Choice.Token)
	}
}
