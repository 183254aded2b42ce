package training

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"

	"astro/engine"
	"astro/feedback"
	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/sampler"
	"astro/training/grpo"
)

// The bandit's tokens: a question of numQuestions, and answers that each end a rollout.
const (
	numQuestions = 3
	firstAnswer  = 4
	vocab        = 14
)

// answers are the ids that end a sequence: whatever a fresh model says soon is one of them.
func answers() (ids []int32) {
	for id := int32(firstAnswer); id < vocab; id++ {
		ids = append(ids, id)
	}
	return ids
}

// house is a server without HTTP: a tiny model that knows nothing, an engine, a store, policies.
type house struct {
	t        *testing.T
	dir      string // of the store and the checkpoints
	base     string // of the model
	device   *device.Device
	store    *feedback.Store
	engine   *engine.Engine
	policies *Policies
	manual   bool         // candidates wait to be promoted
	dtype    dtypes.DType // of matrices, keys and values that are served
	int8     bool         // matrices are of 8 bits there
	close    func()
}

// build makes a house in a new folder.
func build(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), base: t.TempDir(), dtype: dtypes.Float32}
	d := devicetest.Open(t, device.Go)
	h.device = d
	w, err := model.Random(model.Config{Vocab: vocab, Hidden: 16, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 8, FFN: 24, MaxPositions: 32,
		NormEps: 1e-5, TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: -1, EOS: answers(), InitStd: .1}, 3, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	if err := model.SaveFiles(h.base, w, dtypes.Float32); err != nil {
		t.Fatal(err)
	}
	h.open()
	t.Cleanup(func() { h.close() })
	return h
}

// open starts everything on what is on disk, as a server does.
func (h *house) open() {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	ctx := context.Background()
	var err error
	h.store, err = feedback.Open(filepath.Join(h.dir, "state.db"), feedback.Options{})
	must(err)
	start, err := Begin(ctx, h.store, h.base)
	must(err)
	load, form := func() (*model.Weights, error) { return model.Load(start.Path, h.device.Backend(), h.dtype, nil) }, engine.FormAuto
	if h.int8 {
		load, form = func() (*model.Weights, error) { return model.LoadInt8(start.Path, h.device, h.dtype, nil) }, engine.FormGraphInt8
	}
	w, err := load()
	must(err)
	policy := model.NewPolicy(start.Version, w)
	c := engine.DefaultConfig(vocab, 16, 32)
	c.EOS = answers()
	runner, err := engine.NewDeviceRunner(h.device, policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots, ChunkTokens: c.ChunkTokens,
		MaxContextTokens: c.MaxContextTokens, KVType: h.dtype, Form: form, GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	must(err)
	h.engine, err = engine.New(runner, engine.Options{Config: c, Version: start.Version})
	must(err)
	h.policies, err = OpenPolicies(ctx, PoliciesConfig{Engine: h.engine, Store: h.store, Device: h.device, DType: h.dtype, Int8: h.int8,
		Dir: filepath.Join(h.dir, "policies"), Base: h.base, Manual: h.manual}, start)
	must(err)
	h.close = func() {
		h.engine.Close()
		runner.Close()
		policy.Release()
		h.store.Close()
	}
}

// restart closes everything and opens it again.
func (h *house) restart() {
	h.t.Helper()
	h.close()
	h.open()
}

// bandit is right where the last token is the question's own answer: about one in ten for a model that knows nothing.
func bandit(_ context.Context, p grpo.Problem, rollout []int32) (grpo.Grade, error) {
	if rollout[len(rollout)-1] == right(p.Prompt) {
		return grpo.Grade{Reward: 1, Correct: true, Reason: "right"}, nil
	}
	return grpo.Grade{Reward: -1, Reason: "wrong"}, nil
}

func right(prompt []int32) int32 { return firstAnswer + 2*prompt[1] }

func questions() (all []grpo.Problem) {
	for q := range int32(numQuestions) {
		all = append(all, grpo.Problem{ID: string(rune('a' + q)), Prompt: []int32{0, q + 1}})
	}
	return all
}

// exam are the questions several times, so that an evaluation has an error that says something.
func exam() (all []grpo.Problem) {
	for i := range 8 {
		for _, q := range questions() {
			q.ID = fmt.Sprint(q.ID, i)
			all = append(all, q)
		}
	}
	return all
}

// lessons is how a bandit is learned.
func lessons() LoopConfig {
	c := grpo.Default()
	c.Steps, c.Prompts, c.Group, c.MaxTokens, c.RowTokens, c.MaxRounds = 40, 6, 16, 6, 32, 1
	c.Optimizer.PeakLR, c.Objective.Staleness.TIS, c.GradeTimeout = 5e-3, 2, time.Second
	return LoopConfig{Name: "bandit", Learn: c, Problems: questions(), Grade: bandit, EvalProblems: exam(), EvalSamples: 2, EvalEvery: 10}
}

// learn makes n updates and gives their numbers and the versions that they published.
func (h *house) learn(c LoopConfig, n int) (all []Numbers, versions []int64) {
	h.t.Helper()
	l, err := NewLoop(c, h.policies, h.device)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := l.Make(context.Background(), n, func(version int64, n Numbers) { all, versions = append(all, n), append(versions, version) }); err != nil {
		h.t.Fatal(err)
	}
	return all, versions
}

// ask draws one answer of a version; 0 = as any request.
func (h *house) ask(question int32, version int64, seed uint64) (*feedback.Completion, error) {
	params := sampler.Default()
	params.Seed = seed
	prompt := []int32{0, question}
	stream, err := h.engine.Submit(context.Background(), engine.Request{Prompt: prompt, N: 1, Params: params, Seeded: true, MaxTokens: 6, Version: version})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	c := &feedback.Completion{ID: stream.Request().ID, Tenant: "t", Key: "k", Model: "m", State: feedback.Complete, Prompt: prompt}
	for c.Finish == "" {
		e, err := stream.Next(context.Background())
		if err != nil {
			return nil, err
		}
		if e.Finish == engine.FinishError || e.Finish == engine.FinishCancel {
			return nil, errors.Join(errors.New("it ended with "+string(e.Finish)), e.Err)
		}
		if e.HasToken {
			c.Output, c.Logprobs = append(c.Output, e.Choice.Token), append(c.Logprobs, e.Choice.Logprob)
			c.Spans = []feedback.Span{{Version: e.Version, End: len(c.Output)}}
		}
		c.Finish = string(e.Finish)
	}
	return c, nil
}

// passRate is how often requests are answered rightly.
func (h *house) passRate(n int) float64 {
	h.t.Helper()
	hits := 0.0
	for i := range n {
		c, err := h.ask(int32(1+i%numQuestions), 0, uint64(i))
		if err != nil {
			h.t.Fatal(err)
		}
		hits += one(c.Output[len(c.Output)-1] == right(c.Prompt))
	}
	return hits / float64(n)
}
