package mathrecipe

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gomlx/compute/dtypes"

	"astro/engine"
	"astro/model"
	"astro/sampler"
	"astro/training/linearize"
	"astro/training/recipe"
)

// ownModel is the model itself as a writer and judge, through an engine in this process.
type ownModel struct {
	text   recipe.SearchText
	policy *model.Policy
	runner *engine.DeviceRunner
	engine *engine.Engine
}

// writerContextTokens bounds a question to a writer and its reply: it shows at most 16 KiB of what was written so far.
const writerContextTokens = 16384

// writerSize is the engine of the model as a writer: a slot for each worker.
func (c Config) writerSize() (slots, contextTokens int) {
	return min(c.Prose.Workers, c.Slots), min(c.ContextTokens, writerContextTokens)
}

// own says whether the model itself writes or judges.
func (p Prose) own() bool { return p.Writer == OwnModel || p.Writer == Template && p.SelfEval > 0 }

// openOwn loads the model.
func (r *run) openOwn() (*ownModel, error) {
	w, err := r.load(Base)
	if err != nil {
		return nil, err
	}
	o := &ownModel{text: r.text, policy: model.NewPolicy(1, w)}
	c := r.engineConfig(r.config.writerSize())
	o.runner, err = engine.NewDeviceRunner(r.Device, o.policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots, ChunkTokens: c.ChunkTokens,
		MaxContextTokens: c.MaxContextTokens, KVType: dtypes.Float32, GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err == nil {
		o.engine, err = engine.New(o.runner, engine.Options{Config: c, Version: o.policy.Version})
	}
	if err != nil {
		o.close()
		return nil, fmt.Errorf("cannot start an engine to write with: %w", err)
	}
	return o, nil
}

// Complete implements linearize.Completer. A reply that was cut at its limit is none.
func (o *ownModel) Complete(ctx context.Context, r linearize.Request) (string, error) {
	prompt, err := o.text.Ask(r.Prompt)
	if err != nil {
		return "", err
	}
	params := sampler.Default()
	params.Temperature, params.Seed = float32(r.Temperature), r.Seed
	stream, err := o.engine.Submit(ctx, engine.Request{Prompt: prompt, N: 1, Params: params, Seeded: true, MaxTokens: r.MaxTokens, Class: engine.Batch})
	if err != nil {
		return "", fmt.Errorf("ask the model itself: %w", err)
	}
	defer stream.Close()
	var tokens []int32
	for {
		event, err := stream.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return o.text.Decode(tokens), nil
		case err != nil:
			return "", fmt.Errorf("ask the model itself: %w", err)
		case event.Finish == engine.FinishError:
			return "", fmt.Errorf("ask the model itself: %w", event.Err)
		case event.Finish == engine.FinishLength:
			return "", nil
		}
		if event.HasToken {
			tokens = append(tokens, event.Choice.Token)
		}
	}
}

// close frees what was made; parts that are missing after a failed start are skipped.
func (o *ownModel) close() {
	if o.engine != nil {
		o.engine.Close()
	}
	if o.runner != nil {
		o.runner.Close()
	}
	o.policy.Release()
}
