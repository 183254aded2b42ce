package trainer

import (
	"errors"
	"fmt"
	"math"

	"astro/internal/device"
	"astro/internal/invariant"
	"astro/model"
	"astro/model/llama"
	"astro/training/checkpoint"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Trainer changes one set of weights step by step. It is not safe for concurrent use.
//
// Invariant: weights hold one valid tensor per entry of layout, m and v one per entry of trained, except after an update failed on the
// device; then the Trainer is broken and every method says so. With an adapter the weights never change.
type Trainer struct {
	device   *device.Device
	config   Config
	loss     Loss
	model    model.Config
	layout   []model.TensorSpec // of the weights
	trained  []model.TensorSpec // what AdamW changes: the layout, or an adapter's factors
	changed  []int              // places in the layout that an adapter changes
	programs map[string]*device.Program

	weights, m, v []*tensors.Tensor
	adapter       *checkpoint.Adapter // nil = full training
	cos, sin      *tensors.Tensor
	step          int
	broken        error
}

// New makes a Trainer for NextToken that owns the weights, which must be f32 or of c.DType() and must not be used elsewhere from now on.
// Moments are zero.
func New(d *device.Device, w *model.Weights, c Config) (*Trainer, error) {
	return NextToken().NewTrainer(d, w, c)
}

// NewTrainer is New for this Loss.
func (l Loss) NewTrainer(d *device.Device, w *model.Weights, c Config) (*Trainer, error) {
	t, err := l.empty(d, w.Config, c)
	if err != nil {
		return nil, fmt.Errorf("cannot train: %w", err)
	}
	dtype := w.Tensors[0].DType()
	if want := c.DType(); dtype != want && dtype != dtypes.Float32 {
		return nil, fmt.Errorf("cannot train: the weights are %s; load the model as %s", dtype, want)
	}
	if err := checkShapes("weights", w.Tensors, t.layout, dtype); err != nil {
		return nil, fmt.Errorf("cannot train: %w", err)
	}
	if t.weights, err = t.rounded(w.Tensors); err != nil {
		return nil, fmt.Errorf("cannot train: %w", err)
	}
	if t.adapter != nil {
		draw(t.adapter, t.trained)
	}
	for _, s := range t.trained {
		t.m = append(t.m, tensors.FromShape(s.Shape(dtypes.Float32)))
		t.v = append(t.v, tensors.FromShape(s.Shape(dtypes.Float32)))
	}
	t.cos, t.sin = llama.RopeTables(t.model, t.model.MaxPositions)
	return t, nil
}

// empty is a Trainer without tensors.
func (l Loss) empty(d *device.Device, m model.Config, c Config) (t *Trainer, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	t = &Trainer{device: d, config: c, loss: l, model: m, layout: model.Layout(m), programs: map[string]*device.Program{}}
	if t.adapter, err = c.LoRA.adapter(m); err != nil {
		return nil, err
	}
	if t.adapter != nil {
		t.changed, _, t.trained, err = t.adapter.Specs(m)
		return t, err
	}
	t.trained = t.layout
	return t, nil
}

// Device is where it trains.
func (t *Trainer) Device() *device.Device { return t.device }

// Compute is what it multiplies in.
func (t *Trainer) Compute() Compute { return t.config.Compute }

// Stats is what one Step tells.
type Stats struct {
	Loss     float64 // before the update; of NextToken the weighted mean of the negative log-probabilities, in nats
	GradNorm float64 // global norm before clipping
	LR       float64
	Weight   float64   // sum of the loss weights
	Counted  int       // tokens that have one
	Values   []float64 // by Loss.Stats
}

// finite says whether the numbers that decide an update are.
func (s Stats) finite() error {
	if sum := s.Loss + s.GradNorm; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("the loss is %g and the norm of its gradient %g; a lower learning rate may help", s.Loss, s.GradNorm)
	}
	return nil
}

// statsOf counts what batches bring to the loss.
func (t *Trainer) statsOf(batches []*Batch) (Stats, error) {
	stats := Stats{LR: t.config.LR(t.step)}
	for _, b := range batches {
		b.check(len(t.loss.Columns))
		stats.Weight += b.Weight()
		stats.Counted += b.Counted()
	}
	if stats.Counted == 0 {
		return stats, errors.New("cannot make a training step: no token has a weight in the loss")
	}
	return stats, nil
}

// Step makes one update from the batches together: one batch is one fused program, more are accumulated. The loss is the
// weighted mean over all of them. A loss that is not finite is an error, and of one batch it is the end of the Trainer.
func (t *Trainer) Step(batches ...*Batch) (Stats, error) {
	if t.broken != nil {
		return Stats{}, t.broken
	}
	if len(batches) == 1 {
		return t.fused(batches[0])
	}
	g, err := t.gradient(0, batches)
	if err != nil {
		return Stats{}, err
	}
	defer g.Free()
	if err := g.Stats.finite(); err != nil {
		return g.Stats, fmt.Errorf("training step %d: %w", t.step, err)
	}
	return g.Stats, t.Apply(g)
}

// check says which tensor is not what the layout wants.
func (t *Trainer) check() error {
	const f32 = dtypes.Float32
	err := errors.Join(checkShapes("weights", t.weights, t.layout, t.config.DType()), checkShapes("m", t.m, t.trained, f32), checkShapes("v", t.v, t.trained, f32))
	if t.adapter == nil {
		return err
	}
	return errors.Join(err, checkShapes("factors", t.adapter.Factors, t.trained, f32))
}

// checkShapes says which tensor is not what its spec wants, with matrices of a dtype.
func checkShapes(what string, list []*tensors.Tensor, want []model.TensorSpec, dtype dtypes.DType) error {
	if len(list) != len(want) {
		return fmt.Errorf("%s are %d tensors; want %d", what, len(list), len(want))
	}
	for i, s := range want {
		if err := list[i].CheckValid(); err != nil {
			return fmt.Errorf("%s of %s: %w", what, s.Name, err)
		}
		if got, want := list[i].Shape(), s.Shape(dtype); !got.Equal(want) {
			return fmt.Errorf("%s of %s is %s; want %s", what, s.Name, got, want)
		}
	}
	return nil
}

// hyper is what programs need to know of the next update.
func (t *Trainer) hyper(norm float64) hyper {
	n := float64(t.step + 1)
	return hyper{norm: norm, lr: t.config.LR(t.step),
		correction: [2]float64{1 - math.Pow(t.config.Beta1, n), 1 - math.Pow(t.config.Beta2, n)}}
}

// fused runs a step of one batch.
func (t *Trainer) fused(b *Batch) (Stats, error) {
	stats, err := t.statsOf([]*Batch{b})
	if err != nil {
		return Stats{}, err
	}
	p, err := t.program(t.stepSpec(b.Rows, b.Tokens))
	if err != nil {
		return Stats{}, err
	}
	args := append(t.batchArgs(b), tensorOf(t.hyper(1/stats.Weight)))
	defer free(t.ownBatch(args))
	rest, err := t.replace(p, concat(t.frozen(), args))
	if err != nil {
		return stats, fmt.Errorf("training step %d: %w", t.step, err)
	}
	defer free(rest)
	t.read(&stats, scalars(rest[0]), rest[1])
	if err := stats.finite(); err != nil {
		t.lose(err)
		return stats, fmt.Errorf("training step %d: %w", t.step, t.broken)
	}
	t.step++
	invariant.Check(t.check)
	return stats, nil
}

// read fills in what programs told.
func (t *Trainer) read(s *Stats, told []float64, norm *tensors.Tensor) {
	s.Loss, s.Values, s.GradNorm = told[0], t.loss.values(told, s.Counted), scalars(norm)[0]
}

// replace runs a program that takes what is trained, m, v and args, keeps what it makes of the first three and returns the rest.
func (t *Trainer) replace(p *device.Program, args []*tensors.Tensor) (rest []*tensors.Tensor, err error) {
	n := len(t.trained)
	out, err := p.Run(concat(*t.params(), t.m, t.v, args)...)
	if err != nil {
		*t.params(), t.m, t.v = nil, nil, nil // they may be donated already
		t.lose(err)
		return nil, t.broken
	}
	*t.params(), t.m, t.v = out[:n:n], out[n:2*n:2*n], out[2*n:3*n:3*n]
	return out[3*n:], nil
}

// params are the tensors that are trained.
func (t *Trainer) params() *[]*tensors.Tensor {
	if t.adapter != nil {
		return &t.adapter.Factors
	}
	return &t.weights
}

// frozen are the weights where a program takes them beside what is trained: not changed ever.
func (t *Trainer) frozen() []*tensors.Tensor {
	if t.adapter == nil {
		return nil
	}
	return t.weights
}

// lose makes the Trainer one that only says what happened to it.
func (t *Trainer) lose(why error) {
	t.broken = fmt.Errorf("the trainer's weights are lost after a failed step; go on from a checkpoint: %w", why)
}

// Score gives the log-probability of each of a batch's targets, [rows*tokens]; those of padding mean nothing.
func (t *Trainer) Score(b *Batch) ([]float32, error) {
	return t.scored(t.scoreSpec(b.Rows, b.Tokens), b, func() []*tensors.Tensor { return concat(*t.params(), t.frozen()) })
}

// ScoreUnder is Score under other weights of the same shapes, f32 or of what is computed in; they stay the caller's.
func (t *Trainer) ScoreUnder(w *model.Weights, b *Batch) ([]float32, error) {
	dtype := w.Tensors[0].DType()
	if dtype != dtypes.Float32 && dtype != t.config.Compute.DType() {
		return nil, fmt.Errorf("cannot score under weights of %s: want f32, or %s, which is computed in", dtype, t.config.Compute)
	}
	return t.scored(t.scoreUnderSpec(dtype, b.Rows, b.Tokens), b, func() []*tensors.Tensor { return w.Tensors })
}

// scored runs a program that scores.
func (t *Trainer) scored(s device.Spec, b *Batch, weights func() []*tensors.Tensor) ([]float32, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	b.check(len(t.loss.Columns))
	p, err := t.program(s)
	if err != nil {
		return nil, err
	}
	args := t.batchArgs(b)
	defer free(t.ownBatch(args))
	out, err := p.Run(concat(weights(), args)...)
	if err != nil {
		return nil, fmt.Errorf("scoring %d tokens: %w", len(b.Targets), err)
	}
	defer free(out)
	return tensors.MustCopyFlatData[float32](out[0]), nil
}

// Snapshot copies the weights on the device, as they are served; the caller owns the copy.
func (t *Trainer) Snapshot() (*model.Weights, error) { return t.SnapshotAs(dtypes.Float32) }

// SnapshotAs is Snapshot with the matrices as dtype (Float32 or BFloat16); norms stay f32, as model.Load has them.
func (t *Trainer) SnapshotAs(dtype dtypes.DType) (*model.Weights, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	p, err := t.program(t.copySpec(dtype))
	if err != nil {
		return nil, err
	}
	out, err := p.Run(concat(*t.params(), t.frozen())...)
	if err != nil {
		return nil, fmt.Errorf("copying the weights: %w", err)
	}
	return &model.Weights{Config: t.model, Tensors: out}, nil
}

// Model is the shape of what is trained.
func (t *Trainer) Model() model.Config { return t.model }

// Steps is the number of updates made so far.
func (t *Trainer) Steps() int { return t.step }

// Close frees the Trainer's memory and programs. It must not be used afterwards.
func (t *Trainer) Close() {
	for _, p := range t.programs {
		p.Close()
	}
	free(concat([]*tensors.Tensor{t.cos, t.sin}, t.weights, t.m, t.v))
	if t.adapter != nil {
		free(t.adapter.Factors)
	}
	t.weights, t.m, t.v, t.adapter = nil, nil, nil, nil
	t.broken = errors.New("the trainer is closed")
}

// batchArgs is a batch as the programs take it. The rope tables at its end are the Trainer's, the other tensors are the caller's to
// free.
func (t *Trainer) batchArgs(b *Batch) []*tensors.Tensor {
	i32 := func(x []int32) *tensors.Tensor { return tensors.FromFlatDataAndDimensions(x, b.Rows, b.Tokens) }
	args := []*tensors.Tensor{i32(b.Inputs), i32(b.Targets), i32(b.Positions), i32(b.Segments)}
	for _, x := range append([][]float32{b.Weights}, b.Columns...) {
		args = append(args, tensors.FromFlatDataAndDimensions(x, b.Rows, b.Tokens))
	}
	return append(args, t.cos, t.sin)
}

// ownBatch is what must be freed of batchArgs and what was appended to it.
func (t *Trainer) ownBatch(args []*tensors.Tensor) []*tensors.Tensor {
	n := fixedBatchNodes + len(t.loss.Columns)
	return concat(args[:n], args[n+2:])
}

func tensorOf(h hyper) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(h.values(), numHyper)
}

func scalars(t *tensors.Tensor) []float64 {
	var all []float64
	for _, x := range tensors.MustCopyFlatData[float32](t) {
		all = append(all, float64(x))
	}
	return all
}

func concat(lists ...[]*tensors.Tensor) []*tensors.Tensor {
	var all []*tensors.Tensor
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func free(list []*tensors.Tensor) {
	for _, t := range list {
		t.MustFinalizeAll()
	}
}
