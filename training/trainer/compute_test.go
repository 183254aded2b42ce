package trainer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// halfModel is small, and deep and wide enough for roundings to add up.
var halfModel = model.Config{Vocab: 96, Hidden: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, FFN: 128, MaxPositions: 64, NormEps: 1e-5, TiedHead: true,
	Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .1}

// halfBatch has 4 rows of 48 tokens, in one of which two examples are packed.
func halfBatch(t *testing.T) *Batch {
	t.Helper()
	var all []Example
	for row, lengths := range [][]int{{49}, {49}, {30, 18}, {40}} {
		for k, n := range lengths {
			e := Example{Tokens: make([]int32, n), Weights: make([]float32, n)}
			for i := range e.Tokens {
				e.Tokens[i], e.Weights[i] = int32((i*i*(3+row)+7*i+k)%halfModel.Vocab), float32(min(i/4, 1))
			}
			all = append(all, e)
		}
	}
	batches := pack(t, 4, 48, all)
	if len(batches) != 1 {
		t.Fatalf("got %d batches; want 1", len(batches))
	}
	return batches[0]
}

func halfTrainer(t *testing.T, d *device.Device, change func(*Config)) *Trainer {
	t.Helper()
	w, err := model.Random(halfModel, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	c := Default(30)
	c.PeakLR, c.WarmupSteps = 1e-2, 3
	change(&c)
	return newTrainer(t, d, w, c)
}

// gradientOf computes a gradient: one list of numbers for each tensor.
func gradientOf(t *testing.T, tr *Trainer, b *Batch) [][]float32 {
	t.Helper()
	p, err := tr.Gradient(1/b.Weight(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Free()
	values, err := p.Values()
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// apart is the cosine between two gradients and the norm of the second over that of the first.
func apart(a, b []float32) (cosine, ratio float64) {
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	return dot / math.Sqrt(aa*bb), math.Sqrt(bb / aa)
}

// The gradient in bf16 is that in f32 but for rounding, tensor by tensor: a cosine above .999 and a norm within 1 %. And it is not the very
// same, or nothing would have been rounded. In f32 it is the go backend's, which needs no compiler.
func TestHalfGradient(t *testing.T) {
	b, host := halfBatch(t), devicetest.Open(t, device.Go)
	onEach(t, func(t *testing.T, d *device.Device) {
		for _, lora := range []LoRA{{}, {Rank: 4, Alpha: 16, Seed: 1}} {
			exact := halfTrainer(t, host, func(c *Config) { c.LoRA = lora })
			want := gradientOf(t, exact, b)
			ways := []Config{{LayerCheckpoints: true, HeadChunkTokens: 40}}
			if d == host {
				ways = append(ways, Config{})
			}
			for _, way := range ways {
				half := halfTrainer(t, d, func(c *Config) {
					c.LoRA, c.LayerCheckpoints, c.HeadChunkTokens, c.Compute = lora, way.LayerCheckpoints, way.HeadChunkTokens, BF16
				})
				compareGradients(t, exact.trained, want, gradientOf(t, half, b))
			}
		}
	})
}

func compareGradients(t *testing.T, trained []model.TensorSpec, want, got [][]float32) {
	t.Helper()
	worst, off := 1.0, 0.0
	for i, s := range trained {
		if slices.Max(want[i]) == 0 { // that of A, while B is zero
			continue
		}
		cosine, ratio := apart(want[i], got[i])
		worst, off = min(worst, cosine), max(off, math.Abs(ratio-1))
		if !(cosine > .999) || math.Abs(ratio-1) > .01 {
			t.Errorf("the gradient of %s has the cosine %.5f and %.4f times the norm", s.Name, cosine, ratio)
		}
	}
	cosine, ratio := apart(slices.Concat(want...), slices.Concat(got...))
	t.Logf("cosine %.6f, norm x %.5f; of single tensors at least %.5f, norms within %.2g", cosine, ratio, worst, off)
	if cosine > .9999999 {
		t.Error("the gradients are the same; want one in bf16")
	}
}

// Training in bf16 follows training in f32: after 30 steps the loss has fallen to less than a quarter, and on the way it was never more
// than 2 % of the first loss away.
func TestHalfTrainingFollows(t *testing.T) {
	b, host := halfBatch(t), devicetest.Open(t, device.Go)
	onEach(t, func(t *testing.T, d *device.Device) {
		exact, half := halfTrainer(t, host, func(*Config) {}), halfTrainer(t, d, func(c *Config) { c.Compute = BF16 })
		var first, last, off float64
		var curve []string
		for i := range 30 {
			want, got := step(t, exact, b).Loss, step(t, half, b).Loss
			if last = got; i == 0 {
				first = want
			}
			if off = max(off, math.Abs(got-want)); i%5 == 0 || i == 29 {
				curve = append(curve, fmt.Sprintf("%d: %.4f %.4f", i, want, got))
			}
		}
		t.Logf("loss in f32 and bf16: %s; at most %.4f apart", strings.Join(curve, ", "), off)
		if last > first/4 || off > .02*first || off == 0 {
			t.Errorf("the loss went from %.4f to %.4f, up to %.4f away from that in f32", first, last, off)
		}
		for i, w := range half.weights { // masters
			if w.DType() != dtypes.Float32 || half.m[i].DType() != dtypes.Float32 || half.v[i].DType() != dtypes.Float32 {
				t.Errorf("%s: weights, moments are %s, %s, %s; want f32", half.layout[i].Name, w.DType(), half.m[i].DType(), half.v[i].DType())
			}
		}
	})
}
