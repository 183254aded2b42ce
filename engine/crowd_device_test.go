package engine_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// maxScoreGap is how close the two best scores of a position must be for different batch shapes to draw different tokens there,
// and how far log-probabilities may be apart: matrix products of other shapes sum in another order.
const maxScoreGap = 1e-4

// TestSameTokensInAnyCompanyOnDevice is TestSameTokensInAnyCompany with real weights: page size, chunks, budget, slots, prefix cache,
// arrival, neighbours, preemption and swaps are drawn anew for each run. The truth is the same Request alone, one token at a time.
func TestSameTokensInAnyCompanyOnDevice(t *testing.T) {
	runs := 120
	if testing.Short() {
		runs = 10
	}
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		var total engine.Counters
		near, tokens := 0, 0
		for _, pageTokens := range []int{4, 16} {
			c := newDeviceCrowd(t, d, pageTokens)
			for seed := range uint64(runs) {
				counters, err := c.run(seed)
				if err != nil {
					t.Fatalf("pages of %d tokens, seed %d: %v", pageTokens, seed, err)
				}
				total.Preemptions += counters.Preemptions
				total.CachedTokens += counters.CachedTokens
				total.AheadTokens += counters.AheadTokens
			}
			near, tokens = near+c.near, tokens+c.tokens
		}
		t.Logf("%d runs: %d tokens compared, %d drawn ahead, %d preemptions, %d prompt tokens from caches; %d positions differed, all with scores closer than %g",
			2*runs, tokens, total.AheadTokens, total.Preemptions, total.CachedTokens, near, maxScoreGap)
		if total.Preemptions == 0 || total.CachedTokens == 0 || total.AheadTokens == 0 || tokens == 0 {
			t.Error("some mechanism was never used: the test tests nothing")
		}
		if near*100 > tokens {
			t.Errorf("%d of %d positions differed; want few", near, tokens)
		}
	})
}

// deviceCrowd is a DeviceRunner that many Schedulers use, one after the other.
type deviceCrowd struct {
	*engine.DeviceRunner
	limits   engine.RunnerConfig
	weights  [2]*model.Weights // version v runs on weights[v%2]
	versions []int64
	alone    map[string]alone // the truth by request and weights
	near     int              // positions at which a different token was within maxScoreGap
	tokens   int              // positions compared
}

func newDeviceCrowd(t *testing.T, d *device.Device, pageTokens int) *deviceCrowd {
	c := &deviceCrowd{alone: map[string]alone{}, limits: engine.RunnerConfig{Pages: 128 / pageTokens, PageTokens: pageTokens,
		MaxSlots: 4, ChunkTokens: 8, MaxContextTokens: tallContext, KVType: dtypes.Float32, GatherBytes: engine.DefaultGatherBytes,
		LogitsBytes: engine.DefaultLogitsBytes}}
	policy := loadPolicy(t, d, modeltest.Named(t, "mha"), dtypes.Float32)
	other, err := model.Random(policy.Weights.Config, 5, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Free)
	c.weights = [2]*model.Weights{other, policy.Weights}
	c.DeviceRunner, c.versions = newRunner(t, d, policy, c.limits), []int64{1}
	if err := c.publish(truthOf(0)); err != nil {
		t.Fatal(err)
	}
	return c
}

// Violations implements checkedRunner; a device does not look at Plans.
func (c *deviceCrowd) Violations() []error { return nil }

// Versions implements checkedRunner.
func (c *deviceCrowd) Versions() []int64 { return slices.Clone(c.versions) }

// publish makes a version runnable. Its Policy keeps a reference for ever, since the weights belong to the test.
func (c *deviceCrowd) publish(version int64) error {
	c.versions = append(c.versions, version)
	return c.DeviceRunner.Publish(model.NewPolicy(version, c.weights[version%2]))
}

// Retire keeps the versions that the truth runs on.
func (c *deviceCrowd) Retire(version int64) {
	if version == truthOf(version) {
		return
	}
	c.versions = slices.DeleteFunc(c.versions, func(v int64) bool { return v == version })
	c.DeviceRunner.Retire(version)
}

// truthOf is the version that has the weights of another one and is never retired.
func truthOf(version int64) int64 {
	if version%2 == 1 {
		return 1
	}
	return 1 << 40
}

// run is one crowd. The last version is retired at its end, so that the next one can begin with version 1.
func (c *deviceCrowd) run(seed uint64) (engine.Counters, error) {
	rng := rand.New(rand.NewPCG(seed, 9))
	d := newDriverOn(c, c.randomConfig(rng), 1)
	requests, disturbed := map[uint64]engine.Request{}, map[uint64]bool{}
	version := int64(1)
	for left := 2 + rng.IntN(4); left > 0 || !d.scheduler.Idle(); {
		var err error
		switch {
		case left > 0 && rng.IntN(2) == 0:
			left--
			r := randomRequest(rng)
			r.MaxTokens = min(r.MaxTokens, 10)
			r.MinTokens = min(r.MinTokens, r.MaxTokens)
			if number, refused := d.submit(r); refused == nil {
				requests[number] = r
			}
		case rng.IntN(40) == 0:
			version++
			if err = c.publish(version); err == nil {
				d.scheduler.Swap(version)
			}
		case rng.IntN(12) == 0 && len(requests) > 0:
			err = d.disturb(rng, disturbed)
		default:
			_, err = d.step()
		}
		if err != nil {
			return engine.Counters{}, err
		}
	}
	for number, r := range requests {
		if err := c.compare(d, d.collected[number], r, disturbed[number]); err != nil {
			return engine.Counters{}, fmt.Errorf("%+v, request %d %+v: %w", d.config, number, r, err)
		}
	}
	if held := d.scheduler.Load().Pages.Held; held != 0 {
		return engine.Counters{}, fmt.Errorf("%d pages are held after all work", held)
	}
	c.Retire(version)
	return d.scheduler.Counters(), nil
}

// randomConfig fits in the runner's pools and Buckets.
func (c *deviceCrowd) randomConfig(rng *rand.Rand) engine.Config {
	s := randomConfig(rng)
	s.Vocab, s.PageTokens, s.Pages = c.weights[0].Config.Vocab, c.limits.PageTokens, c.limits.Pages
	s.MaxSlots = 1 + rng.IntN(c.limits.MaxSlots)
	s.ChunkTokens = 1 + rng.IntN(c.limits.ChunkTokens)
	s.StepTokens = s.MaxSlots + rng.IntN(16)
	if s.DecodeSteps > 1 { // each number is programs to compile: one is enough, with one size of pages
		s.DecodeSteps = max(1, s.PageTokens/16*4)
	}
	if least := (tallContext + s.PageTokens - 1) / s.PageTokens; rng.IntN(2) == 0 {
		s.Pages = least + rng.IntN(s.Pages-least+1)
	}
	return s
}

// compare wants what the Request gives alone on the version that ran it.
func (c *deviceCrowd) compare(d *driver, got *collected, r engine.Request, disturbed bool) error {
	for i := range got.samples {
		s := &got.samples[i]
		if len(s.tokens) == 0 {
			continue
		}
		want, err := c.truth(d.config, r, i, s.versions[0])
		if err != nil {
			return err
		}
		same, err := c.compareTokens(s, &want)
		if err != nil {
			return fmt.Errorf("sample %d: %w", i, err)
		}
		if w := want.samples[0]; same && !disturbed && (len(s.tokens) != len(w.tokens) || s.finish != w.finish) {
			return fmt.Errorf("sample %d: %d tokens, finished by %q; want %d and %q", i, len(s.tokens), s.finish, len(w.tokens), w.finish)
		}
		if err := compareScores(got.scores, want.scores); i == 0 && !disturbed && err != nil {
			return err
		}
	}
	return nil
}

func compareScores(got, want []engine.TokenScore) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d scores; want %d", len(got), len(want))
	}
	for i := range got {
		if diff := math.Abs(float64(got[i].Logprob - want[i].Logprob)); got[i].Token != want[i].Token || diff > maxScoreGap {
			return fmt.Errorf("prompt token %d has score %v; want %v", i, got[i].TokenLogprob, want[i].TokenLogprob)
		}
	}
	return nil
}

// compareTokens goes along both outputs up to the first position at which another token was nearly as good, and says whether
// there was none.
func (c *deviceCrowd) compareTokens(s *sampleEvents, want *alone) (same bool, err error) {
	w := &want.samples[0]
	for k := range min(len(s.tokens), len(w.tokens)) {
		c.tokens++
		if s.versions[k] != s.versions[0] {
			return false, fmt.Errorf("token %d is of version %d; want %d to the end", k, s.versions[k], s.versions[0])
		}
		if s.tokens[k] != w.tokens[k] {
			c.near++
			return false, c.mustBeNear(want, k, s.tokens[k])
		}
		if diff := math.Abs(float64(s.logprobs[k] - w.logprobs[k])); diff > maxScoreGap {
			return false, fmt.Errorf("token %d has log-probability %g; want %g", k, s.logprobs[k], w.logprobs[k])
		}
	}
	return true, nil
}

// mustBeNear wants that a bias of maxScoreGap on other makes the sampler draw it at position k.
func (c *deviceCrowd) mustBeNear(want *alone, k int, other int32) error {
	w, r := &want.samples[0], want.request
	tokens := slices.Concat(r.Prompt, w.tokens[:k])
	var last []float32
	for start := 0; start < len(tokens); start += c.limits.ChunkTokens {
		chunk := tokens[start:min(start+c.limits.ChunkTokens, len(tokens))]
		all, err := c.Logits(engine.Row{Version: w.versions[k], Tokens: chunk, Start: start, Pages: c.firstPages(start + len(chunk))})
		if err != nil {
			return err
		}
		last = all[len(all)-c.weights[0].Config.Vocab:]
	}
	row := &sampler.Row{Params: r.Params, Prompt: r.Prompt, Output: w.tokens[:k]}
	row.Params.LogitBias = map[int32]float32{other: float32(maxScoreGap * math.Max(1, float64(r.Params.Temperature)))}
	choice, err := sampler.Host(last, row)
	if err == nil && choice.Token != other {
		err = fmt.Errorf("token %d is %d; want %d, and their scores are more than %g apart", k, other, w.tokens[k], maxScoreGap)
	}
	return err
}

func (c *deviceCrowd) firstPages(positions int) []int32 {
	pages := make([]int32, (positions+c.limits.PageTokens-1)/c.limits.PageTokens)
	for i := range pages {
		pages[i] = int32(i)
	}
	return pages
}

// truth runs one sample alone: no neighbours, no chunks beside it, no prefix cache.
func (c *deviceCrowd) truth(config engine.Config, r engine.Request, index int, version int64) (known alone, err error) {
	config.PrefixCache, config.MaxSlots, config.ChunkTokens, config.StepTokens = false, 1, c.limits.ChunkTokens, c.limits.ChunkTokens
	r.Params.Seed = engine.SampleSeed(r.Params.Seed, index)
	r.N, r.Salt, r.TopN, r.Class = 1, "", 0, engine.Interactive
	key := fmt.Sprintf("%d %d %+v", truthOf(version), config.Pages, r)
	if known, ok := c.alone[key]; ok {
		return known, nil
	}
	d := newDriverOn(c, config, truthOf(version))
	number, err := d.submit(r)
	if err := errors.Join(err, d.finish()); err != nil {
		return alone{}, err
	}
	known = alone{r, *d.collected[number]}
	c.alone[key] = known
	return known, nil
}

// alone is what a Request of one sample gave by itself.
type alone struct {
	request engine.Request
	collected
}
