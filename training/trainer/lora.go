package trainer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"astro/internal/device"
	"astro/model"
	"astro/training/checkpoint"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// LoRA says that a change of low rank is trained in place of the weights (Hu et al., arXiv 2106.09685): a matrix W [in, out] becomes
// W + Alpha/Rank A B, with A [in, Rank] drawn from Seed and B [Rank, out] of zeros. W stays as it is; AdamW, its decay and the clipping
// see A and B alone. The zero value trains the weights themselves. A good learning rate is about ten times that of full training.
//
// Matrices that read the same input are one tensor here (model.Layout), and then have one A: queries, keys and values share theirs.
//
// Memory: full training holds the weights, two moments, and while it accumulates gradients: 4 times the model. LoRA holds the matrices
// twice, as they were and as they are served, and of A and B four copies, which are small: about 2 times the model. Programs see the
// matrices as they are served, so that sampler and trainer compute with the same bits.
type LoRA struct {
	Rank     int     // 0 = full training
	Alpha    float64 // 0 = Rank
	Matrices string  // of each layer, joined by ",": qkv, o, gate_up, down; "" = all four
	Seed     uint64  // of A
}

// loraMatrices are those that LoRA may change, as they end in model.Layout.
var loraMatrices = []string{"qkv", "o", "gate_up", "down"}

// Validate says what is wrong with a LoRA, or nil.
func (l LoRA) Validate() error {
	if l.Rank < 0 || !(l.Alpha >= 0) || math.IsInf(l.Alpha, 1) {
		return fmt.Errorf("LoRA of rank %d with alpha %g: want 0 or more of both", l.Rank, l.Alpha)
	}
	if l.Rank == 0 && l != (LoRA{Seed: l.Seed}) {
		return fmt.Errorf("LoRA with alpha %g on %q has the rank 0: want a rank of at least 1", l.Alpha, l.Matrices)
	}
	for _, m := range l.matrices() {
		if !slices.Contains(loraMatrices, m) {
			return fmt.Errorf("LoRA on %q: want some of %s, joined by \",\"", m, strings.Join(loraMatrices, ", "))
		}
	}
	return nil
}

// Params is the number of parameters that are trained of a model; the error says why a LoRA does not suit it.
func (l LoRA) Params(c model.Config) (int64, error) {
	a, err := l.adapter(c)
	if err != nil || a == nil {
		return c.Params(), err
	}
	_, _, factors, err := a.Specs(c)
	n := int64(0)
	for _, s := range factors {
		n += int64(s.Len())
	}
	return n, err
}

func (l LoRA) matrices() []string {
	if l.Matrices == "" {
		return loraMatrices
	}
	return strings.Split(l.Matrices, ",")
}

// adapter is a checkpoint's for this LoRA on a model, without tensors; nil for full training.
func (l LoRA) adapter(c model.Config) (*checkpoint.Adapter, error) {
	if err := l.Validate(); err != nil || l.Rank == 0 {
		return nil, err
	}
	a := &checkpoint.Adapter{Rank: l.Rank, Alpha: l.Alpha, Seed: l.Seed}
	if a.Alpha == 0 {
		a.Alpha = float64(l.Rank)
	}
	for _, s := range model.Layout(c)[c.FirstLayer():] {
		if _, name, _ := strings.Cut(s.Name, "_"); slices.Contains(l.matrices(), name) {
			a.Matrices = append(a.Matrices, s.Name)
		}
	}
	_, _, _, err := a.Specs(c)
	return a, err
}

// goesOn says whether training may go on with what a checkpoint has. The seed is of no matter once A is drawn.
func goesOn(want, has *checkpoint.Adapter) bool {
	if want == nil || has == nil {
		return want == has
	}
	return want.Rank == has.Rank && want.Alpha == has.Alpha && slices.Equal(want.Matrices, has.Matrices)
}

// draw makes the factors before the first step: A uniform within 1/sqrt(in), as the authors' code has it, and the same on every machine;
// B zero, so that the model is what it was.
func draw(a *checkpoint.Adapter, specs []model.TensorSpec) {
	for i, s := range specs {
		values := make([]float32, s.Len())
		if i%2 == 0 {
			r, bound := rand.New(rand.NewPCG(a.Seed, uint64(i))), float32(1/math.Sqrt(float64(s.Dims[0])))
			for j := range values {
				values[j] = bound * (2*r.Float32() - 1)
			}
		}
		a.Factors = append(a.Factors, tensors.FromFlatDataAndDimensions(values, s.Dims...))
	}
}

// adapt gives a Trainer an adapter at its first step. The weights that it changes become its base; the trainer gets copies of them.
func (t *Trainer) adapt(w *model.Weights) error {
	draw(t.adapter, t.trained)
	for _, i := range t.changed {
		t.adapter.Base = append(t.adapter.Base, w.Tensors[i])
	}
	merged, err := t.mergedTensors()
	if err != nil {
		free(t.adapter.Factors)
		return err
	}
	t.weights = slices.Clone(w.Tensors)
	for j, i := range t.changed {
		t.weights[i] = merged[j]
	}
	return nil
}

// merge brings the weights up to date after the factors have changed. For a moment the old ones are gone: an error is the Trainer's end.
func (t *Trainer) merge() error {
	if t.adapter == nil {
		return nil
	}
	kept := slices.Clone(t.weights)
	for _, i := range t.changed {
		kept[i].MustFinalizeAll()
	}
	merged, err := t.mergedTensors()
	if err != nil {
		t.weights = nil
		t.lose(err)
		return t.broken
	}
	for j, i := range t.changed {
		kept[i] = merged[j]
	}
	t.weights = kept
	return nil
}

// mergedTensors are the matrices that are changed, as they are now.
func (t *Trainer) mergedTensors() ([]*tensors.Tensor, error) {
	p, err := t.program(t.mergeSpec())
	if err != nil {
		return nil, err
	}
	out, err := p.Run(concat(t.adapter.Base, t.adapter.Factors)...)
	if err != nil {
		return nil, fmt.Errorf("merging the factors of LoRA: %w", err)
	}
	return out, nil
}

// mergeSpec adds the factors' products to the matrices as they were.
func (t *Trainer) mergeSpec() device.Spec {
	n := len(t.changed)
	return device.Spec{Name: "train_merge", Params: join(params("base", t.base(), -1), params("f", t.trained, -1)), Build: func(in []*Node) []*Node {
		out := make([]*Node, n)
		for i, w := range in[:n] {
			a, b := in[n+2*i], in[n+2*i+1]
			out[i] = Add(w, MulScalar(Einsum("ir,ro->io", a, b), t.scale()))
		}
		return out
	}}
}

// base are the specs of the matrices that an adapter changes.
func (t *Trainer) base() (specs []model.TensorSpec) {
	for _, i := range t.changed {
		specs = append(specs, t.layout[i])
	}
	return specs
}

func (t *Trainer) scale() float64 { return t.adapter.Alpha / float64(t.adapter.Rank) }

// factorGradients are those of A and B: with G the gradient of W + s A B they are s G B' and s A' G.
func (t *Trainer) factorGradients(loss *Node, weights, factors []*Node) []*Node {
	var matrices, grads []*Node
	for _, i := range t.changed {
		matrices = append(matrices, weights[i])
	}
	for i, g := range Gradient(loss, matrices...) {
		a, b := factors[2*i], factors[2*i+1]
		grads = append(grads, MulScalar(Einsum("io,ro->ir", g, b), t.scale()), MulScalar(Einsum("ir,io->ro", a, g), t.scale()))
	}
	return grads
}
