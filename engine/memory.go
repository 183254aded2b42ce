package engine

import (
	"fmt"

	"astro/kernels"
	"astro/model"
	"astro/model/llama"

	"github.com/gomlx/compute/dtypes"
)

// MemoryRequest is what PlanMemory plans for. All sizes are bytes unless the name says otherwise.
type MemoryRequest struct {
	Model       model.Config
	Devices     int           // that the model is spread over; what follows is of each of them; 0 = 1
	WeightBytes int           // of one weight on the device: 4 or 2; with Int8 of those that are no matrices
	Int8        bool          // matrices are of 8 bits (model.Weights.Int8), on one device
	KVBytes     int           // of one key or value element in the pools: 4 or 2
	WeightSets  int           // policies on the device at one time: 1, or 2 if policies are swapped while requests run
	Packed      *llama.Packed // what each set is packed to besides; nil = the graph runs on the weights themselves

	Available        int64 // what this process may use on the device
	MaxSlots         int
	StepTokens       int
	PageTokens       int
	MaxContextTokens int
	GatherBytes      int64 // bound on what one layer's attention gathers (RunnerConfig.GatherBytes)
	WindowBytes      int64 // bound on windows: on go RunnerConfig.GatherBytes, elsewhere 0
	LogitsBytes      int64 // bound on the logits of a scored batch (RunnerConfig.LogitsBytes)

	Pages     int     // wanted size of the pools; 0 = as much as is useful within PoolShare
	PoolShare float64 // of what weights and activations leave, at most this fraction goes to the pools; 0 = 0.8
}

// MemoryPlan says where the bytes go, before any is allocated: those of each device, where there are several.
type MemoryPlan struct {
	Devices     int
	Available   int64
	Weights     int64 // all sets
	Activations int64 // an upper estimate of what a step needs besides weights and pools
	PageBytes   int64 // one page in the K and V pools of every layer
	KVPages     int
	KV          int64 // KVPages * PageBytes
	KVTokens    int   // positions that the pools hold
	WeightCount int64 // parameters of the whole model
}

// Needed is the sum of the plan.
func (p MemoryPlan) Needed() int64 { return p.Weights + p.Activations + p.KV }

// String is the plan on one line, for the start of a server.
func (p MemoryPlan) String() string {
	each := ""
	if p.Devices > 1 {
		each = fmt.Sprintf(" on each of %d devices", p.Devices)
	}
	return fmt.Sprintf("memory%s: %s of %s: weights %s (%d parameters), KV pages %s (%d pages, %d tokens), activations %s",
		each, mebibytes(p.Needed()), mebibytes(p.Available), mebibytes(p.Weights), p.WeightCount, mebibytes(p.KV), p.KVPages, p.KVTokens,
		mebibytes(p.Activations))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// MemoryError says that a machine is too small; Hint names what would help.
type MemoryError struct {
	Needed, Available int64
	Hint              string
}

// Error implements error with both numbers.
func (e *MemoryError) Error() string {
	return fmt.Sprintf("not enough memory: %s needed, %s available; %s", mebibytes(e.Needed), mebibytes(e.Available), e.Hint)
}

// PlanMemory divides a device's memory. It allocates nothing and looks at nothing but its argument. The error is a
// *MemoryError where the machine is too small for the weights, a step and one Sequence at full length.
func PlanMemory(r MemoryRequest) (MemoryPlan, error) {
	if err := r.validate(); err != nil {
		return MemoryPlan{}, err
	}
	p := MemoryPlan{Devices: max(1, r.Devices), Available: r.Available, WeightCount: countWeights(r.Model)}
	c, err := r.Model.Share(p.Devices)
	if err != nil {
		return MemoryPlan{}, fmt.Errorf("plan memory: %w", err)
	}
	p.Activations = r.activations(c)
	p.Weights = (r.tensorBytes(c) + r.packedBytes() + r.turnedBytes(p.Devices)) * int64(r.WeightSets)
	p.PageBytes = int64(c.Layers) * 2 * int64(c.KVHeads*c.HeadDim) * int64(r.PageTokens) * int64(r.KVBytes)
	if r.Packed != nil {
		p.PageBytes = int64(r.Packed.PageBytes())
	}
	perContext := (r.MaxContextTokens + r.PageTokens - 1) / r.PageTokens
	p.setPages(r.choosePages(p, perContext), r.PageTokens)
	if p.KVPages < perContext {
		p.setPages(perContext, r.PageTokens)
	}
	if p.Needed() > r.Available {
		return p, &MemoryError{Needed: p.Needed(), Available: r.Available,
			Hint: "use a smaller model, a 16-bit dtype, weights of 8 bits, a shorter context, fewer slots or fewer pages"}
	}
	return p, nil
}

// tensorBytes are the weights that c, what one device has, is loaded with.
func (r *MemoryRequest) tensorBytes(c model.Config) int64 {
	if r.Int8 {
		return c.Int8Bytes(r.dtype())
	}
	return countWeights(c) * int64(r.WeightBytes)
}

func (r *MemoryRequest) dtype() dtypes.DType {
	if r.WeightBytes == 2 {
		return dtypes.BFloat16
	}
	return dtypes.Float32
}

// widenedBytes is the largest matrix of 8 bits in the type of what it is multiplied with: it is loaded so, and where a compiler finds a product of
// many rows faster that way, it is widened before.
func (r *MemoryRequest) widenedBytes() (most int64) {
	if !r.Int8 {
		return 0
	}
	for _, s := range r.Model.Int8Shapes(r.dtype()) {
		if s.DType == dtypes.Int8 {
			most = max(most, int64(s.Size()*r.WeightBytes))
		}
	}
	return most
}

func (r *MemoryRequest) packedBytes() int64 {
	if r.Packed == nil {
		return 0
	}
	return int64(r.Packed.BlobBytes())
}

// turnedBytes is the head of a tied model, which the graph has beside the embedding, turned.
func (r *MemoryRequest) turnedBytes(devices int) int64 {
	if r.Packed != nil || r.Int8 || !r.Model.TiedHead {
		return 0
	}
	return int64(r.Model.Vocab) * int64(r.Model.Hidden) * int64(r.WeightBytes) / int64(devices)
}

func (r *MemoryRequest) validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"WeightBytes", r.WeightBytes}, {"KVBytes", r.KVBytes}, {"WeightSets", r.WeightSets}, {"MaxSlots", r.MaxSlots},
		{"StepTokens", r.StepTokens}, {"PageTokens", r.PageTokens}, {"MaxContextTokens", r.MaxContextTokens},
	} {
		if f.value < 1 {
			return fmt.Errorf("plan memory: %s must be at least 1, got %d", f.name, f.value)
		}
	}
	if other := r.Packed != nil || r.Int8; r.Devices < 0 || other && r.Devices > 1 || r.Packed != nil && r.Int8 {
		return fmt.Errorf("plan memory: %d devices, packed %v, 8 bits %v; want none below 0, one where weights are packed or of 8 bits, and not both of these",
			r.Devices, r.Packed != nil, r.Int8)
	}
	if r.Pages < 0 || r.PoolShare < 0 || r.PoolShare > 1 || r.GatherBytes < 0 || r.WindowBytes < 0 || r.LogitsBytes < 0 {
		return fmt.Errorf("plan memory: Pages %d, PoolShare %v, GatherBytes %d, WindowBytes %d, LogitsBytes %d; want none below 0 and a share of at most 1",
			r.Pages, r.PoolShare, r.GatherBytes, r.WindowBytes, r.LogitsBytes)
	}
	return nil
}

func (p *MemoryPlan) setPages(pages, pageTokens int) {
	p.KVPages, p.KV, p.KVTokens = pages, int64(pages)*p.PageBytes, pages*pageTokens
}

// choosePages is what was asked for, or else every slot at full length, which is all that running Sequences can use, within
// the pools' share of what is left.
func (r *MemoryRequest) choosePages(p MemoryPlan, perContext int) int {
	if r.Pages > 0 {
		return r.Pages
	}
	share := r.PoolShare
	if share == 0 {
		share = 0.8
	}
	left := float64(max(0, r.Available-p.Weights-p.Activations)) * share
	return min(r.MaxSlots*perContext, int(left/float64(p.PageBytes)))
}

// activations is an upper estimate: f32 intermediates of one layer for a full step (a compiler reuses them from layer to
// layer), a widened matrix, what attention gathers, at least a whole context, the scores of a chunk and their shares as far as they are not made in blocks, windows,
// and the logits with four copies for sampling. c is what one device has; logits are whole on each.
func (r *MemoryRequest) activations(c model.Config) int64 {
	perToken := int64(4*c.Hidden + 2*(c.Heads+2*c.KVHeads)*c.HeadDim + 3*c.FFN)
	context := int64(r.MaxContextTokens) * int64(2*c.KVHeads*c.HeadDim) * 4
	gather := min(max(r.GatherBytes, context), int64(r.MaxSlots)*context) + 2*kernels.ScoreBytes(r.StepTokens, c.Heads, r.MaxContextTokens)
	if r.Packed != nil {
		gather = 0 // native attention reads pages where they are, and makes no scores in memory
	}
	gather += min(r.WindowBytes, int64(r.MaxSlots)*int64(r.MaxContextTokens)*int64(2*c.Layers*c.KVHeads*c.HeadDim*r.KVBytes))
	logits := max(r.LogitsBytes, int64(r.MaxSlots)*int64(r.Model.Vocab)*4)
	return 4*perToken*int64(r.StepTokens) + gather + 5*logits + r.widenedBytes()
}

// countWeights is the number of a model's parameters.
func countWeights(c model.Config) int64 {
	var sum int64
	for _, spec := range model.Layout(c) {
		n := int64(1)
		for _, d := range spec.Dims {
			n *= int64(d)
		}
		sum += n
	}
	return sum
}
