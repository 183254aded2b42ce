package device

import (
	"testing"

	"astro/internal/device/stablehlo"
)

func TestCustomCallText(t *testing.T) {
	one := Signature{Params: []stablehlo.Param{{Name: "a", Type: "tensor<2x3xf32>"}}, Results: "tensor<2x3xf32>"}
	two := Signature{Params: append(one.Params, stablehlo.Param{Name: "b", Type: "tensor<i32>"}), Results: "(tensor<i32>, tensor<2x3xf32>)"}
	attributes := map[string]any{"n": int32(-1), "eps": float32(1), "at": int64(1) << 40}
	for _, c := range []struct {
		name string
		got  string
		want string
	}{
		{"one result", CustomCall(one, "f_v1", nil, map[int]int{0: 0}), `    %r = "stablehlo.custom_call"(%a) {call_target_name = "f_v1", api_version = 4 : i32, backend_config = {}, has_side_effect = false, output_operand_aliases = [#stablehlo.output_operand_alias<output_tuple_indices = [], operand_index = 0, operand_tuple_indices = []>]} : (tensor<2x3xf32>) -> (tensor<2x3xf32>)
    "stablehlo.return"(%r) : (tensor<2x3xf32>) -> ()
`},
		{"two results", CustomCall(two, "g_v2", attributes, map[int]int{1: 0}), `    %r:2 = "stablehlo.custom_call"(%a, %b) {call_target_name = "g_v2", api_version = 4 : i32, backend_config = {at = 1099511627776 : i64, eps = 0x3F800000 : f32, n = -1 : i32}, has_side_effect = false, output_operand_aliases = [#stablehlo.output_operand_alias<output_tuple_indices = [1], operand_index = 0, operand_tuple_indices = []>]} : (tensor<2x3xf32>, tensor<i32>) -> (tensor<i32>, tensor<2x3xf32>)
    "stablehlo.return"(%r#0, %r#1) : (tensor<i32>, tensor<2x3xf32>) -> ()
`},
		{"room", CustomCallWithRoom(one, "h_v1", nil, nil, "tensor<9xf32>"), `    %r:2 = "stablehlo.custom_call"(%a) {call_target_name = "h_v1", api_version = 4 : i32, backend_config = {}, has_side_effect = false, output_operand_aliases = []} : (tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<9xf32>)
    "stablehlo.return"(%r#0) : (tensor<2x3xf32>) -> ()
`},
	} {
		if c.got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, c.got, c.want)
		}
	}
	panics(t, "is a int", func() { CustomCall(one, "f", map[string]any{"n": 1}, nil) })
	panics(t, "attribute", func() { CustomCall(one, "f", map[string]any{"N": int32(1)}, nil) })
	panics(t, "two of one type", func() { CustomCall(two, "f", nil, map[int]int{0: 0}) })
	panics(t, "two of one type", func() { CustomCall(two, "f", nil, map[int]int{2: 0}) })
}
