package kernels

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"astro/internal/device"
)

// fmha is a call of cuDNN's attention as XLA's CUDA compiler knows it, in the form in which JAX 0.11 writes it: its operands are 16-bit, kv heads
// are not copied, and no score is stored. The statistics are the natural logarithms of the sums of the exponentials of scaled scores.
type fmha struct {
	backward bool
	mask     string // CAUSAL: not later than the query; PADDING: below a length; PADDING_CAUSAL: both
	segments int    // at most so many in a row, side by side; 1 = a row is one
	byHead   bool   // operands are [rows, heads, tokens, headDim] and not [rows, tokens, heads, headDim]
	operands []int  // the parameters that are cuDNN's operands, in its order
}

// The operands are, forwards: q, k, v, lengths of queries and of keys where there are any, and where segments lie side by side the elements at
// which they begin in q and in k. Backwards: q, k, v, statistics, the adjoint, the result, then lengths and beginnings.
func init() {
	for name, c := range map[string]fmha{
		"attention_causal":          {mask: "CAUSAL", segments: 1, operands: []int{0, 1, 2}},
		"attention_causal_backward": {backward: true, mask: "CAUSAL", segments: 1, operands: []int{0, 1, 2, 4, 5, 3}},
		"attention_prefix":          {mask: "PADDING", segments: 1, byHead: true, operands: []int{0, 1, 2, 3, 4}},
		"attention_packed":          {mask: "PADDING_CAUSAL", operands: []int{0, 1, 2, 5, 5, 6, 7}},
		"attention_packed_backward": {backward: true, mask: "PADDING_CAUSAL", operands: []int{0, 1, 2, 9, 10, 8, 5, 5, 6, 7}},
	} {
		i := device.Implementation{Body: c.body}
		switch name {
		case "attention_causal":
			i.Backward, i.SeesOutputs = causalBackward, true
		case "attention_packed":
			i.Backward, i.SeesOutputs = packedBackward, true
		}
		device.Implement(name, i)
	}
}

const (
	maxFusedHeadDim  = 128 // that every GPU's cuDNN takes
	fusedHeadDimStep = 8
)

// fusedTypes are the element types that cuDNN takes, as StableHLO and as its configuration call them.
var fusedTypes = map[string]string{"bf16": "BF16", "f16": "F16"}

func (c fmha) body(kind device.Kind, f device.Signature) string {
	q := tensorOf(f.Params[0].Type)
	headDim := q.dims[3]
	if kind != device.XLACUDA || fusedTypes[q.dtype] == "" || headDim > maxFusedHeadDim || headDim%fusedHeadDimStep != 0 {
		return ""
	}
	if c.segments == 0 {
		c.segments = tensorOf(f.Params[5].Type).dims[1]
	}
	return c.text(f)
}

// text is the call, and what turns its results into ours: they come by head.
func (c fmha) text(f device.Signature) string {
	var operands, types, layouts []string
	for _, i := range c.operands {
		p := f.Params[i]
		operands, types, layouts = append(operands, "%"+p.Name), append(types, p.Type), append(layouts, rowMajor(len(tensorOf(p.Type).dims)))
	}
	var raw, rawLayouts, after, returned []string
	results := f.ResultTypes()
	for i, text := range results {
		t, value := tensorOf(text), fmt.Sprintf("%%r#%d", i)
		switch {
		case len(t.dims) != 4 || c.byHead:
			raw, rawLayouts = append(raw, text), append(rawLayouts, rowMajor(len(t.dims)))
		default:
			t.dims[1], t.dims[2] = t.dims[2], t.dims[1]
			raw, rawLayouts = append(raw, t.String()), append(rawLayouts, layout(3, 1, 2, 0))
			after = append(after, fmt.Sprintf("    %%t%d = \"stablehlo.transpose\"(%s) {permutation = array<i64: 0, 2, 1, 3>} : (%s) -> %s\n", i, value, t, text))
			value = fmt.Sprintf("%%t%d", i)
		}
		returned = append(returned, value)
	}
	raw, rawLayouts = append(raw, "tensor<0xui8>"), append(rawLayouts, rowMajor(1)) // cuDNN's workspace, sized by the compiler
	target := "__cudnn$fmhaSoftmax"
	if c.backward {
		target += "Backward"
	}
	return fmt.Sprintf(`    %%r:%d = "stablehlo.custom_call"(%s) {call_target_name = %q, api_version = 2 : i32, backend_config = %s, has_side_effect = false, operand_layouts = [%s], result_layouts = [%s]} : (%s) -> (%s)
%s    "stablehlo.return"(%s) : (%s) -> ()
`, len(raw), strings.Join(operands, ", "), target, strconv.Quote(c.configuration(f)), strings.Join(layouts, ", "), strings.Join(rawLayouts, ", "),
		strings.Join(types, ", "), strings.Join(raw, ", "), strings.Join(after, ""), strings.Join(returned, ", "), strings.Join(results, ", "))
}

// configuration is XLA's GpuBackendConfig of the call, in JSON. Numbers of 64 bits are strings there.
func (c fmha) configuration(f device.Signature) string {
	q, k := tensorOf(f.Params[0].Type), tensorOf(f.Params[1].Type)
	rows, tokens, heads, headDim, keys := q.dims[0], q.dims[1], q.dims[2], q.dims[3], k.dims[1]
	if c.byHead {
		tokens, heads, keys = q.dims[2], q.dims[1], k.dims[2]
	}
	type object = map[string]any
	config := object{
		"algorithm":  object{"algo_id": "0", "math_type": "TENSOR_OP_MATH", "tuning_knobs": object{"17": "1", "24": "0"}, "is_cudnn_frontend": true, "workspace_size": "0"},
		"fmha_scale": scaleOf(headDim),
		"intermediate_tensor_shape": object{
			"element_type": fusedTypes[q.dtype], "dimensions": words(rows, heads, tokens, keys), "tuple_shapes": []any{},
			"layout": object{"dim_level_types": []any{}, "dim_unique": []any{}, "dim_ordered": []any{}, "minor_to_major": words(3, 2, 1, 0), "tiles": []any{},
				"element_size_in_bits": "0", "memory_space": "0", "index_primitive_type": "PRIMITIVE_TYPE_INVALID",
				"pointer_primitive_type": "PRIMITIVE_TYPE_INVALID", "dynamic_shape_metadata_prefix_bytes": "0"},
			"is_dynamic_dimension": []bool{false, false, false, false},
		},
		"is_flash_attention": true, "mask_type": c.mask, "dropout_rate": 0, "seed": 42, "sliding_window_length": 0,
		"max_seg_per_batch": c.segments, "is_paged_attention": false,
	}
	for name, p := range c.products() {
		config[name] = object{"lhs_contracting_dimensions": words(p.left), "rhs_contracting_dimensions": words(p.right),
			"lhs_batch_dimensions": words(p.leftBatch...), "rhs_batch_dimensions": words(p.rightBatch...)}
	}
	text, err := json.Marshal(object{"operation_queue_id": "0", "cudnn_fmha_backend_config": config})
	if err != nil {
		panic(fmt.Sprintf("BUG: the configuration of an attention has no JSON: %v", err))
	}
	return string(text)
}

// contraction is a product of two operands with two batch axes.
type contraction struct {
	left, right           int
	leftBatch, rightBatch []int
}

// products are the two that attention is made of, or the four of its gradient: of queries, keys, values and results, whose token axis is 1 or,
// by head, 2; and of scores [rows, heads, tokens, keys].
func (c fmha) products() map[string]contraction {
	token, operand, scores := 1, []int{0, 2}, []int{0, 1}
	if c.byHead {
		token, operand = 2, []int{0, 1}
	}
	if !c.backward {
		return map[string]contraction{
			"bmm1_dot_dimension_numbers": {3, 3, operand, operand},
			"bmm2_dot_dimension_numbers": {3, token, scores, operand},
		}
	}
	return map[string]contraction{
		"bmm1_grad_gemm1_dot_dimension_numbers": {2, token, scores, operand},
		"bmm1_grad_gemm2_dot_dimension_numbers": {3, token, scores, operand},
		"bmm2_grad_gemm1_dot_dimension_numbers": {2, token, scores, operand},
		"bmm2_grad_gemm2_dot_dimension_numbers": {3, 3, operand, operand},
	}
}

// tensor is a type of StableHLO.
type tensor struct {
	dims  []int
	dtype string
}

func tensorOf(text string) (t tensor) {
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, "tensor<"), ">"), "x")
	for _, p := range parts[:len(parts)-1] {
		n, err := strconv.Atoi(p)
		if err != nil {
			panic(fmt.Sprintf("BUG: attention got a parameter of type %s; want a tensor", text))
		}
		t.dims = append(t.dims, n)
	}
	t.dtype = parts[len(parts)-1]
	return t
}

// String is the type as StableHLO has it.
func (t tensor) String() string {
	return "tensor<" + strings.Join(append(words(t.dims...), t.dtype), "x") + ">"
}

func words(numbers ...int) []string {
	list := make([]string, len(numbers))
	for i, n := range numbers {
		list[i] = strconv.Itoa(n)
	}
	return list
}

// layout is an order of axes, the one whose neighbours are side by side first.
func layout(axes ...int) string {
	inner := strings.Join(words(axes...), ", ")
	if len(axes) > 1 {
		inner = "[" + inner + "]"
	}
	return fmt.Sprintf("dense<%s> : tensor<%dxindex>", inner, len(axes))
}

func rowMajor(rank int) string {
	axes := make([]int, rank)
	for i := range axes {
		axes[i] = i
	}
	slices.Reverse(axes)
	return layout(axes...)
}
