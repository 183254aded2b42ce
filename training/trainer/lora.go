package trainer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"astro/internal/device"
	"astro/kernels"
	"astro/model"
	"astro/model/llama"
	"astro/training/checkpoint"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// LoRA says that a change of low rank is trained in place of the weights (Hu et al., arXiv 2106.09685): a matrix W [in, out] becomes
// W + Alpha/Rank A B, with A [in, Rank] drawn from Seed and B [Rank, out] of zeros. W stays as it is; AdamW, its decay and the clipping
// see A and B alone. The zero value trains the weights themselves. A good learning rate is about ten times that of full training.
//
// Matrices that read the same input are one tensor here (model.Layout), and then have one A: queries, keys and values share theirs.
//
// Memory: full training holds the weights, two moments, and while it accumulates gradients: 4 times the model in f32. LoRA holds the weights as
// they were, in bf16 where products are, and of A and B four copies, which are small. Programs add A and B to a matrix where they multiply with it,
// and round it as the served one is, so that sampler and trainer compute with the same numbers.
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

// changes are what the factors do to the weights, with the scale in B. It is as they are served: sampler and trainer multiply by the same numbers.
func (t *Trainer) changes(factors []*Node) map[int]kernels.LowRank {
	all, scale := map[int]kernels.LowRank{}, t.adapter.Alpha/float64(t.adapter.Rank)
	for j, i := range t.changed {
		all[i] = kernels.LowRank{A: factors[2*j], B: MulScalar(factors[2*j+1], scale)}
	}
	return all
}

// rounded makes f32 weights those of a Trainer that keeps them in bf16. After an error they are still the caller's.
func (t *Trainer) rounded(w []*tensors.Tensor) ([]*tensors.Tensor, error) {
	dtype := t.config.DType()
	if w[0].DType() == dtype {
		return w, nil
	}
	p, err := t.program(device.Spec{Name: "train_round", Params: params("w", t.layout, -1), Build: func(in []*Node) []*Node {
		return copies(t.layout, dtype, weightNodes{tensors: in})
	}})
	if err != nil {
		return nil, err
	}
	out, err := p.Run(w...)
	if err != nil {
		return nil, fmt.Errorf("rounding the weights: %w", err)
	}
	free(w)
	return out, nil
}

// served hands use the weight at a place in the layout as it is served, f32 where factors change it; it is gone when use returns.
func (t *Trainer) served(at int, use func(*tensors.Tensor) error) error {
	j := slices.Index(t.changed, at)
	if j < 0 {
		return use(t.weights[at])
	}
	p, err := t.program(t.mergeSpec(j))
	if err != nil {
		return err
	}
	out, err := p.Run(t.weights[at], t.adapter.Factors[2*j], t.adapter.Factors[2*j+1])
	if err != nil {
		return fmt.Errorf("adding the factors of LoRA to %s: %w", t.layout[at].Name, err)
	}
	defer free(out)
	return use(out[0])
}

// mergeSpec adds a matrix and the product of its factors.
func (t *Trainer) mergeSpec(changed int) device.Spec {
	s, factors := t.layout[t.changed[changed]], t.trained[2*changed:2*changed+2]
	one := []model.TensorSpec{s}
	all := join(paramsAs(t.config.DType(), "w", one, -1), params("f", factors, -1))
	for i, name := range []string{"w", "a", "b"} {
		all[i].Name = name // those of all layers are one program
	}
	return device.Spec{Name: fmt.Sprintf("train_merge_%dx%d", s.Dims[0], s.Dims[1]), Params: all, Build: func(in []*Node) []*Node {
		scale := t.adapter.Alpha / float64(t.adapter.Rank)
		return []*Node{kernels.LowRank{A: in[1], B: MulScalar(in[2], scale)}.AddedTo(in[0])}
	}}
}

// whole are the weights that a checkpoint with an adapter stands for, as they are served, for training that goes on otherwise. Its tensors are freed.
func (l Loss) whole(d *device.Device, content checkpoint.Content) (*model.Weights, error) {
	a := content.Adapter
	c := Default(1)
	c.LoRA = LoRA{Rank: a.Rank, Alpha: a.Alpha}
	if content.Weights.Tensors[0].DType() == dtypes.BFloat16 {
		c.Compute = BF16
	}
	t := &Trainer{device: d, config: c, loss: l, model: content.Weights.Config, layout: model.Layout(content.Weights.Config), programs: map[string]*device.Program{},
		weights: content.Weights.Tensors, m: content.M, v: content.V, adapter: a}
	t.cos, t.sin = llama.RopeTables(t.model, t.model.MaxPositions)
	defer t.Close()
	var err error
	if t.changed, _, t.trained, err = a.Specs(t.model); err != nil {
		return nil, err
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t.SnapshotAs(c.DType())
}
