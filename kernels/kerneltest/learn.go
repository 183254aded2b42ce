package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"astro/internal/device"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// RunLearning runs the part of the suite that is training's.
func RunLearning(t *testing.T, d *device.Device) {
	t.Run("Dense", func(t *testing.T) { each(t, 6, func(t *testing.T, r *rand.Rand) { denseGradients(t, d, r) }) })
	t.Run("ChangedDense", func(t *testing.T) { each(t, 6, func(t *testing.T, r *rand.Rand) { changedGradients(t, d, r) }) })
	t.Run("NormRows", func(t *testing.T) { each(t, 5, func(t *testing.T, r *rand.Rand) { norms(t, d, r) }) })
	t.Run("GateRows", func(t *testing.T) { each(t, 5, func(t *testing.T, r *rand.Rand) { gates(t, d, r) }) })
	t.Run("SelfAttention", func(t *testing.T) { each(t, 8, func(t *testing.T, r *rand.Rand) { selfAttention(t, d, r) }) })
}

// A matrix is an operand with its shape.
type matrix struct {
	dims   []int
	values any // a flat slice
}

func randomMatrix(r *rand.Rand, dims ...int) matrix {
	return matrix{dims, normal(r, shapes.Make(dtypes.Float32, dims...).Size())}
}

func (m matrix) f32() []float32 { return m.values.([]float32) }

// learned gives what build makes of the first operands and the gradients to so many of them of its product with the last operand, goal,
// each compared with what is wanted.
func learned(t *testing.T, d *device.Device, operands []matrix, to int, build func(in []*graph.Node) *graph.Node, want ...[]float32) {
	t.Helper()
	spec := device.Spec{Name: "learned", Build: func(in []*graph.Node) []*graph.Node {
		y := build(in)
		out := append([]*graph.Node{y}, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[len(in)-1])), in[:to]...)...)
		for i, o := range out {
			out[i] = graph.Reshape(o, -1)
		}
		return []*graph.Node{graph.Concatenate(out, 0)}
	}}
	var args []*tensors.Tensor
	for i, m := range operands {
		dtype, x := dtypes.Float32, (*tensors.Tensor)(nil)
		switch v := m.values.(type) {
		case []int32:
			dtype, x = dtypes.Int32, tensors.FromFlatDataAndDimensions(v, m.dims...)
		case []float32:
			x = tensors.FromFlatDataAndDimensions(v, m.dims...)
		}
		args = append(args, x)
		spec.Params = append(spec.Params, device.Param{Name: fmt.Sprintf("p%d", i), Shape: shapes.Make(dtype, m.dims...), Alias: -1})
	}
	got := run(t, d, spec, args...)
	for _, w := range want {
		compareRelative(t, got[:len(w)], w, 1e-4)
		got = got[len(w):]
	}
	if len(got) != 0 {
		t.Fatalf("BUG: %d numbers are not compared", len(got))
	}
}

// manyRows have one tile and several, with and without a rest.
func manyRows(r *rand.Rand) int { return pick(r, 7, 96, 131, 300) }

func denseGradients(t *testing.T, d *device.Device, r *rand.Rand) {
	rows, in, out := manyRows(r), pick(r, 1, 31, 96, 130), pick(r, 1, 32, 70, 129)
	x, w, goal := randomMatrix(r, rows, in), randomMatrix(r, in, out), randomMatrix(r, rows, out)
	y, dx, dw := make([]float32, rows*out), make([]float32, rows*in), make([]float32, in*out)
	for i := range rows {
		for k := range in {
			for j := range out {
				y[i*out+j] += x.f32()[i*in+k] * w.f32()[k*out+j]
				dx[i*in+k] += goal.f32()[i*out+j] * w.f32()[k*out+j]
				dw[k*out+j] += goal.f32()[i*out+j] * x.f32()[i*in+k]
			}
		}
	}
	learned(t, d, []matrix{x, w, goal}, 2, func(in []*graph.Node) *graph.Node { return kernels.Dense(in[0], in[1]) }, y, dx, dw)
}

func changedGradients(t *testing.T, d *device.Device, r *rand.Rand) {
	rows, in, out, rank := manyRows(r), pick(r, 1, 31, 96, 130), pick(r, 1, 32, 70, 129), pick(r, 1, 8, 16, 17, 40)
	dims := [][]int{{rows, in}, {in, out}, {in, rank}, {rank, out}, {rows, out}} // x, w, a, b, the goal
	var m [5]matrix
	var values [5][]float32
	for i := range m {
		m[i] = randomMatrix(r, dims[i]...)
		values[i] = m[i].f32()
	}
	want := lowRankByHand(dims, values, false)
	learned(t, d, []matrix{m[0], m[2], m[3], m[1], m[4]}, 3, func(in []*graph.Node) *graph.Node {
		return kernels.Matrix{Values: in[3], Change: kernels.LowRank{A: in[1], B: in[2]}}.Dense(in[0])
	}, want[:]...)
}

func norms(t *testing.T, d *device.Device, r *rand.Rand) {
	const eps = 1e-3
	rows, n := manyRows(r), pick(r, 1, 30, 64, 100)
	x, scale, goal := randomMatrix(r, rows, n), randomMatrix(r, n), randomMatrix(r, rows, n)
	y, dx, dScale, slopes := make([]float32, rows*n), make([]float32, rows*n), make([]float32, n), make([]float64, n)
	for i := range rows {
		row, g := x.f32()[i*n:][:n], goal.f32()[i*n:][:n]
		square, dot := 0.0, 0.0
		for j, v := range row {
			square += float64(v) * float64(v)
			dot += float64(g[j]) * float64(scale.f32()[j]) * float64(v)
		}
		by := 1 / math.Sqrt(square/float64(n)+eps)
		for j, v := range row {
			y[i*n+j] = float32(float64(v) * by * float64(scale.f32()[j]))
			dx[i*n+j] = float32(by * (float64(g[j])*float64(scale.f32()[j]) - float64(v)*dot*by*by/float64(n)))
			slopes[j] += float64(g[j]) * float64(v) * by
		}
	}
	for j, s := range slopes {
		dScale[j] = float32(s)
	}
	learned(t, d, []matrix{x, scale, goal}, 2, func(in []*graph.Node) *graph.Node { return kernels.NormRows(in[0], in[1], eps) }, y, dx, dScale)
}

func gates(t *testing.T, d *device.Device, r *rand.Rand) {
	rows, n := manyRows(r), pick(r, 1, 16, 35, 96)
	h, goal := randomMatrix(r, rows, 2*n), randomMatrix(r, rows, n)
	y, dh := make([]float32, rows*n), make([]float32, rows*2*n)
	for i := range rows {
		for j := range n {
			gate, up, slope := &h.f32()[i*2*n+j], float64(h.f32()[i*2*n+n+j]), float64(goal.f32()[i*n+j])
			*gate *= 8 // up to where the sigmoid is flat
			g := float64(*gate)
			s := 1 / (1 + math.Exp(-g))
			y[i*n+j] = float32(g * s * up)
			dh[i*2*n+j], dh[i*2*n+n+j] = float32(slope*up*s*(1+g*(1-s))), float32(slope*g*s)
		}
	}
	learned(t, d, []matrix{h, goal}, 1, func(in []*graph.Node) *graph.Node { return kernels.GateRows(in[0]) }, y, dh)
}

// A packedRows is attention within segments.
type packedRows struct {
	rows, tokens, kvHeads, group, headDim int
	segments, positions                   []int32
	qkv, cos, sin, goal                   matrix
}

// randomPacked has segments of one token, of whole rows, and padding behind some.
func randomPacked(r *rand.Rand) packedRows {
	p := packedRows{rows: pick(r, 1, 3), tokens: pick(r, 9, 50, 101, 160), kvHeads: pick(r, 1, 2), group: pick(r, 1, 2, 3), headDim: pick(r, 8, 16, 32, 48)}
	for range p.rows {
		segment, end, begin := int32(1), 1+r.IntN(p.tokens), 0
		for i := range p.tokens {
			if i == end {
				segment, begin, end = segment+1, i, i+1+r.IntN(p.tokens)
				if r.IntN(3) == 0 {
					segment, end = 0, p.tokens
				}
			}
			p.segments, p.positions = append(p.segments, segment), append(p.positions, int32(i-begin))
		}
	}
	heads, n := p.kvHeads*p.group, p.rows*p.tokens
	p.qkv, p.goal = randomMatrix(r, n, (heads+2*p.kvHeads)*p.headDim), randomMatrix(r, n, heads*p.headDim)
	p.cos, p.sin = randomMatrix(r, p.tokens, p.headDim/2), randomMatrix(r, p.tokens, p.headDim/2)
	for i, a := range p.cos.f32() {
		p.cos.f32()[i], p.sin.f32()[i] = float32(math.Cos(float64(a))), float32(math.Sin(float64(a)))
	}
	return p
}

func selfAttention(t *testing.T, d *device.Device, r *rand.Rand) {
	p := randomPacked(r)
	ids := []int{p.rows, p.tokens}
	mixed, slopes := p.byHand()
	learned(t, d, []matrix{p.qkv, {ids, p.segments}, {ids, p.positions}, p.cos, p.sin, p.goal}, 1, func(in []*graph.Node) *graph.Node {
		return kernels.SelfAttention(in[0], in[1], in[2], in[3], in[4], p.kvHeads*p.group)
	}, mixed, slopes)
}

// head is a head of token i, turned by its position's angles if it is one of queries or keys, in the direction sign.
func (p packedRows) head(x []float32, i, head int, sign float64) []float64 {
	half, width, heads := p.headDim/2, p.qkv.dims[1], p.kvHeads*p.group
	h, out := x[i*width+head*p.headDim:][:p.headDim], make([]float64, p.headDim)
	for j := range half {
		at := int(p.positions[i])*half + j
		c, s := float64(p.cos.f32()[at]), sign*float64(p.sin.f32()[at])
		if head >= heads+p.kvHeads {
			c, s = 1, 0
		}
		out[j], out[j+half] = float64(h[j])*c-float64(h[j+half])*s, float64(h[j+half])*c+float64(h[j])*s
	}
	return out
}

// byHand is the definition, and its gradient, query by query in f64.
func (p packedRows) byHand() (mixed, slopes []float32) {
	heads := p.kvHeads * p.group
	mixed, turned := make([]float32, len(p.goal.f32())), make([]float32, len(p.qkv.f32()))
	for i := range p.rows * p.tokens {
		for h := 0; h < heads && p.segments[i] != 0; h++ {
			p.query(i, h, mixed, turned)
		}
	}
	slopes = make([]float32, len(turned))
	for i := range p.rows * p.tokens {
		for h := range heads + 2*p.kvHeads {
			for j, v := range p.head(turned, i, h, -1) {
				slopes[i*p.qkv.dims[1]+h*p.headDim+j] = float32(v)
			}
		}
	}
	return mixed, slopes
}

// query is head h of token i: it sets its mixed values and adds to the gradients of what is turned.
func (p packedRows) query(i, h int, mixed, turned []float32) {
	heads, width, scale := p.kvHeads*p.group, p.qkv.dims[1], 1/math.Sqrt(float64(p.headDim))
	key, value := heads+h/p.group, heads+p.kvHeads+h/p.group
	first := i
	for first%p.tokens != 0 && p.segments[first-1] == p.segments[i] {
		first--
	}
	q, goal := p.head(p.qkv.f32(), i, h, 1), p.goal.f32()[(i*heads+h)*p.headDim:][:p.headDim]
	shares, total := make([]float64, i+1-first), 0.0
	for s := range shares {
		shares[s] = math.Exp(dot(q, p.head(p.qkv.f32(), first+s, key, 1)) * scale)
		total += shares[s]
	}
	aims, mean := make([]float64, len(shares)), 0.0 // of each share, and of all
	for s := range shares {
		shares[s] /= total
		for j, v := range p.head(p.qkv.f32(), first+s, value, 1) {
			mixed[(i*heads+h)*p.headDim+j] += float32(shares[s] * v)
			aims[s] += v * float64(goal[j])
		}
		mean += shares[s] * aims[s]
	}
	for s, share := range shares {
		k := p.head(p.qkv.f32(), first+s, key, 1)
		for j := range p.headDim {
			turned[i*width+h*p.headDim+j] += float32(share * (aims[s] - mean) * scale * k[j])
			turned[(first+s)*width+key*p.headDim+j] += float32(share * (aims[s] - mean) * scale * q[j])
			turned[(first+s)*width+value*p.headDim+j] += float32(share * float64(goal[j]))
		}
	}
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
