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

// benchOn runs a benchmark on each backend that this machine has.
func benchOn(b *testing.B, bench func(b *testing.B, d *device.Device)) {
	for _, kind := range []device.Kind{device.Go, device.XLACPU} {
		b.Run(string(kind), func(b *testing.B) {
			d, err := device.Open(device.Options{Backend: string(kind), CacheDir: device.DefaultCacheDir()})
			if err != nil {
				b.Skipf("this machine cannot run %s: %v", kind, err)
			}
			bench(b, d)
		})
	}
}

// BenchmarkSearch searches with the committed model: blocks of trees in lock step as the recipe does, many trees at a time through an
// engine, and some of the same trees by a plain loop of requests. It reports tokens per second and the share of decode slots that were
// busy. A part of each is run once before, which compiles.
func BenchmarkSearch(b *testing.B) {
	const slots, trees, few = 64, 200, 2
	benchOn(b, func(b *testing.B, d *device.Device) {
		b.Run("lockstep", func(b *testing.B) {
			s := committedSteppers(b, d, slots)
			run := Search{Parallel: trees, Policy: s.Next, LockStep: true}
			benchSearch(b, run, trees, s.Counts)
		})
		for name, plain := range map[string]bool{"slots": false, "loop": true} {
			b.Run(name, func(b *testing.B) {
				e := committedEngine(b, d, slots)
				var policy search.Policy = search.NewEnginePolicy(e, sampler.Default())
				run, n := Search{Parallel: 3 * slots / 6}, trees
				if plain {
					policy, run.Parallel, n = loop{policy}, 1, few
				}
				run.Policy = func() search.Policy { return policy }
				benchSearch(b, run, n, func() (drawn, offered uint64) {
					c := e.Stats().Counters
					return c.OutputTokens, c.Passes * slots
				})
			})
		}
	})
}

// benchSearch searches trees; counted says how many tokens were drawn so far, and how many the slots could have drawn.
func benchSearch(b *testing.B, s Search, trees int, counted func() (drawn, offered uint64)) {
	s.Config, s.Settings = search.Countdown(), "benchmark"
	for _, p := range countdown.CD4.Sample(countdown.CD4.Split().Train, trees, random.New(1, 0)) {
		problem, err := NewCountdownSearch(countdown.CD4, "", p.String())
		if err != nil {
			b.Fatal(err)
		}
		s.Problems = append(s.Problems, problem)
	}
	search := func(s Search) int {
		s.Out = filepath.Join(b.TempDir(), "trees.jsonl")
		summary, err := s.Run(context.Background(), nil)
		if err != nil || summary.Failures() > 0 {
			b.Fatal(err, summary)
		}
		return summary.Tokens
	}
	warm := s
	warm.Problems = s.Problems[:min(24, trees)]
	search(warm)
	tokens := 0
	drawn, offered := counted()
	for b.Loop() {
		tokens += search(s)
	}
	afterDrawn, afterOffered := counted()
	reportSlots(b, tokens, afterDrawn-drawn, afterOffered-offered)
}

// reportSlots says how fast a benchmark drew its tokens, and how many of the slots that steps offered drew one.
func reportSlots(b *testing.B, tokens int, drawn, offered uint64) {
	b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	b.ReportMetric(100*float64(drawn)/float64(offered), "%busy")
}

// searchConfig is the engine's of a search.
func searchConfig(c model.Config, slots int) engine.Config {
	config := engine.DefaultConfig(c.Vocab, slots, 64)
	config.EOS, config.Pages = c.EOS, slots*(64/config.PageTokens+1)
	return config
}

// committedPolicy loads a model until the benchmark ends.
func committedPolicy(b *testing.B, d *device.Device, dir string) *model.Policy {
	b.Helper()
	w, err := model.Load(dir, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.Free)
	return model.NewPolicy(1, w)
}

// committedSteppers searches with the committed model in lock step until the benchmark ends.
func committedSteppers(b *testing.B, d *device.Device, slots int) *search.Steppers {
	b.Helper()
	p := committedPolicy(b, d, committed)
	s, err := search.OpenSteppers(d, p, searchConfig(p.Weights.Config, slots), dtypes.Float32, sampler.Default())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return s
}

// committedEngine runs the committed model until the benchmark ends.
func committedEngine(b *testing.B, d *device.Device, slots int) *engine.Engine {
	b.Helper()
	p := committedPolicy(b, d, committed)
	c := searchConfig(p.Weights.Config, slots)
	runner, err := engine.NewDeviceRunner(d, p, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots,
		ChunkTokens: c.ChunkTokens, MaxContextTokens: c.MaxContextTokens, KVType: dtypes.Float32,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.New(runner, engine.Options{Config: c})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close(); runner.Close() })
	return e
}
