package engine_test

import (
	"math"
	"slices"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model/modeltest"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// TestParityWithTransformers: on every fixture the paged engine computes transformers' logits, in chunks, and draws its 64
// greedy tokens with its log-probabilities.
func TestParityWithTransformers(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		for _, f := range modeltest.Fixtures(t) {
			t.Run(f.Name, func(t *testing.T) {
				c := smallRunner(dtypes.Float32)
				r := newRunner(t, d, loadPolicy(t, d, f, dtypes.Float32), c)
				worst := compareLogits(t, r, f, c)
				if worst > modeltest.MaxLogitDiff {
					t.Errorf("logits differ by up to %g; want at most %g", worst, modeltest.MaxLogitDiff)
				}
				compareGreedy(t, r, f, c, modeltest.MaxLogitDiff)
				t.Logf("largest logit difference %.1e, %d greedy tokens equal", worst, len(f.Greedy))
			})
		}
	})
}

// compareLogits feeds the fixture's tokens in chunks and returns the largest difference from transformers' logits.
func compareLogits(t *testing.T, r *engine.DeviceRunner, f modeltest.Fixture, c engine.RunnerConfig) (worst float64) {
	t.Helper()
	all, vocab := logitsOf(t, r, f, c), len(f.Logits[0])
	for i, position := range f.Positions {
		for v, want := range f.Logits[i] {
			worst = max(worst, math.Abs(float64(all[position*vocab+v]-want)))
		}
	}
	return worst
}

// logitsOf feeds the fixture's tokens in chunks: [tokens, vocab].
func logitsOf(t *testing.T, r *engine.DeviceRunner, f modeltest.Fixture, c engine.RunnerConfig) (all []float32) {
	t.Helper()
	tokens := f.Tokens()
	pages := []int32{7, 2, 11, 5} // in no order: the table decides
	for start := 0; start < len(tokens); start += c.ChunkTokens {
		end := min(start+c.ChunkTokens, len(tokens))
		got, err := r.Logits(engine.Row{Version: 1, Tokens: tokens[start:end], Start: start, Pages: pages[:(end-1)/c.PageTokens+1]})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got...)
	}
	return all
}

// compareGreedy runs one greedy Request through the Scheduler.
func compareGreedy(t *testing.T, r *engine.DeviceRunner, f modeltest.Fixture, c engine.RunnerConfig, tolerance float64) {
	t.Helper()
	s := engine.NewScheduler(schedulerConfig(len(f.Logits[0]), c), 1)
	if _, err := s.Submit(engine.Request{Prompt: f.Prompt, N: 1, MaxTokens: len(f.Greedy), Params: sampler.Greedy()}); err != nil {
		t.Fatal(err)
	}
	var tokens []int32
	for !s.Idle() {
		result, err := r.Run(s.Next())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Apply(result) {
			if want := f.LogProbs[len(tokens)]; math.Abs(float64(e.Choice.Logprob)-want) > tolerance {
				t.Errorf("token %d has log-probability %g; want %g", len(tokens), e.Choice.Logprob, want)
			}
			tokens = append(tokens, e.Choice.Token)
		}
	}
	if !slices.Equal(tokens, f.Greedy) {
		t.Errorf("got greedy tokens %v; want %v", tokens, f.Greedy)
	}
}

// TestHalfWidth: weights, keys and values in bf16 stay near transformers' logits in f32, with XLA's own code, too. The bound is some
// roundings of 2^-8. On the Go backend, which need not compile, with every fixture.
func TestHalfWidth(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		fixtures := []modeltest.Fixture{modeltest.Named(t, "llama3-tied-hub-bf16")}
		if d.Kind() == device.Go {
			fixtures = modeltest.Fixtures(t)
		}
		for _, f := range fixtures {
			for _, form := range []engine.Form{engine.FormAuto, engine.FormGraph} {
				if d.Kind() == device.Go && form == engine.FormAuto {
					continue // the same
				}
				c := smallRunner(dtypes.BFloat16)
				c.Form = form
				compareHalf(t, newRunner(t, d, loadPolicy(t, d, f, dtypes.BFloat16), c), f, c)
			}
		}
	})
}

func compareHalf(t *testing.T, r *engine.DeviceRunner, f modeltest.Fixture, c engine.RunnerConfig) {
	t.Helper()
	scale := 0.0
	for _, row := range f.Logits {
		for _, l := range row {
			scale = max(scale, math.Abs(float64(l)))
		}
	}
	worst := compareLogits(t, r, f, c)
	if worst > scale/16 || worst == 0 {
		t.Errorf("%s, form %q: logits up to %g differ by up to %g; want at most %g, and not nothing", f.Name, c.Form, scale, worst, scale/16)
	}
	t.Logf("%s, form %q: logits up to %.2f differ by up to %.4f", f.Name, c.Form, scale, worst)
}
