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

// A spanned is attention of queries to spans of the keys of their row.
type spanned struct {
	rows, tokens, keys, kvHeads, group, headDim int
	q, k, v, goal                               []float32
	first, last                                 []int32
}

// randomSpans has lengths below a block, of one, and that no block divides.
func randomSpans(r *rand.Rand) spanned {
	s := spanned{rows: 1 + r.IntN(2), tokens: pick(r, 3, 256, 300), kvHeads: 1 + r.IntN(2), group: pick(r, 1, 2, 3), headDim: pick(r, 8, 16)}
	s.keys = s.tokens + pick(r, 0, 0, 70)
	s.q, s.goal = normal(r, s.rows*s.tokens*s.kvHeads*s.group*s.headDim), normal(r, s.rows*s.tokens*s.kvHeads*s.group*s.headDim)
	s.k, s.v = normal(r, s.rows*s.keys*s.kvHeads*s.headDim), normal(r, s.rows*s.keys*s.kvHeads*s.headDim)
	for range s.rows * s.tokens {
		a, b := r.IntN(s.keys), r.IntN(s.keys)
		s.first, s.last = append(s.first, int32(min(a, b))), append(s.last, int32(max(a, b)))
	}
	return s
}

func (s spanned) params() ([]device.Param, []*tensors.Tensor) {
	q, k, spans := []int{s.rows, s.tokens, s.kvHeads * s.group, s.headDim}, []int{s.rows, s.keys, s.kvHeads, s.headDim}, []int{s.rows, s.tokens}
	f32 := func(name string, dims []int) device.Param {
		return device.Param{Name: name, Shape: shapes.Make(dtypes.Float32, dims...), Alias: -1}
	}
	i32 := func(name string) device.Param {
		return device.Param{Name: name, Shape: shapes.Make(dtypes.Int32, spans...), Alias: -1}
	}
	return []device.Param{f32("q", q), f32("k", k), f32("v", k), f32("goal", q), i32("first"), i32("last")}, []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(s.q, q...), tensors.FromFlatDataAndDimensions(s.k, k...), tensors.FromFlatDataAndDimensions(s.v, k...),
		tensors.FromFlatDataAndDimensions(s.goal, q...), tensors.FromFlatDataAndDimensions(s.first, spans...), tensors.FromFlatDataAndDimensions(s.last, spans...)}
}

type attention func(q, k, v, first, last *graph.Node, scale float64) *graph.Node

// withGradients gives the values and the gradients to q, k and v of their product with goal, as one vector.
func withGradients(attend attention, in []*graph.Node, scale float64) *graph.Node {
	mixed := attend(in[0], in[1], in[2], in[4], in[5], scale)
	out := append([]*graph.Node{mixed}, graph.Gradient(graph.ReduceAllSum(graph.Mul(mixed, in[3])), in[0], in[1], in[2])...)
	for i, o := range out {
		out[i] = graph.Reshape(o, -1)
	}
	return graph.Concatenate(out, 0)
}

// spans compares attention with all scores at once with the definition, and attention in blocks with the former, gradients too.
func spans(t *testing.T, d *device.Device, r *rand.Rand) {
	s := randomSpans(r)
	params, args := s.params()
	const scale = .4
	attend := func(name string, a attention) []float32 {
		return run(t, d, device.Spec{Name: name, Params: params, Build: func(in []*graph.Node) []*graph.Node {
			return []*graph.Node{withGradients(a, in, scale)}
		}}, args...)
	}
	whole := attend("whole", kernels.AttentionWhole)
	compare(t, whole, s.attend(scale), 1e-5)
	if d.Kind() != device.Go { // it cannot differentiate loops
		inBlocks := attend("blocks", kernels.AttentionInBlocks)
		n := len(s.q)
		compare(t, inBlocks[:n], whole[:n], 1e-5)
		compareRelative(t, inBlocks[n:], whole[n:], 1e-4)
	}
}

// attend is the definition, in f64.
func (s spanned) attend(scale float64) []float32 {
	heads := s.kvHeads * s.group
	out := make([]float32, len(s.q))
	for at := 0; at < len(out); at += s.headDim {
		query, h := at/s.headDim/heads, at/s.headDim%heads
		key := func(p int) int { return ((query/s.tokens*s.keys+p)*s.kvHeads + h/s.group) * s.headDim }
		weights, total := make([]float64, s.keys), 0.0
		for p := int(s.first[query]); p <= int(s.last[query]); p++ {
			dot := 0.0
			for i := range s.headDim {
				dot += float64(s.q[at+i]) * float64(s.k[key(p)+i])
			}
			weights[p] = math.Exp(dot * scale)
			total += weights[p]
		}
		for i := range s.headDim {
			sum := 0.0
			for p := int(s.first[query]); p <= int(s.last[query]); p++ {
				sum += weights[p] / total * float64(s.v[key(p)+i])
			}
			out[at+i] = float32(sum)
		}
	}
	return out
}

// compareRelative bounds differences by the largest value.
func compareRelative(t *testing.T, got, want []float32, tolerance float64) {
	t.Helper()
	most := 0.0
	for _, w := range want {
		most = max(most, math.Abs(float64(w)))
	}
	compare(t, got, want, tolerance*most)
}

// segmentSpans: a token sees its segment up to itself.
func segmentSpans(t *testing.T, d *device.Device) {
	segments := []int32{1, 1, 2, 2, 2, 3, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7}
	got := run(t, d, device.Spec{Name: "spans", Params: []device.Param{{Name: "segments", Shape: shapes.Make(dtypes.Int32, 2, 8), Alias: -1}},
		Build: func(in []*graph.Node) []*graph.Node {
			first, last := kernels.SegmentSpans(in[0])
			return []*graph.Node{graph.ConvertDType(graph.Concatenate([]*graph.Node{first, last}, 0), dtypes.Float32)}
		}}, tensors.FromFlatDataAndDimensions(segments, 2, 8))
	want := []float32{0, 0, 2, 2, 2, 5, 6, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v; want %v", got, want)
	}
}
