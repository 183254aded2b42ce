package recipe

import (
	"context"
	"path/filepath"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
	"astro/training/countdown"
	"astro/training/random"
	"astro/training/search"

	"github.com/gomlx/compute/dtypes"
)

// loop asks for one sample after the other, as a script in front of a server would.
type loop struct{ search.Policy }

func (l loop) Sample(ctx context.Context, draws []search.Draw) []search.Drawn {
	out := make([]search.Drawn, len(draws))
	for i, d := range draws {
		for s := range d.N {
			one := d
			one.N, one.Seed = 1, engine.SampleSeed(d.Seed, s)
			got := l.Policy.Sample(ctx, []search.Draw{one})[0]
			out[i].Samples, out[i].Version, out[i].Err = append(out[i].Samples, got.Samples...), got.Version, got.Err
		}
	}
	return out
}

// BenchmarkSearch searches with the committed model: many trees at a time, and the same trees by a plain loop of requests. It reports
// tokens per second and the share of decode slots that were busy.
func BenchmarkSearch(b *testing.B) {
	const slots = 64
	for name, plain := range map[string]bool{"slots": false, "loop": true} {
		b.Run(name, func(b *testing.B) {
			e := committedEngine(b, slots)
			var policy search.Policy = search.NewEnginePolicy(e, sampler.Default())
			s := Search{Config: search.Countdown(), Settings: "benchmark", Parallel: 3 * slots / 6, Policy: func() search.Policy { return policy }}
			if plain {
				policy, s.Parallel = loop{policy}, 1
			}
			for _, p := range countdown.CD4.Sample(countdown.CD4.Split().Train, map[bool]int{false: 30, true: 2}[plain], random.New(1, 0)) {
				problem, err := NewCountdownSearch(countdown.CD4, "", p.String())
				if err != nil {
					b.Fatal(err)
				}
				s.Problems = append(s.Problems, problem)
			}
			tokens := 0
			before := e.Stats().Counters
			for b.Loop() {
				s.Out = filepath.Join(b.TempDir(), "trees.jsonl")
				summary, err := s.Run(context.Background(), nil)
				if err != nil || summary.Failures() > 0 {
					b.Fatal(err, summary)
				}
				tokens += summary.Tokens
			}
			after := e.Stats().Counters
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(100*float64(after.OutputTokens-before.OutputTokens)/float64((after.Steps-before.Steps)*slots), "%busy")
		})
	}
}

// committedEngine runs the committed model on the go backend until the benchmark ends.
func committedEngine(b *testing.B, slots int) *engine.Engine {
	b.Helper()
	d, err := device.Open(device.Options{Backend: string(device.Go)})
	if err != nil {
		b.Fatal(err)
	}
	w, err := model.Load(committed, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		b.Fatal(err)
	}
	c := engine.DefaultConfig(w.Config.Vocab, slots, 64)
	c.EOS, c.Pages = w.Config.EOS, slots*4
	runner, err := engine.NewDeviceRunner(d, model.NewPolicy(1, w), engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots,
		ChunkTokens: c.ChunkTokens, MaxContextTokens: c.MaxContextTokens, KVType: dtypes.Float32,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.New(runner, engine.Options{Config: c})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close(); runner.Close(); w.Free() })
	return e
}
