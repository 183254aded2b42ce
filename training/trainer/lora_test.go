package trainer

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/modeltest"
	"astro/training/checkpoint"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// withLoRA is the golden Config with LoRA.
func (g golden) withLoRA(l LoRA) Config {
	c := g.Config
	c.LoRA = l
	return c
}

// setFactors replaces the factors, as an update does.
func setFactors(t *testing.T, tr *Trainer, flat [][]float32) {
	t.Helper()
	free(tr.adapter.Factors)
	tr.adapter.Factors = nil
	for i, s := range tr.trained {
		tr.adapter.Factors = append(tr.adapter.Factors, tensors.FromFlatDataAndDimensions(slices.Clone(flat[i]), s.Dims...))
	}
}

// servedBy are the weights as a trainer would publish them.
func servedBy(t *testing.T, tr *Trainer) [][]float32 {
	t.Helper()
	w, err := tr.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	return modeltest.Values(w.Tensors)
}

// someFactors are not those of the first step: B is not zero.
func someFactors(tr *Trainer) [][]float32 {
	flat := modeltest.Values(tr.adapter.Factors)
	for i := range flat {
		for j := range flat[i] {
			flat[i][j] += .1 * float32(math.Sin(float64(i*37+j)))
		}
	}
	return flat
}

// At first the model is what it was, and it is the same A on every device.
func TestLoRABegins(t *testing.T) {
	g := readGolden(t)
	var first [][]float32
	onEach(t, func(t *testing.T, d *device.Device) {
		full := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config)
		tr := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.withLoRA(LoRA{Rank: 2, Alpha: 8, Seed: 5}))
		if err := tr.check(); err != nil {
			t.Fatal(err)
		}
		if apartBy(modeltest.Values(full.weights), servedBy(t, tr)) != 0 {
			t.Error("the weights are not what they were")
		}
		factors := modeltest.Values(tr.adapter.Factors)
		if first == nil {
			first = factors
		}
		for i := range factors {
			if most := slices.Max(factors[i]); (most == 0) != (i%2 == 1) || !slices.Equal(factors[i], first[i]) {
				t.Errorf("factor %d reaches %g; want 0 for B alone, and the same on each device", i, most)
			}
		}
		if n, err := tr.config.LoRA.Params(tr.model); err != nil || int(n) != len(slices.Concat(factors...)) {
			t.Errorf("%d parameters, %v; want %d", n, err, len(slices.Concat(factors...)))
		}
	})
}

// The gradient of A and B is that of the loss: every factor's first and last element, moved up and down.
func TestLoRAGradientIsFiniteDifference(t *testing.T) {
	g := readGolden(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		batch := pack(t, 2, 14, g.examples())[0]
		tr := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.withLoRA(LoRA{Rank: 3, Alpha: 6}))
		flat := someFactors(tr)
		setFactors(t, tr, flat)
		p, err := tr.Gradient(1/batch.Weight(), batch)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Free()
		grads, err := p.Values()
		if err != nil {
			t.Fatal(err)
		}
		loss := func(at *float32, to float32) float64 {
			was := *at
			*at = to
			setFactors(t, tr, flat)
			*at = was
			return scored(t, tr, batch)
		}
		const h = 1e-2
		for i, values := range flat {
			for _, at := range []int{0, len(values) - 1} {
				want := (loss(&values[at], values[at]+h) - loss(&values[at], values[at]-h)) / (2 * h)
				if got := float64(grads[i][at]); !near(got, want, 2e-3+.02*math.Abs(want)) {
					t.Errorf("%s, element %d: gradient %g; finite difference %g", tr.trained[i].Name, at, got, want)
				}
			}
		}
	})
}

// scored is the weighted mean loss by Score, summed in f64.
func scored(t *testing.T, tr *Trainer, b *Batch) float64 {
	t.Helper()
	lp, err := tr.Score(b)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, w := range b.Weights {
		sum -= float64(w) * float64(lp[i])
	}
	return sum / b.Weight()
}

// successors is a task that can be learned, after a token comes the next one modulo the vocabulary, and a model for it.
func successors(t *testing.T, d *device.Device) (*model.Weights, *Batch) {
	t.Helper()
	c := model.Config{Vocab: 16, Hidden: 32, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 16, FFN: 32, MaxPositions: 16, NormEps: 1e-5,
		TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .3}
	w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	batch := NewBatch(4, 12)
	for i := range batch.Inputs {
		row, at := i/12, i%12
		batch.Inputs[i], batch.Targets[i] = int32((row*5+at)%16), int32((row*5+at+1)%16)
		batch.Positions[i], batch.Segments[i], batch.Weights[i] = int32(at), 1, 1
	}
	return w, batch
}

// Factors of full rank and thin ones learn; what they do not change stays bit for bit, and what is served is the weights and the product.
func TestLoRALearns(t *testing.T) {
	d := devicetest.Open(t, device.Go)
	learns(t, d, LoRA{Rank: 32})
	learns(t, d, LoRA{Rank: 2, Matrices: "gate_up,down"})
	onEach(t, func(t *testing.T, d *device.Device) { learns(t, d, LoRA{Rank: 4, Alpha: 8, Seed: 3}) })
}

func learns(t *testing.T, d *device.Device, l LoRA) {
	t.Helper()
	w, batch := successors(t, d)
	before := modeltest.Values(w.Tensors)
	config := Default(80)
	config.PeakLR, config.LoRA = 2e-2, l
	tr := newTrainer(t, d, w, config)
	first := step(t, tr, batch).Loss
	for range 79 {
		step(t, tr, batch)
	}
	if last := scored(t, tr, batch); first < 2 || last > first/4 {
		t.Errorf("%+v: the loss went from %.3f to %.3f", l, first, last)
	}
	checkMerged(t, tr, before)
}

// checkMerged compares a Snapshot with the weights before plus what the factors make of them, computed here in f64.
func checkMerged(t *testing.T, tr *Trainer, before [][]float32) {
	t.Helper()
	got, base, factors := servedBy(t, tr), modeltest.Values(tr.weights), modeltest.Values(tr.adapter.Factors)
	for i, s := range tr.layout {
		k := slices.Index(tr.changed, i)
		if k < 0 {
			if !slices.Equal(got[i], before[i]) {
				t.Errorf("%s changed", s.Name)
			}
			continue
		}
		if !slices.Equal(base[i], before[i]) {
			t.Errorf("%s as it was before has changed", s.Name)
		}
		a, b, out, rank := factors[2*k], factors[2*k+1], s.Dims[1], tr.adapter.Rank
		for at := range got[i] {
			want := 0.0
			for r := range rank {
				want += float64(a[at/out*rank+r]) * float64(b[r*out+at%out])
			}
			want = float64(before[i][at]) + want*tr.adapter.Alpha/float64(rank)
			if !near(float64(got[i][at]), want, 2e-6*(1+math.Abs(want))) {
				t.Fatalf("%s, element %d: got %g; want %g", s.Name, at, got[i][at], want)
			}
		}
		if slices.Equal(got[i], before[i]) {
			t.Errorf("%s did not change", s.Name)
		}
	}
}

// One program and several, with LayerCheckpoints, make the same update, and a gradient that is not applied changes nothing.
func TestLoRAGradientThenApplyIsAStep(t *testing.T) {
	g, d := readGolden(t), devicetest.Open(t, device.Go)
	batch, c := pack(t, 2, 14, g.examples())[0], g.withLoRA(LoRA{Rank: 2})
	fused := newTrainer(t, d, load(t, d, "testdata/golden/before"), c)
	c.LayerCheckpoints = true
	parted := newTrainer(t, d, load(t, d, "testdata/golden/before"), c)
	for range 3 {
		want := step(t, fused, batch)
		before := servedBy(t, parted)
		p, err := parted.Gradient(1/batch.Weight(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(before, servedBy(t, parted), slices.Equal[[]float32]) {
			t.Error("a gradient changed the weights")
		}
		if !near(p.Stats.Loss, want.Loss, 1e-6) || !near(p.Stats.GradNorm, want.GradNorm, 1e-5) {
			t.Errorf("got %+v; want %+v", p.Stats, want)
		}
		if err := parted.Apply(p); err != nil {
			t.Fatal(err)
		}
	}
	if diff := apartBy(servedBy(t, fused), servedBy(t, parted)); diff > 1e-5 {
		t.Errorf("weights differ by up to %g", diff)
	}
}

// What is trained computes the same as what is served from it: on the Go backend the very same, in f32 and in bf16.
func TestLoRAIsWhatIsServed(t *testing.T) {
	b := halfBatch(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		for _, compute := range []Compute{F32, BF16} {
			tr := halfTrainer(t, d, func(c *Config) { c.Compute, c.LoRA = compute, LoRA{Rank: 4, Alpha: 8, Matrices: "qkv,gate_up,down"} })
			setFactors(t, tr, someFactors(tr))
			if got := tr.weights[len(tr.weights)-1].DType(); got != compute.DType() {
				t.Errorf("frozen weights are %s; want %s", got, compute.DType())
			}
			served, err := tr.SnapshotAs(compute.DType())
			if err != nil {
				t.Fatal(err)
			}
			defer served.Free()
			mine, err := tr.Score(b)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := tr.ScoreUnder(served, b)
			if err != nil {
				t.Fatal(err)
			}
			diff := apartBy([][]float32{mine}, [][]float32{theirs})
			if d.Kind() == device.Go && diff > 0 || diff > 1e-3 || compute == F32 && diff > 1e-5 {
				t.Errorf("in %s log-probabilities differ by up to %g", compute, diff)
			}
			t.Logf("in %s log-probabilities differ by at most %g", compute, diff)
		}
	})
}

// Weights of f32 that are frozen in bf16 are rounded once; they are then what is trained on and what is served, and what does not fit is refused.
func TestLoRARoundsItsBase(t *testing.T) {
	d := devicetest.Open(t, device.Go)
	w, err := model.Random(halfModel, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	want, err := w.Copy(d.Backend(), dtypes.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	c := Default(1)
	c.LoRA, c.Compute = LoRA{Rank: 2}, BF16
	got, given := newTrainer(t, d, w, c), newTrainer(t, d, want, c)
	if apartBy(servedBy(t, got), servedBy(t, given)) != 0 {
		t.Error("the rounded weights are not those that were loaded as bf16")
	}
	if w, err = got.SnapshotAs(dtypes.BFloat16); err != nil {
		t.Fatal(err)
	}
	c.Compute = F32
	if _, err := New(d, w, c); err == nil || !strings.Contains(err.Error(), "load the model as Float32") {
		t.Errorf("got %v for weights of bf16; want that f32 is wanted", err)
	}
	exact := newTrainer(t, d, load(t, d, "testdata/golden/before"), c)
	if _, err := exact.ScoreUnder(w, NewBatch(1, 4)); err == nil || !strings.Contains(err.Error(), "want f32") {
		t.Errorf("got %v for a score under bf16; want that f32 is wanted", err)
	}
}

// A checkpoint that was written when a Trainer held the served matrices beside those before (version 0.1) goes on as it did then: testdata/lora
// is two steps of it, and the next one had this loss and norm.
func TestLoRAResumesWhatWasWrittenBefore(t *testing.T) {
	g, l := readGolden(t), LoRA{Rank: 2, Alpha: 8, Seed: 5, Matrices: "qkv,down"}
	batch := pack(t, 2, 14, g.examples())[0]
	onEach(t, func(t *testing.T, d *device.Device) {
		for _, compute := range []Compute{F32, BF16} {
			c := g.withLoRA(l)
			c.Compute = compute
			content, err := checkpoint.Load("testdata/lora", d.Backend(), c.DType())
			if err != nil {
				t.Fatal(err)
			}
			tr, err := Resume(d, content, c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(tr.Close)
			tolerance := map[Compute]float64{F32: 1e-5, BF16: .02}[compute]
			if diff := apartBy(modeltest.Values(load(t, d, "testdata/lora").Tensors), servedBy(t, tr)); diff > tolerance {
				t.Errorf("in %s the served weights differ by up to %g", compute, diff)
			}
			if got := step(t, tr, batch); tr.Steps() != 3 || !near(got.Loss, 3.6719017, tolerance) || !near(got.GradNorm, 0.90577948, tolerance) {
				t.Errorf("in %s step %d has loss %g and norm %g", compute, tr.Steps(), got.Loss, got.GradNorm)
			}
		}
	})
}

// saved is a checkpoint of a trainer, read again.
func saved(t *testing.T, tr *Trainer) checkpoint.Content {
	t.Helper()
	path, err := checkpoint.Save(t.TempDir(), tr.Content(json.RawMessage(`{}`)), nil)
	if err != nil {
		t.Fatal(err)
	}
	content, err := checkpoint.Load(path, tr.device.Backend(), tr.config.DType())
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Training that changes its kind takes a checkpoint's weights and begins anew; one that does not goes on, whatever the seed.
func TestLoRAResumesOtherwise(t *testing.T) {
	g, d := readGolden(t), devicetest.Open(t, device.Go)
	batch := pack(t, 2, 14, g.examples())[0]
	for _, c := range []struct {
		was, now LoRA
		goesOn   bool
	}{
		{LoRA{}, LoRA{Rank: 2}, false}, {LoRA{Rank: 2}, LoRA{}, false}, {LoRA{Rank: 2}, LoRA{Rank: 3}, false},
		{LoRA{Rank: 2}, LoRA{Rank: 2, Alpha: 4}, false}, {LoRA{Rank: 2}, LoRA{Rank: 2, Matrices: "o"}, false},
		{LoRA{Rank: 2}, LoRA{Rank: 2, Alpha: 2, Seed: 9, Matrices: "down,o,qkv,gate_up"}, true},
	} {
		tr := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.withLoRA(c.was))
		step(t, tr, batch)
		resumed, err := Resume(d, saved(t, tr), g.withLoRA(c.now))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(resumed.Close)
		if apartBy(servedBy(t, tr), servedBy(t, resumed)) != 0 || (resumed.Steps() == 1) != c.goesOn || slices.Max(modeltest.Values(resumed.v)[1]) > 0 != c.goesOn {
			t.Errorf("%+v, then %+v: at step %d; want it to go on: %t", c.was, c.now, resumed.Steps(), c.goesOn)
		}
		step(t, resumed, batch)
	}
}

func TestLoRARefuses(t *testing.T) {
	g, d := readGolden(t), devicetest.Open(t, device.Go)
	w := load(t, d, "testdata/golden/before")
	defer w.Free()
	for _, c := range []struct {
		lora LoRA
		want string
	}{
		{LoRA{Rank: -1}, "0 or more"}, {LoRA{Rank: 1, Alpha: -1}, "0 or more"}, {LoRA{Rank: 1, Alpha: math.NaN()}, "0 or more"},
		{LoRA{Rank: 1, Alpha: math.Inf(1)}, "0 or more"}, {LoRA{Alpha: 2}, "a rank of at least 1"}, {LoRA{Matrices: "o"}, "a rank of at least 1"},
		{LoRA{Rank: 1, Matrices: "o,head"}, `"head": want some of qkv, o, gate_up, down`}, {LoRA{Rank: 1 << 30}, "1 to its smaller side"},
	} {
		if _, err := New(d, w, g.withLoRA(c.lora)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v; want %q in it", c.lora, err, c.want)
		}
	}
}
