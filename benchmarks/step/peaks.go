package step

import (
	"fmt"
	"math"
	"time"

	"astro/internal/device"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Rates are what a device can do in a second; 0 = not known.
type Rates struct {
	BytesPerSecond float64 `json:"bytes_per_s,omitempty"` // of memory, read and written together
	FLOPsPerSecond float64 `json:"flops_per_s,omitempty"` // of products
}

// Peaks are a device's rates: those that its maker publishes, and those of a plain copy and a plain product on it.
type Peaks struct {
	Published   Rates  `json:"published,omitzero"`
	Measured    Rates  `json:"measured,omitzero"`
	ProductOf   string `json:"product_of,omitempty"`   // dtype of the measured product
	ProductSide int    `json:"product_side,omitempty"` // rows and columns of its matrices
	CopyBytes   int64  `json:"copied_bytes,omitempty"` // of the array
}

// Share is a fraction of Peaks; 0 = not known.
type Share struct {
	Published float64 `json:"published,omitempty"`
	Measured  float64 `json:"measured,omitempty"`
}

// Shares says what part of the rates work done in so many seconds used.
func (p Peaks) Shares(w Work, seconds float64) (ofBandwidth, ofFLOPs Share) {
	of := func(amount int64, rate float64) float64 {
		if rate == 0 {
			return 0
		}
		return float64(amount) / seconds / rate
	}
	return Share{of(w.Bytes, p.Published.BytesPerSecond), of(w.Bytes, p.Measured.BytesPerSecond)},
		Share{of(w.FLOPs, p.Published.FLOPsPerSecond), of(w.FLOPs, p.Measured.FLOPsPerSecond)}
}

// published are rates by the name that NVIDIA's tool gives a card: memory, and dense bf16 on tensor cores without sparsity. Sources:
// NVIDIA's data sheets of the H100 (SXM column: 3.35 TB/s; 1,979 TFLOPS with sparsity, half of that without), of the H200 (SXM: 4.8 TB/s,
// the same processor) and of the A100 (80GB SXM: 2,039 GB/s, 312 TFLOPS without sparsity).
var published = map[string]Rates{
	"NVIDIA H100 80GB HBM3": {3.35e12, 989e12},
	"NVIDIA H200":           {4.8e12, 989e12},
	"NVIDIA A100-SXM4-80GB": {2.039e12, 312e12},
}

// Published gives a card's rates by its name; nothing for one that is not known.
func Published(name string) Rates { return published[name] }

// Name is a type of weights as flags give it.
func Name(dtype dtypes.DType) string {
	switch dtype {
	case dtypes.Float32:
		return "f32"
	case dtypes.BFloat16:
		return "bf16"
	}
	return dtype.String()
}

// peakSizes are large enough that caches hold nothing and dispatch counts for nothing, and small enough for the backend.
func peakSizes(kind device.Kind) (copyElements, side int) {
	switch kind {
	case device.XLACUDA:
		return 1 << 28, 8192
	case device.XLACPU:
		return 1 << 26, 1536
	}
	return 1 << 23, 512
}

// rounds and repeats: the best of so many rounds counts, in each of which a program runs so often before the host waits for it.
const (
	peakRounds = 3
	gpuRepeats = 10
)

// MeasurePeaks fills in the measured rates: an f32 array negated in place, which reads and writes it, and the product of two square matrices,
// of dtype on a GPU; elsewhere of f32, in which processors compute whatever the weights are. It frees what it took.
func MeasurePeaks(d *device.Device, dtype dtypes.DType) (Peaks, error) {
	if d.Kind() != device.XLACUDA {
		dtype = dtypes.Float32
	}
	elements, side := peakSizes(d.Kind())
	return measurePeaks(d, dtype, elements, side)
}

func measurePeaks(d *device.Device, dtype dtypes.DType, elements, side int) (Peaks, error) {
	p := Peaks{ProductOf: Name(dtype), ProductSide: side, CopyBytes: 4 * int64(elements)}
	seconds, err := timePeak(d, negateSpec(elements), fillSpec(dtypes.Float32, elements))
	if err != nil {
		return p, fmt.Errorf("measure the memory's rate: %w", err)
	}
	p.Measured.BytesPerSecond = 2 * float64(p.CopyBytes) / seconds
	if seconds, err = timePeak(d, squareSpec(dtype, side), fillSpec(dtype, side, side)); err != nil {
		return p, fmt.Errorf("measure the rate of products: %w", err)
	}
	p.Measured.FLOPsPerSecond = 2 * math.Pow(float64(side), 3) / seconds
	return p, nil
}

// timePeak is the time of one run of a program of one argument. Its first result takes the argument's place if it is updated, its second is
// a number to wait for.
func timePeak(d *device.Device, s, fill device.Spec) (seconds float64, err error) {
	x, err := runOnce(d, fill)
	if err != nil {
		return 0, err
	}
	defer func() { x.FinalizeAll() }() // x may be donated already if a run failed
	p, err := d.Compile(s)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	repeats, best := 1, math.Inf(1)
	if d.Kind() == device.XLACUDA {
		repeats = gpuRepeats
	}
	for range peakRounds + 1 { // the first warms up
		start := time.Now()
		for i := range repeats {
			out, err := p.Run(x)
			if err != nil {
				return 0, err
			}
			if i == repeats-1 {
				tensors.MustCopyFlatData[float32](out[1])
			}
			out[1].MustFinalizeAll()
			if s.Params[0].Alias < 0 {
				out[0].MustFinalizeAll()
				continue
			}
			x = out[0]
		}
		best = min(best, time.Since(start).Seconds()/float64(repeats))
	}
	return best, nil
}

func runOnce(d *device.Device, s device.Spec) (*tensors.Tensor, error) {
	p, err := d.Compile(s)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	seed := tensors.FromFlatDataAndDimensions([]float32{.7}, 1)
	defer seed.MustFinalizeAll()
	out, err := p.Run(seed)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// fillSpec makes an array of unlike numbers, of either sign: a processor that multiplies zeros needs less power, and so is faster.
func fillSpec(dtype dtypes.DType, dims ...int) device.Spec {
	seed := device.Param{Name: "seed", Shape: shapes.Make(dtypes.Float32, 1), Alias: -1}
	return device.Spec{Name: fmt.Sprintf("peak_fill_%s_%d", dtype, dims[0]), Params: []device.Param{seed}, Build: func(in []*Node) []*Node {
		shape := shapes.Make(dtypes.Int32, dims...)
		x := ConvertDType(Iota(in[0].Graph(), shape, len(dims)-1), dtypes.Float32)
		if len(dims) > 1 {
			x = Add(x, MulScalar(ConvertDType(Iota(in[0].Graph(), shape, 0), dtypes.Float32), 1.7))
		}
		return []*Node{ConvertDType(Sin(Mul(x, BroadcastToDims(Reshape(in[0]), dims...))), dtype)}
	}}
}

func negateSpec(elements int) device.Spec {
	x := device.Param{Name: "x", Shape: shapes.Make(dtypes.Float32, elements), Alias: 0}
	return device.Spec{Name: "peak_copy", Params: []device.Param{x}, Build: func(in []*Node) []*Node {
		y := Neg(in[0])
		return []*Node{y, SliceAxis(y, 0, AxisRange(0, 1))}
	}}
}

// squareSpec multiplies a matrix with itself.
func squareSpec(dtype dtypes.DType, side int) device.Spec {
	x := device.Param{Name: "x", Shape: shapes.Make(dtype, side, side), Alias: -1}
	return device.Spec{Name: "peak_product", Params: []device.Param{x}, Build: func(in []*Node) []*Node {
		y := kernels.Product(in[0], in[0])
		first := Slice(y, AxisRange(0, 1), AxisRange(0, 1))
		return []*Node{y, ConvertDType(Reshape(first, 1), dtypes.Float32)}
	}}
}
