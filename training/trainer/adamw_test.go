package trainer

import (
	"math"
	"testing"

	"astro/internal/device"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// reference is AdamW in plain Go, in f64.
func (c Config) reference(p, m, v, g []float64, h hyper, decays bool) {
	for i := range p {
		if decays {
			p[i] -= h.lr * c.WeightDecay * p[i]
		}
		m[i] = c.Beta1*m[i] + (1-c.Beta1)*g[i]
		v[i] = c.Beta2*v[i] + (1-c.Beta2)*g[i]*g[i]
		p[i] -= h.lr * (m[i] / h.correction[0]) / (math.Sqrt(v[i]/h.correction[1]) + c.Eps)
	}
}

// One update of the graph is the reference's, with and without decay, from moments that are not zero.
func TestAdamW(t *testing.T) {
	c, h := Default(10), hyper{norm: 1, lr: .01, correction: [2]float64{.271, .1426}}
	c.WeightDecay = .1
	start := [4][]float32{{1, -2, 3, .5}, {.1, 0, -.2, 1}, {.01, .5, .02, 2}, {.3, -4, 0, 1e-3}} // p, m, v, g
	shape := shapes.Make(dtypes.Float32, 4)
	onEach(t, func(t *testing.T, d *device.Device) {
		for _, decays := range []bool{true, false} {
			params := []device.Param{{Name: "p", Shape: shape, Alias: 0}, {Name: "m", Shape: shape, Alias: 1},
				{Name: "v", Shape: shape, Alias: 2}, {Name: "g", Shape: shape, Alias: -1}, hyperParam()}
			program, err := d.Compile(device.Spec{Name: "adamw", Params: params, Build: func(in []*graph.Node) []*graph.Node {
				p, m, v := c.adamW(in[0], in[1], in[2], in[3], in[4], decays)
				return []*graph.Node{p, m, v}
			}})
			if err != nil {
				t.Fatal(err)
			}
			args, want := []*tensors.Tensor{}, [4][]float64{}
			for i, values := range start {
				args = append(args, tensors.FromFlatDataAndDimensions(values, 4))
				for _, x := range values {
					want[i] = append(want[i], float64(x))
				}
			}
			out, err := program.Run(append(args, tensorOf(h))...)
			if err != nil {
				t.Fatal(err)
			}
			c.reference(want[0], want[1], want[2], want[3], h, decays)
			for i, got := range modeltest.Values(out) {
				for j := range got {
					if !near(float64(got[j]), want[i][j], 1e-6) {
						t.Errorf("decay %v: output %d, element %d: got %g; want %g", decays, i, j, got[j], want[i][j])
					}
				}
			}
		}
	})
}

// Gradients above the limit are scaled down to it, those below stay.
func TestClip(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device) {
		shape := shapes.Make(dtypes.Float32, 2)
		params := []device.Param{{Name: "a", Shape: shape, Alias: -1}, {Name: "b", Shape: shape, Alias: -1}}
		program, err := d.Compile(device.Spec{Name: "clip", Params: params, Build: func(in []*graph.Node) []*graph.Node {
			norm := globalNorm(in)
			return append(clip(in, norm, 2.5), clip(in, norm, 6)...)
		}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := program.Run(tensors.FromFlatDataAndDimensions([]float32{3, 0}, 2), tensors.FromFlatDataAndDimensions([]float32{0, 4}, 2))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range [][]float32{{1.5, 0}, {0, 2}, {3, 0}, {0, 4}} { // the norm is 5
			for j, got := range modeltest.Values(out)[i] {
				if !near(float64(got), float64(want[j]), 1e-5) {
					t.Errorf("output %d: got %g; want %g", i, got, want[j])
				}
			}
		}
	})
}
