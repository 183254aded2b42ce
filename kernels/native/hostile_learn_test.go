package native

import (
	"strings"
	"testing"

	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/shapes"
)

// The operands of training's functions as they must be: two rows of five tokens, three heads of 8 that share one of keys and values.
const learnRows, learnTokens, learnN, learnHidden = 2, 5, 10, 24

func learnOperations() map[string]*operation {
	square := func(rows, columns int) operand { return f32s(rows, columns) }
	qkv, mixed, sums, table := square(learnN, 40), square(learnN, learnHidden), square(learnN, 3), square(6, 4)
	segments := int32s([]int32{1, 1, 2, 2, 0, 1, 1, 1, 1, 1}, learnRows, learnTokens)
	positions := int32s([]int32{0, 1, 0, 1, 0, 0, 1, 2, 3, 4}, learnRows, learnTokens)
	results := func(all ...operand) (of []shapes.Shape) {
		for _, o := range all {
			of = append(of, o.shape)
		}
		return of
	}
	eps, scale := map[string]any{"eps": float32(1e-5)}, map[string]any{"scale": float32(.35)}
	x, w, y, a, b := square(learnN, 24), square(24, 33), square(learnN, 33), square(24, 3), square(3, 33)
	return map[string]*operation{
		"dense":              {target: TargetDense, operands: []operand{x, w}, results: results(y)},
		"dense_to_x":         {target: TargetDenseToX, operands: []operand{y, w}, results: results(x)},
		"dense_to_w":         {target: TargetDenseToW, operands: []operand{x, y}, results: results(w)},
		"changed":            {target: TargetChanged, operands: []operand{x, w, a, b}, results: results(y)},
		"changed_to_x":       {target: TargetChangedToX, operands: []operand{y, w, a, b}, results: results(x)},
		"changed_to_change":  {target: TargetChangedToChange, operands: []operand{x, a, b, y}, results: results(a, b)},
		"norm_rows":          {target: TargetNormRows, attributes: eps, operands: []operand{x, f32s(24)}, results: results(x)},
		"norm_rows_backward": {target: TargetNormRowsBackward, attributes: eps, operands: []operand{x, f32s(24), x}, results: results(x, f32s(24))},
		"gate_rows":          {target: TargetGateRows, operands: []operand{x}, results: results(square(learnN, 12))},
		"gate_rows_backward": {target: TargetGateRowsBackward, operands: []operand{x, square(learnN, 12)}, results: results(x)},
		"segments":           {target: TargetSegments, attributes: scale, operands: []operand{qkv, segments, positions, table, table}, results: results(mixed, sums)},
		"segments_backward": {target: TargetSegmentsBackward, attributes: scale, operands: []operand{qkv, segments, positions, table, table, mixed, sums, mixed},
			results: results(qkv)},
	}
}

// Whatever is wrong with a call is an error that says what.
func TestHostileOperandsOfTrainingAreRefused(t *testing.T) {
	d := devicetest.Native(t)
	position := func(v int32) func(*operation) {
		return func(o *operation) {
			o.operands[2] = int32s([]int32{0, 1, 0, v, 0, 0, 1, 2, 3, 4}, learnRows, learnTokens)
		}
	}
	const shape = "an operand has another shape"
	for i, c := range []hostileCase{
		{"dense", setShape(1, 23, 33), shape}, {"dense", setResult(11, 33), shape}, {"dense", setResult(10, 34), shape}, {"dense", setShape(0, 240), shape},
		{"dense_to_x", setShape(1, 24, 32), shape}, {"dense_to_x", setResult(10, 25), shape},
		{"dense_to_w", setShape(1, 9, 33), shape}, {"dense_to_w", setResult(25, 33), shape},
		{"dense", func(o *operation) { o.operands = o.operands[:1] }, "wrong number of operands"},
		{"changed", setShape(1, 23, 33), shape}, {"changed", setShape(2, 23, 3), shape}, {"changed", setShape(3, 4, 33), shape}, {"changed", setShape(3, 3, 32), shape}, {"changed", setResult(10, 34), shape},
		{"changed", setShape(2, 24, 0), shape}, {"changed", func(o *operation) { o.operands = o.operands[:2] }, "wrong number of operands"},
		{"changed_to_x", setShape(1, 24, 32), shape}, {"changed_to_x", setShape(2, 25, 3), shape}, {"changed_to_x", setShape(3, 2, 33), shape}, {"changed_to_x", setResult(10, 25), shape},
		{"changed_to_change", setShape(1, 25, 3), shape}, {"changed_to_change", setShape(2, 3, 32), shape}, {"changed_to_change", setShape(3, 9, 33), shape}, {"changed_to_change", setResult(24, 4), shape},
		{"changed_to_change", func(o *operation) { o.results[1] = o.results[0] }, shape},
		{"norm_rows", setShape(1, 23), shape}, {"norm_rows", setResult(10, 25), shape}, {"norm_rows", without("eps"), "an attribute is missing"},
		{"norm_rows_backward", setShape(2, 9, 24), shape}, {"norm_rows_backward", setShape(1, 25), shape}, {"norm_rows_backward", without("eps"), "an attribute is missing"},
		{"norm_rows_backward", func(o *operation) { o.results[1] = o.results[0] }, shape},
		{"gate_rows", setShape(0, 10, 25), shape}, {"gate_rows", setResult(9, 12), shape},
		{"gate_rows_backward", setShape(0, 10, 25), shape}, {"gate_rows_backward", setShape(1, 9, 12), shape}, {"gate_rows_backward", setResult(10, 23), shape},
		{"segments", position(6), "a position is outside of the rope tables"}, {"segments", position(-1), "a position is outside of the rope tables"},
		{"segments", setShape(1, 5, 2), "segments or positions have another shape"}, {"segments", setShape(1, 10), "segments or positions have another shape"},
		{"segments", setShape(0, 9, 40), shape}, {"segments", setShape(4, 6, 5), shape}, {"segments", setShape(0, 10, 41), "the widths are no heads"},
		{"segments", setShape(0, 10, 24), "the widths are no heads"}, {"segments", setShape(0, 10, 16), "the widths are no heads"}, {"segments", setShape(0, 10, 56), "heads are not a multiple of kv heads"},
		{"segments", func(o *operation) { o.results[1] = shapes.Make(o.results[1].DType, learnN, 2) }, "the sums have another shape"},
		{"segments", setResult(9, 24), shape}, {"segments", without("scale"), "an attribute is missing"},
		{"segments", bothShapes(1, 2, 2, 6), "there are more or fewer rows than tokens"},
		{"segments_backward", setShape(7, 10, 16), shape}, {"segments_backward", setShape(6, 10, 2), "the sums have another shape"}, {"segments_backward", setResult(10, 41), shape},
		{"segments_backward", position(6), "a position is outside of the rope tables"},
	} {
		o := learnOperations()[c.operation]
		c.change(o)
		if _, err := o.run(t, d); err == nil || !strings.Contains(err.Error(), c.operation+": "+c.want) {
			t.Errorf("case %d, %s: got error %v; want %q", i, c.operation, err, c.operation+": "+c.want)
		}
	}
	for name, o := range learnOperations() {
		if _, err := o.run(t, d); err != nil {
			t.Errorf("%s with right operands: %v", name, err)
		}
	}
}

// bothShapes gives two operands of ids another shape.
func bothShapes(i, j int, dims ...int) func(*operation) {
	return func(o *operation) {
		setShape(i, dims...)(o)
		setShape(j, dims...)(o)
	}
}
