package trainer

import (
	"testing"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// The mean over an Example is that of its counted tokens alone, wherever it lies in its row and whatever else is there; the gradient of
// anything made of it reaches each of them.
func TestExampleMean(t *testing.T) {
	segments := []int32{1, 1, 1, 2, 2, 0, 0, 1, 1, 1, 1, 2, 2, 3} // two rows of seven
	counted := []bool{false, true, true, true, true, false, false, true, false, true, true, false, false, true}
	x, scale := make([]float32, len(segments)), make([]float32, len(segments))
	for i := range x {
		x[i], scale[i] = float32(i*i%11)-3, float32(i%4)+.5
	}
	const rows, tokens = 2, 7
	means, slopes := make([]float64, len(x)), make([]float64, len(x))
	for i := range x {
		same := func(j int) bool { return j/tokens == i/tokens && segments[j] == segments[i] }
		n := 0.0
		for j := range x {
			if same(j) && counted[j] {
				means[i], n = means[i]+float64(x[j]), n+1
			}
		}
		means[i] /= max(n, 1)
		for j := range x {
			if same(j) && counted[i] {
				slopes[i] += float64(scale[j]) / n
			}
		}
	}
	onEach(t, func(t *testing.T, d *device.Device) {
		got, gradient := exampleMeans(t, d, x, scale, tensors.FromFlatDataAndDimensions(segments, rows, tokens), tensors.FromFlatDataAndDimensions(counted, rows*tokens))
		for i := range x {
			if !near(float64(got[i]), means[i], 1e-5) || !near(float64(gradient[i]), slopes[i], 1e-5) {
				t.Errorf("token %d: got the mean %g and the gradient %g; want %g and %g", i, got[i], gradient[i], means[i], slopes[i])
			}
		}
	})
}

// exampleMeans runs ExampleMean and the gradient of its sum, weighed by scale.
func exampleMeans(t *testing.T, d *device.Device, x, scale []float32, segments, counted *tensors.Tensor) (means, gradient []float32) {
	t.Helper()
	line := shapes.Make(dtypes.Float32, len(x))
	params := []device.Param{{Name: "x", Shape: line, Alias: -1}, {Name: "scale", Shape: line, Alias: -1},
		{Name: "segments", Shape: segments.Shape(), Alias: -1}, {Name: "counted", Shape: counted.Shape(), Alias: -1}}
	p, err := d.Compile(device.Spec{Name: "example_mean", Params: params, Build: func(in []*Node) []*Node {
		mean := Tokens{Segments: in[2], Counted: in[3]}.ExampleMean(in[0])
		return []*Node{mean, Gradient(ReduceAllSum(Mul(mean, in[1])), in[0])[0]}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out, err := p.Run(tensors.FromFlatDataAndDimensions(x, len(x)), tensors.FromFlatDataAndDimensions(scale, len(x)), segments, counted)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[1])
}

// Place says where an Example lies, also when it began a new batch.
func TestPlace(t *testing.T) {
	p := NewPacker(2, 4)
	for i, want := range []int{0, 4, 2, 0} {
		n := []int{3, 4, 3, 4}[i] // tokens; one less is packed
		e := Example{Tokens: make([]int32, n), Weights: make([]float32, n)}
		for j := range e.Tokens {
			e.Tokens[j] = int32(10*i + j)
		}
		full, err := p.Add(e)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Place(); got != want || p.open.Targets[got] != int32(10*i+1) || (full != nil) != (i == 3) {
			t.Errorf("example %d is at %d, where the target is %d, after a full batch: %t; want %d", i, got, p.open.Targets[got], full != nil, want)
		}
	}
}
