package kernels

import (
	"fmt"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/kernels/cuda"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// What an H200 would run for attention: cuDNN's calls where operands are bf16, blocks where they are f32, and nowhere an array of all scores.
func TestAttentionForH200(t *testing.T) {
	d := devicetest.H200(t)
	param := func(name string, dtype dtypes.DType, dims ...int) device.Param {
		return device.Param{Name: name, Shape: shapes.Make(dtype, dims...), Alias: -1}
	}
	// A chunk of 4,096 tokens at the end of 16,384, of Llama 3.1 8B.
	const tokens, context, pageTokens, pages = 4096, 16384, 16, 2048
	for name, want := range map[dtypes.DType]int{dtypes.BFloat16: 2, dtypes.Float32: 0} {
		rows, pool := []int{1, tokens, 8, 128}, []int{pages, 8, pageTokens, 128}
		s := device.Spec{Name: "chunk_" + name.String(), Params: []device.Param{param("q", name, 1, tokens, 32, 128), param("newk", name, rows...),
			param("newv", name, rows...), param("k", name, pool...), param("v", name, pool...), param("table", dtypes.Int32, 1, context/pageTokens),
			param("positions", dtypes.Int32, 1, tokens)},
			Build: func(in []*Node) []*Node {
				return []*Node{ChunkAttention(in[0], in[1], in[2], in[3], in[4], in[5], in[6], .08)}
			}}
		checkAttention(t, d, s, 4*tokens*32*context, map[string]int{"__cudnn$fmhaSoftmax": want})
	}
	// A training row of 8,192 tokens, of Llama 3.2 1B.
	const row = 8192
	for name, want := range map[dtypes.DType]int{dtypes.BFloat16: 1, dtypes.Float32: 0} {
		s := device.Spec{Name: "row_" + name.String(), Params: []device.Param{param("q", name, 1, row, 32, 64), param("k", name, 1, row, 8, 64), param("v", name, 1, row, 8, 64),
			param("goal", name, 1, row, 32, 64), param("segments", dtypes.Int32, 1, row)},
			Build: func(in []*Node) []*Node {
				mixed := PackedAttention(in[0], in[1], in[2], PackedRows(in[4]), .125)
				return Gradient(ReduceAllSum(Mul(mixed, in[3])), in[0], in[1], in[2])
			}}
		checkAttention(t, d, s, 4*row*32*row, map[string]int{"__cudnn$fmhaSoftmax": want, "__cudnn$fmhaSoftmaxBackward": want})
	}
}

// The checks that a GPU must pass compile for one.
func TestChecksForH200(t *testing.T) {
	d := devicetest.H200(t)
	f32 := func(name string, dims ...int) device.Param {
		return device.Param{Name: name, Shape: shapes.Make(dtypes.Float32, dims...), Alias: -1}
	}
	q, k, pool := []int{checkRows, checkTokens, checkHeads, checkDim}, []int{checkRows, checkTokens, checkKV, checkDim}, []int{checkRows * checkPages, checkKV, checkPageTokens, checkDim}
	chunk := []int{checkRows, checkTokens / 2, checkKV, checkDim}
	whole := []device.Param{f32("q", q...), f32("k", k...), f32("v", k...), f32("goal", q...)}
	paged := []device.Param{f32("q", checkRows, checkTokens/2, checkHeads, checkDim), f32("newk", chunk...), f32("newv", chunk...), f32("k", pool...), f32("v", pool...)}
	decode := []device.Param{f32("q", checkRows, 1, checkHeads, checkDim), f32("k", pool...), f32("v", pool...)}
	checks := map[string]device.Check{
		"causal": attentionCheck(nil, func(q, k, v, _ *Node) *Node { return causal(q, k, v)[0] }, func(s *Node) *Node { return ZerosLike(s) }),
		"packed": attentionCheck(nil, func(q, k, v, s *Node) *Node { return packedAttention(q, k, v, PackedRows(s)) }, func(s *Node) *Node { return s }),
		"prefix": prefixCheck(),
		"decode": decodeCheck(),
	}
	for name, want := range map[string]map[string]int{"causal": {"__cudnn$fmhaSoftmax": 1, "__cudnn$fmhaSoftmaxBackward": 1},
		"packed": {"__cudnn$fmhaSoftmax": 1, "__cudnn$fmhaSoftmaxBackward": 1}, "prefix": {"__cudnn$fmhaSoftmax": 2}, "decode": {cuda.TargetDecode: 1}} {
		params := map[string][]device.Param{"causal": whole, "packed": whole, "prefix": paged, "decode": decode}[name]
		checkAttention(t, d, device.Spec{Name: "check_" + name, Params: params, Build: checks[name].Build}, 1<<30, want)
		checkAttention(t, d, device.Spec{Name: "check_" + name + "_reference", Params: params, Build: checks[name].Want}, 1<<30, nil)
	}
}

// checkAttention compiles a program, holds it to a sixteenth of all scores and to its calls of cuDNN.
func checkAttention(t *testing.T, d *device.Device, s device.Spec, scoreBytes int64, calls map[string]int) {
	t.Helper()
	p, err := d.Compile(s)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	defer p.Close()
	m, err := p.Optimized()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, i := range m.Instructions {
		if i.Opcode == "custom-call" {
			found[i.Target]++
		}
		if i.InMemory && i.Shape.Fields == nil && i.Shape.Bytes() > scoreBytes/16 {
			t.Errorf("%s makes %d bytes: %s in %s", s.Name, i.Shape.Bytes(), i.Name, i.Computation)
		}
	}
	temporary := p.Info().TemporaryBytes
	t.Logf("%-28s %7.1f MiB temporary, %7.1f MiB are all scores; calls %v", s.Name, float64(temporary)/(1<<20), float64(scoreBytes)/(1<<20), fmt.Sprint(found))
	if temporary > scoreBytes/16 {
		t.Errorf("%s needs %d bytes of temporary memory; want at most a sixteenth of all scores", s.Name, temporary)
	}
	for target, want := range calls {
		if found[target] != want {
			t.Errorf("%s calls %s %d times; want %d", s.Name, target, found[target], want)
		}
	}
}
