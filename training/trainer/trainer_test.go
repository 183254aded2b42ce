package trainer

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

var onEach = devicetest.OnEach

// golden is what testdata/make_golden.py measured in PyTorch, without packing.
type golden struct {
	Documents []struct {
		Tokens []int32
		Prompt int
	}
	Logprobs [][]float64
	Steps    []struct {
		Loss float64
		Norm float64 `json:"grad_norm"`
		LR   float64
	}
	Config Config
}

func readGolden(t *testing.T) golden {
	t.Helper()
	text, err := os.ReadFile("testdata/golden/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g golden) examples() []Example {
	var all []Example
	for _, d := range g.Documents {
		e := Example{Tokens: d.Tokens, Weights: make([]float32, len(d.Tokens))}
		for i := d.Prompt; i < len(d.Tokens); i++ {
			e.Weights[i] = 1
		}
		all = append(all, e)
	}
	return all
}

// pack puts examples into batches of one shape.
func pack(t *testing.T, rows, tokens int, examples []Example) []*Batch {
	t.Helper()
	p := NewPacker(rows, tokens)
	var batches []*Batch
	for _, e := range examples {
		full, err := p.Add(e)
		if err != nil {
			t.Fatal(err)
		}
		if full != nil {
			batches = append(batches, full)
		}
	}
	if rest := p.Flush(); rest != nil {
		batches = append(batches, rest)
	}
	return batches
}

func load(t *testing.T, d *device.Device, dir string) *model.Weights {
	t.Helper()
	w, err := model.Load(dir, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newTrainer(t *testing.T, d *device.Device, w *model.Weights, c Config) *Trainer {
	t.Helper()
	tr, err := New(d, w, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

func step(t *testing.T, tr *Trainer, batches ...*Batch) Stats {
	t.Helper()
	s, err := tr.Step(batches...)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Three steps are PyTorch's: loss, gradient norm, learning rate and, in the end, every weight. Once in one packed batch, once
// accumulated over several.
func TestGolden(t *testing.T) {
	g := readGolden(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		after := load(t, d, "testdata/golden/after")
		defer after.Free()
		for _, rows := range []int{2, 1} { // 1 row holds two documents at most: several batches
			tr := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config)
			batches := pack(t, rows, 14, g.examples())
			if (len(batches) == 1) != (rows == 2) {
				t.Fatalf("%d rows: got %d batches", rows, len(batches))
			}
			for i, want := range g.Steps {
				s := step(t, tr, batches...)
				if !near(s.Loss, want.Loss, 2e-6) || !near(s.GradNorm, want.Norm, 1e-5) || !near(s.LR, want.LR, 1e-12) {
					t.Errorf("%d rows, step %d: got %+v; want %+v", rows, i, s, want)
				}
			}
			if diff := largestDifference(tr.weights, after.Tensors); diff > 2e-5 {
				t.Errorf("%d rows: a weight is %g off PyTorch's", rows, diff)
			}
		}
	})
}

// Log-probabilities are those of each document alone, wherever it is packed.
func TestPackedEqualsUnpacked(t *testing.T) {
	g := readGolden(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		tr := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config)
		batches := pack(t, 1, 30, g.examples())
		if len(batches) != 1 {
			t.Fatalf("got %d batches; want one row with all", len(batches))
		}
		got, err := tr.Score(batches[0])
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for d, document := range g.Logprobs {
			for at, want := range document {
				if !near(float64(got[i]), want, 2e-5) {
					t.Errorf("document %d, token %d: got %g; want %g", d, at+1, got[i], want)
				}
				i++
			}
		}
	})
}

// The gradient is that of the loss: a few weights of every tensor, moved up and down.
func TestGradientIsFiniteDifference(t *testing.T) {
	g := readGolden(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		batch := pack(t, 2, 14, g.examples())[0]
		weights := load(t, d, "testdata/golden/before")
		flat := modeltest.Values(weights.Tensors)
		grads := gradients(t, d, flat, weights.Config, batch)
		weights.Free()
		const h = 1e-2
		for i, values := range flat {
			for _, at := range []int{len(values) / 3, len(values) - 1} {
				was := values[at]
				values[at] = was + h
				up := lossAt(t, d, flat, weights.Config, batch)
				values[at] = was - h
				down := lossAt(t, d, flat, weights.Config, batch)
				values[at] = was
				if got, want := float64(grads[i][at]), (up-down)/(2*h); !near(got, want, 2e-3+.02*math.Abs(want)) {
					t.Errorf("tensor %d, element %d: gradient %g; finite difference %g", i, at, got, want)
				}
			}
		}
	})
}

// gradients runs the accumulating program once.
func gradients(t *testing.T, d *device.Device, flat [][]float32, c model.Config, b *Batch) [][]float32 {
	t.Helper()
	tr := newTrainer(t, d, modeltest.Weights(c, flat), Default(10))
	p, err := tr.program(tr.gradSpec(b.Rows, b.Tokens, true))
	if err != nil {
		t.Fatal(err)
	}
	h := tensorOf(hyper{norm: 1 / b.Weight()})
	out, err := p.Run(concat(tr.weights, tr.batchArgs(b), []*tensors.Tensor{h})...)
	if err != nil {
		t.Fatal(err)
	}
	return modeltest.Values(out[:len(tr.layout)])
}

// lossAt is the weighted mean loss, summed in f64 on the host.
func lossAt(t *testing.T, d *device.Device, flat [][]float32, c model.Config, b *Batch) float64 {
	t.Helper()
	tr, err := New(d, modeltest.Weights(c, flat), Default(10))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tr.programs = scoring(t, d, tr, b)
	defer func() { tr.programs = nil }()
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

// scoring shares one compiled scoring program between the many trainers of a test.
func scoring(t *testing.T, d *device.Device, tr *Trainer, b *Batch) map[string]*device.Program {
	t.Helper()
	spec := tr.scoreSpec(b.Rows, b.Tokens)
	key := string(d.Kind()) + spec.Name
	if scoringPrograms[key] == nil {
		p, err := tr.program(spec)
		if err != nil {
			t.Fatal(err)
		}
		scoringPrograms[key] = p
	}
	return map[string]*device.Program{spec.Name: scoringPrograms[key]}
}

var scoringPrograms = map[string]*device.Program{}

// A task that can be learned is learned: after a token comes the next one, modulo the vocabulary.
func TestLossDecreases(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device) {
		c := model.Config{Vocab: 16, Hidden: 32, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 16, FFN: 32, MaxPositions: 16, NormEps: 1e-5,
			TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .1}
		w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
		if err != nil {
			t.Fatal(err)
		}
		config := Default(60)
		config.PeakLR = 1e-2
		tr := newTrainer(t, d, w, config)
		batch := NewBatch(4, 12)
		for i := range batch.Inputs {
			row, at := i/12, i%12
			batch.Inputs[i], batch.Targets[i] = int32((row*5+at)%16), int32((row*5+at+1)%16)
			batch.Positions[i], batch.Segments[i], batch.Weights[i] = int32(at), 1, 1
		}
		first := step(t, tr, batch).Loss
		last := first
		for range 59 {
			last = step(t, tr, batch).Loss
		}
		if first < 2 || last > .2 {
			t.Errorf("loss went from %.3f to %.3f", first, last)
		}
	})
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

func largestDifference(a, b []*tensors.Tensor) float64 {
	return apartBy(modeltest.Values(a), modeltest.Values(b))
}

// apartBy is the largest difference of two lists of numbers.
func apartBy(a, b [][]float32) float64 {
	most := 0.0
	for i := range a {
		for j := range a[i] {
			most = max(most, math.Abs(float64(a[i][j]-b[i][j])))
		}
	}
	return most
}
