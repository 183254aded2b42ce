package step

import (
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// onEach runs a test on every backend that is here, with random weights of a small shape.
func onEach(t *testing.T, test func(t *testing.T, d *device.Device, policy *model.Policy)) {
	devicetest.OnEach(t, func(t *testing.T, d *device.Device) {
		c, err := model.Shape("tiny")
		if err != nil {
			t.Fatal(err)
		}
		w, err := model.RandomOn(d, c, 1, dtypes.Float32)
		if err != nil {
			t.Fatal(err)
		}
		policy := model.NewPolicy(1, w)
		defer policy.Release()
		test(t, d, policy)
	})
}

func smallOptions() Options {
	o := DefaultOptions()
	o.Batches, o.Positions, o.Prefill = []int{1, 3}, []int{5, 20}, []int{33, 8}
	o.Steps, o.Prefills, o.ChunkTokens = 4, 2, 16
	o.Model, o.Device, o.Peaks = "tiny", "a machine", Peaks{Measured: Rates{BytesPerSecond: 1e15, FLOPsPerSecond: 1e15}}
	return o
}

type caseKey struct {
	what                    string
	batch, position, tokens int
}

// Every case is measured once, feeds what it says, and leaves nothing behind on the device.
func TestRunMeasuresEveryCase(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device, policy *model.Policy) {
		before, seen := len(d.Programs()), map[caseKey]int{}
		err := Run(d, policy, smallOptions(), func(m Measurement) {
			seen[caseKey{m.Case, m.Batch, m.Position, m.Tokens}]++
			if !(m.BestMillis > 0 && m.BestMillis <= m.MedianMillis && m.TokensPerSecond > 0 && m.HostShare >= 0 && m.HostShare < 1) || m.Skipped != "" {
				t.Errorf("got %+v; want positive times, the best first, and a share", m)
			}
			if m.Backend != string(d.Kind()) || m.Device != "a machine" || m.Model != "tiny" || m.DType != "f32" {
				t.Errorf("got %+v; want its backend, device and model named", m)
			}
			for _, s := range []Share{m.OfBandwidth, m.OfFLOPs} {
				if !(s.Measured > 0 && s.Measured < 1) || s.Published != 0 {
					t.Errorf("%s is %+v of rates that no machine has; want a small part, and none of what is not published", m.Case, s)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []caseKey{{"decode", 1, 5, 1}, {"decode", 3, 5, 3}, {"decode", 1, 20, 1}, {"decode", 3, 20, 3}, {"prefill", 1, 0, 33}, {"prefill", 1, 0, 8}} {
			if seen[k] != 1 || len(seen) != 6 {
				t.Errorf("%+v was measured %d times; want once (all: %v)", k, seen[k], seen)
			}
		}
		if after := len(d.Programs()); after != before {
			t.Errorf("%d programs are left open", after-before)
		}
	})
}

// A call of many tokens counts all of them.
func TestRunManyStepsPerCall(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device, policy *model.Policy) {
		o, calls := smallOptions(), 0
		o.Batches, o.Positions, o.Prefill, o.StepsPerCall = []int{2}, []int{5}, nil, 4
		err := Run(d, policy, o, func(m Measurement) {
			if calls++; m.Tokens != 8 || m.StepsPerCall != 4 || !(m.BestMillis > 0) {
				t.Errorf("got %+v; want 8 tokens a call, 4 of each sequence", m)
			}
		})
		if err != nil || calls != 1 {
			t.Errorf("%d cases, %v; want one", calls, err)
		}
	})
}

// One prompt is computed and copied to the other Sequences: they then draw the same tokens, with the same log-probabilities, as one that
// computed its prompt itself.
func TestFillIsAsGoodAsPrefills(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device, policy *model.Policy) {
		o := smallOptions()
		o.GatherBytes = 1 << 20
		rows := func(batch, chunk int) (logprobs []float32) {
			s, err := o.plan(d, policy.Weights.Config, dtypes.Float32, batch, 40, chunk)
			if err != nil {
				t.Fatal(err)
			}
			b, err := newBench(d, policy, o, s)
			if err != nil {
				t.Fatal(err)
			}
			defer b.runner.Close()
			for range batch {
				if err := b.submit(35, 3); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.fill(); err != nil {
				t.Fatal(err)
			}
			result, err := b.runner.Run(b.next())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range result.Rows {
				logprobs = append(logprobs, r.Choices[0].Logprob)
			}
			return logprobs
		}
		alone := rows(1, 16)[0]
		for i, got := range rows(9, 16) {
			if diff := got - alone; diff > 1e-4 || diff < -1e-4 {
				t.Errorf("slot %d drew with log-probability %g; alone it is %g", i, got, alone)
			}
		}
	})
}

// What does not fit is reported with both numbers, and the rest is measured.
func TestRunSkipsWhatDoesNotFit(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device, policy *model.Policy) {
		o := smallOptions()
		o.Batches, o.Positions, o.Prefill = []int{1, 1 << 20}, []int{5}, []int{8}
		o.AvailableBytes = 1 << 31
		var skipped []bool
		err := Run(d, policy, o, func(m Measurement) {
			skipped = append(skipped, m.Skipped != "")
			if m.Skipped != "" && (!strings.Contains(m.Skipped, "2048.0 MiB available") || m.Batch != 1<<20 || m.TokensPerSecond != 0) {
				t.Errorf("got %+v; want the large batch left out for want of memory", m)
			}
		})
		if err != nil || !slices.Equal(skipped, []bool{false, true, false}) {
			t.Errorf("got %v, skipped %v; want the second case alone skipped", err, skipped)
		}
	})
}

func TestRunRefuses(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"a batch of 0":              func(o *Options) { o.Batches = []int{0} },
		"a position of 0":           func(o *Options) { o.Positions = []int{4, 0} },
		"a prefill of -1":           func(o *Options) { o.Prefill = []int{-1} },
		"steps of 0":                func(o *Options) { o.Steps = 0 },
		"tokens of a chunk of 0":    func(o *Options) { o.ChunkTokens = 0 },
		"want at least 1":           func(o *Options) { o.PageTokens = 0 },
		"prefills of 0: want at le": func(o *Options) { o.Prefills = 0 },
	} {
		o := smallOptions()
		change(&o)
		if err := Run(nil, nil, o, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want an error with %q", err, want)
		}
	}
}

// Rates are measured on every backend, and nothing is left open.
func TestMeasurePeaks(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device, _ *model.Policy) {
		before := len(d.Programs())
		p, err := measurePeaks(d, dtypes.Float32, 1<<16, 128)
		if err != nil {
			t.Fatal(err)
		}
		if !(p.Measured.BytesPerSecond > 1e7 && p.Measured.FLOPsPerSecond > 1e7) || p.ProductOf != "f32" || p.CopyBytes != 1<<18 {
			t.Errorf("got %+v; want rates of a working machine, of what was asked for", p)
		}
		if after := len(d.Programs()); after != before {
			t.Errorf("%d programs are left open", after-before)
		}
	})
}
