package sampler

import (
	"fmt"

	"astro/internal/device"
	"astro/kernels/native"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// variant is a form of the drawing program: it has the parts that some row of its batch needs. Temperature and min-p cost nothing
// and are always there.
type variant struct {
	rows       int // of the logits
	topK, topP bool
	edits      int // per row at most, one of editBuckets; 0 = none
	mask       int // i32 words of a row's Allowed; 0 = no row has one
	topN       bool
}

func (v variant) String() string {
	name := fmt.Sprintf("sample_r%d", v.rows) + v.cuts()
	if v.edits > 0 {
		name += fmt.Sprintf("_e%d", v.edits)
	}
	if v.mask > 0 {
		name += "_m"
	}
	if v.topN {
		name += "_n"
	}
	return name
}

// cuts names top-k and top-p.
func (v variant) cuts() (name string) {
	if v.topK {
		name += "_k"
	}
	if v.topP {
		name += "_p"
	}
	return name
}

// The parameters of a row are a line of one i32 matrix (floats as their bits), because each argument costs a transfer: the columns
// below, then the edits' tokens, biases, ups, downs and afters, then the bits of Allowed.
const (
	columnKeyA = iota
	columnKeyB
	columnScale // f32: 1/temperature; 0 = greedy
	columnMinP  // distance up to which min-p keeps
	columnTopK  // tokens
	columnTopP  // f32: share of the mass; more than 1 = all
	parameterColumns
)

func (v variant) parameterWidth() int { return parameterColumns + editFields*v.edits + v.mask }

// editFields is the number of values in an edit.
const editFields = 5

// The results of a row are a line of one i32 matrix: the columns below, then the alternatives' tokens and log-probabilities.
const (
	columnToken = iota
	columnStatus
	columnLogprob // f32; the largest logit where the status is statusNotFinite
	columnSampled // f32
	resultColumns
)

// What columnStatus says.
const (
	statusOK = iota
	statusNotFinite
	statusNothingAllowed
)

// spec is the drawing program: logits [rows, vocab] f32 and parameters [rows, parameterWidth] i32 give results
// [rows, resultColumns + 2*alternatives] i32.
func (v variant) spec(vocab int) device.Spec {
	params := []device.Param{
		{Name: "logits", Shape: shapes.Make(dtypes.Float32, v.rows, vocab), Alias: -1},
		{Name: "parameters", Shape: shapes.Make(dtypes.Int32, v.rows, v.parameterWidth()), Alias: -1},
	}
	return device.Spec{Name: v.String(), Params: params, Build: func(in []*Node) []*Node { return []*Node{v.build(in[0], in[1])} }}
}

// build is a native function for what most rows ask for, on devices that have one.
func (v variant) build(logits, parameters *Node) *Node {
	if v.edits > 0 || v.mask > 0 || v.topN {
		return v.draw(logits, parameters)
	}
	reference := func(in []*Node) []*Node { return []*Node{v.draw(in[0], in[1])} }
	return device.CallNative(device.NativeCall{Name: v.name(), Target: native.TargetDraw}, reference, logits, parameters)[0]
}

// name tells references apart, of which those of one name have one.
func (v variant) name() string { return fmt.Sprintf("draw_%t_%t", v.topK, v.topP) }

func (v variant) draw(logits, parameters *Node) *Node {
	norm := normOf(logits)
	final, best := logits, norm.best
	if v.edits > 0 {
		final = applyEdits(logits, columns(parameters, parameterColumns, editFields*v.edits))
	}
	if v.mask > 0 {
		final = applyMask(final, columns(parameters, parameterColumns+editFields*v.edits, v.mask))
	}
	if v.edits > 0 || v.mask > 0 {
		best = ReduceAndKeep(final, ReduceMax, 1)
	}
	r := v.race(final, best, parameters)
	token := r.winner()
	status := Where(norm.finite(), Where(GreaterThan(best, constant(best, float32(allowedFrom))),
		Where(IsFinite(best), constant(token, int32(statusOK)), constant(token, int32(statusNotFinite))),
		constant(token, int32(statusNothingAllowed))), constant(token, int32(statusNotFinite)))
	logprob := Where(Equal(status, constant(status, int32(statusNotFinite))), best, norm.logprob(take(logits, token)))
	out := []*Node{token, status, bits(logprob), bits(r.logprob(token))}
	if v.topN {
		out = append(out, alternatives(logits, norm)...)
	}
	return Concatenate(out, 1)
}

// race is what decides a draw; all its nodes are [rows, vocab] or [rows, 1].
type race struct {
	greedy   *Node // bool
	distance *Node // f32, of each token from the best in units of the temperature
	mass     *Node // f32, exp(-distance) of what may be drawn, 0 for the others
	speed    *Node // f32, the largest wins
}

func (v variant) race(final, best, parameters *Node) race {
	scale := floats(columns(parameters, columnScale, 1))
	r := race{greedy: Equal(scale, ZerosLike(scale))}
	scale = Where(r.greedy, OnesLike(scale), scale)
	r.distance = Abs(Mul(Sub(best, final), scale)) // -0 - 0 is -0, whose bits are no distance
	allowed := GreaterThan(final, constant(final, float32(allowedFrom)))
	distances := Where(allowed, bits(r.distance), constant(parameters, int32(notAllowed)))
	limit := columns(parameters, columnMinP, 1)
	mass := Exp(Neg(r.distance))
	if v.topK {
		limit = Min(limit, topKLimit(cut(distances, limit), columns(parameters, columnTopK, 1)))
	}
	if v.topP {
		limit = Min(limit, topPLimit(cut(distances, limit), mass, floats(columns(parameters, columnTopP, 1))))
	}
	kept := LessOrEqual(distances, limit)
	r.mass = Where(kept, mass, constant(mass, float32(0)))
	noise := exponentialNoise(columns(parameters, columnKeyA, 1), columns(parameters, columnKeyB, 1), final.Shape())
	speed := Where(broadcast(r.greedy, final), Neg(r.distance), Div(mass, noise))
	r.speed = Where(kept, speed, constant(speed, float32(forbidden)))
	return r
}

// winner is the first token of the largest speed, [rows, 1] i32.
func (r *race) winner() *Node {
	top := ReduceAndKeep(r.speed, ReduceMax, 1)
	shape := r.speed.Shape()
	ids := Iota(r.speed.Graph(), shapes.Make(dtypes.Int32, shape.Dimensions...), 1)
	first := ReduceAndKeep(Where(Equal(r.speed, top), ids, constant(ids, int32(shape.Dim(1)))), ReduceMin, 1)
	return MinScalar(first, shape.Dim(1)-1) // a row that is not finite has no winner
}

// logprob is the logarithm of the token's share of the mass, [rows, 1] f32; 0 where greedy.
func (r *race) logprob(token *Node) *Node {
	share := Neg(Add(take(r.distance, token), Log(ReduceAndKeep(r.mass, ReduceSum, 1))))
	return Where(r.greedy, ZerosLike(share), share)
}

// exponentialNoise is exponential(key.uniform(token)) for every token, with the operations of the host.
func exponentialNoise(a, b *Node, shape shapes.Shape) *Node {
	a, b = Bitcast(a, dtypes.Uint32), Bitcast(b, dtypes.Uint32)
	ids := Iota(a.Graph(), shapes.Make(dtypes.Uint32, shape.Dimensions...), 1)
	h := mixNode(BitwiseXor(mixNode(Add(Mul(ids, constant(ids, uint32(tokenFactor))), a)), broadcast(b, ids)))
	u := MulScalar(AddScalar(ConvertDType(h, dtypes.Float32), 0.5), 1.0/(1<<32))
	u = MinScalar(u, largestUnit)
	// -log(1-u): what the rounding of 1-u lost is added again, so that small noise is exact to the last bits.
	left := OneMinus(u)
	return Sub(Sub(u, OneMinus(left)), Log(left))
}

func mixNode(x *Node) *Node {
	x = Mul(BitwiseXor(x, BitwiseShiftRightLogicalScalar(x, uint32(16))), constant(x, uint32(mixFactor1)))
	x = Mul(BitwiseXor(x, BitwiseShiftRightLogicalScalar(x, uint32(15))), constant(x, uint32(mixFactor2)))
	return BitwiseXor(x, BitwiseShiftRightLogicalScalar(x, uint32(16)))
}

// applyEdits is edit.apply for every edit of lines [rows, 5*edits] i32. A line's tokens are distinct, apart from the padding, whose
// token is -1.
func applyEdits(logits, lines *Node) *Node {
	rows, edits := lines.Shape().Dim(0), lines.Shape().Dim(1)/editFields
	field := func(i int) *Node { return columns(lines, i*edits, edits) }
	tokens, bias, up, down, after := field(0), floats(field(1)), floats(field(2)), floats(field(3)), floats(field(4))
	real := ConvertDType(GreaterOrEqual(tokens, ZerosLike(tokens)), dtypes.Float32)
	index := Reshape(MaxScalar(tokens, 0), rows, edits, 1)
	index = Concatenate([]*Node{Iota(lines.Graph(), index.Shape(), 0), index}, 2)

	logits = MaxScalar(logits, forbidden) // finite, for the sums below
	old := Gather(logits, index)
	v := Add(old, bias)
	v = Add(Where(GreaterThan(v, ZerosLike(v)), Mul(v, up), Mul(v, down)), after)
	v = Where(GreaterThan(old, constant(old, float32(allowedFrom))), v, constant(old, float32(forbidden)))
	// Setting with stock operations, exactly: x + -x is 0, and 0 + v is v.
	logits = ScatterSum(logits, index, Mul(Neg(old), real), false, false)
	return ScatterSum(logits, index, Mul(v, real), false, false)
}

// applyMask forbids the tokens whose bit in words [rows, ceil(vocab/32)] i32 is 0.
func applyMask(logits, words *Node) *Node {
	const wordBits = 32
	rows, n := words.Shape().Dim(0), words.Shape().Dim(1)
	wide := BroadcastToDims(ExpandDims(Bitcast(words, dtypes.Uint32), -1), rows, n, wordBits)
	shifted := BitwiseShiftRightLogical(wide, Iota(words.Graph(), wide.Shape(), 2))
	bit := Reshape(BitwiseAnd(shifted, OnesLike(shifted)), rows, n*wordBits)
	bit = columns(bit, 0, logits.Shape().Dim(1))
	return Where(GreaterThan(bit, ZerosLike(bit)), logits, constant(logits, float32(forbidden)))
}

// columns cuts n columns out of a matrix.
func columns(x *Node, from, n int) *Node { return SliceAxis(x, 1, AxisRange(from, from+n)) }

// floats reads i32 as the bits of f32, bits the other way round.
func floats(x *Node) *Node { return Bitcast(x, dtypes.Float32) }
func bits(x *Node) *Node   { return Bitcast(x, dtypes.Int32) }

// take picks x[row, token[row]] from x [rows, vocab] and token [rows, 1]: [rows, 1].
func take(x, token *Node) *Node {
	index := Concatenate([]*Node{Iota(x.Graph(), token.Shape(), 0), token}, 1)
	return ExpandDims(Gather(x, index), -1)
}

// constant is a scalar in x's graph. Unlike gomlx's scalars it is not cached, so that it may be used inside and outside of closures.
func constant[T float32 | int32 | uint32](x *Node, value T) *Node { return Const(x.Graph(), value) }

// broadcast repeats x [rows, 1] to the dimensions of like.
func broadcast(x, like *Node) *Node { return BroadcastToDims(x, like.Shape().Dimensions...) }
