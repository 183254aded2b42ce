package engine_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Many tokens in one program are those that a program for each gives: bit for bit on native kernels and where there is no such program; on the
// graph to what another batch's products round differently, for a Sequence that ended leaves its Slot later. Ends come in the middle of what is drawn, by limits and by stop tokens. Pools stay where they are in the loop.
func TestStepsInOneProgram(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		for _, form := range []engine.Form{engine.FormAuto, engine.FormGraph} {
			name, tolerance, steps := "chosen", 0.0, []int{2, 4, 8}
			if form == engine.FormGraph { // which takes long to compile
				name, tolerance, steps = "graph", maxScoreGap, steps[2:]
			}
			t.Run(name, func(t *testing.T) { compareSteps(t, d, form, tolerance, steps) })
		}
	})
}

// compareSteps wants the same of one Runner for each number of steps.
func compareSteps(t *testing.T, d *device.Device, form engine.Form, tolerance float64, all []int) {
	c := smallRunner(dtypes.Float32)
	c.Form, c.Pages = form, 512
	r := newRunner(t, d, randomPolicy(t, d), c)
	want, _ := drawAhead(t, r, c, 1)
	for _, steps := range all {
		got, counters := drawAhead(t, r, c, steps)
		for i := range want {
			compareDraws(t, fmt.Sprintf("%d steps, request %d", steps, i), got[i], want[i], tolerance)
		}
		if counters.AheadTokens == 0 || counters.DroppedTokens == 0 {
			t.Errorf("%d steps: %+v; want tokens ahead, and some dropped", steps, counters)
		}
	}
	checkLoops(t, d, r)
}

// TestNotFiniteInTheMiddle: a token whose embedding is NaN ends its Sequence behind it, in the middle of what a program draws as at its end;
// neighbours go on.
func TestNotFiniteInTheMiddle(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		c := smallRunner(dtypes.Float32)
		policy := randomPolicy(t, d)
		sound, _ := drawAhead(t, newRunner(t, d, policy, c), c, 1)
		poison(t, policy, sound[3][5].Choice.Token)
		r := newRunner(t, d, policy, c)
		want, _ := drawAhead(t, r, c, 1)
		got, counters := drawAhead(t, r, c, 8)
		for i := range want {
			compareDraws(t, fmt.Sprintf("request %d", i), got[i], want[i], 0)
		}
		if end := want[3][len(want[3])-1]; end.Finish != engine.FinishError || len(want[3]) > 7 || counters.NotFinite == 0 || counters.AheadTokens == 0 {
			t.Errorf("request 3 ended after %d events by %q, %+v; want an error at its seventh or before, and tokens ahead", len(want[3]), end.Finish, counters)
		}
	})
}

// poison makes the embedding of a token NaN.
func poison(t *testing.T, p *model.Policy, token int32) {
	t.Helper()
	w := p.Weights
	flat, err := tensors.CopyFlatData[float32](w.Tensors[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.Config.Hidden {
		flat[int(token)*w.Config.Hidden+i] = float32(math.NaN())
	}
	w.Tensors[0] = tensors.FromFlatDataAndDimensions(flat, w.Tensors[0].Shape().Dimensions...)
}

// randomPolicy has a model of a shape that native kernels run.
func randomPolicy(t *testing.T, d *device.Device) *model.Policy {
	t.Helper()
	w, err := model.Random(model.Config{Vocab: 70, Hidden: 96, Layers: 2, Heads: 3, KVHeads: 3, HeadDim: 32, FFN: 128, MaxPositions: 640, NormEps: 1e-5,
		Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .1}, 5, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	p := model.NewPolicy(1, w)
	t.Cleanup(p.Release)
	return p
}

// TestStepsWithoutTheirProgram: while a program of many steps is compiled, its rows go one by one, to the same tokens.
func TestStepsWithoutTheirProgram(t *testing.T) {
	d := openDevice(t, device.XLACPU)
	c := smallRunner(dtypes.Float32)
	policy := randomPolicy(t, d)
	want, _ := drawAhead(t, newRunner(t, d, policy, c), c, 1)
	c.Background = true
	r := newRunner(t, d, policy, c)
	for _, round := range []string{"at once", "when all is compiled"} {
		got, _ := drawAhead(t, r, c, 8)
		for i := range want {
			compareDraws(t, fmt.Sprintf("%s, request %d", round, i), got[i], want[i], maxScoreGap) // the host draws, too
		}
		for deadline := time.Now().Add(time.Minute); r.Programs().Pending > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%+v are pending still", r.Programs())
			}
		}
	}
	checkLoops(t, d, r)
}

// checkLoops wants programs of many steps on XLA, none of which keeps a pool twice.
func checkLoops(t *testing.T, d *device.Device, r *engine.DeviceRunner) {
	found := 0
	for _, p := range d.Programs() {
		if !engine.GoesAhead(p.Name) {
			continue
		}
		found++
		t.Logf("%-28s %d KiB in place, %d KiB temporary, compiled in %v", p.Name, p.InPlaceBytes>>10, p.TemporaryBytes>>10, p.CompileTime)
		if p.TemporaryBytes >= r.PoolBytes() {
			t.Errorf("%s needs %d bytes of temporary memory; want less than a pool of %d", p.Name, p.TemporaryBytes, r.PoolBytes())
		}
	}
	if (found > 0) != (d.Kind() != device.Go) {
		t.Errorf("%d programs of many steps on %s", found, d.Kind())
	}
}

// compareDraws wants the same tokens, and log-probabilities that differ by no more than a tolerance.
func compareDraws(t *testing.T, what string, got, want []engine.Event, tolerance float64) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			t.Errorf("%s: %d draws; want %d", what, len(got), len(want))
			return
		}
		g, w := got[i], want[i]
		if g.Choice.Token != w.Choice.Token || g.Finish != w.Finish || math.Abs(float64(g.Choice.Logprob-w.Choice.Logprob)) > tolerance ||
			math.Abs(float64(g.Choice.Sampled-w.Choice.Sampled)) > tolerance {
			t.Errorf("%s: draw %d is %+v %s; want %+v %s", what, i, g.Choice, g.Finish, w.Choice, w.Finish)
			return
		}
	}
}

// drawAhead runs Requests of all plain kinds side by side and gives their Completions' tokens and log-probabilities.
func drawAhead(t *testing.T, r *engine.DeviceRunner, c engine.RunnerConfig, steps int) (list [][]engine.Event, counters engine.Counters) {
	t.Helper()
	config := schedulerConfig(r.Vocab(), c)
	config.DecodeSteps, config.PrefixCache = steps, false
	s := engine.NewScheduler(config, 1)
	params := []sampler.Params{sampler.Greedy(), sampler.Default(), sampler.Default(), sampler.Default()}
	params[2].TopP, params[2].Temperature = 0.9, 0.7
	params[3].TopK, params[3].MinP = 5, 0.01
	stops := [][]int32{{1, 2, 3, 4, 5}, {6, 7, 8}, {9}, nil}
	for i, p := range params {
		p.Seed = uint64(i)
		_, err := s.Submit(engine.Request{Class: engine.Batch, Prompt: []int32{3, 4, int32(5 + i)}, N: 1, MaxTokens: 21 + i, StopTokens: stops[i], Params: p})
		if err != nil {
			t.Fatal(err)
		}
	}
	list = make([][]engine.Event, len(params))
	for !s.Idle() {
		result, err := r.Run(s.Next())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Apply(result) {
			list[e.Request-1] = append(list[e.Request-1], e)
		}
	}
	return list, s.Counters()
}
