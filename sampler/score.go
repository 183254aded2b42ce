package sampler

import (
	"fmt"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// scoring is a form of the program that scores given tokens.
type scoring struct {
	rows int // of the logits
	topN bool
}

func (s scoring) String() string {
	if s.topN {
		return fmt.Sprintf("score_r%d_n", s.rows)
	}
	return fmt.Sprintf("score_r%d", s.rows)
}

// spec is the scoring program: logits [rows, vocab] f32 and targets [rows, 1] i32 in [0, vocab) give the results of the drawing
// program, with the target for the token.
func (s scoring) spec(vocab int) device.Spec {
	params := []device.Param{
		{Name: "logits", Shape: shapes.Make(dtypes.Float32, s.rows, vocab), Alias: -1},
		{Name: "targets", Shape: shapes.Make(dtypes.Int32, s.rows, 1), Alias: -1},
	}
	return device.Spec{Name: s.String(), Params: params, Build: func(in []*Node) []*Node { return []*Node{s.build(in[0], in[1])} }}
}

func (s scoring) build(logits, targets *Node) *Node {
	norm := normOf(logits)
	status := Where(norm.finite(), constant(targets, int32(statusOK)), constant(targets, int32(statusNotFinite)))
	logprob := Where(norm.finite(), norm.logprob(take(logits, targets)), norm.best)
	out := []*Node{targets, status, bits(logprob), ZerosLike(targets)}
	if s.topN {
		out = append(out, alternatives(logits, norm)...)
	}
	return Concatenate(out, 1)
}

// norm is the softmax's denominator, exp(best)*sum, for each row of logits: [rows, 1] f32.
type norm struct{ best, sum *Node }

func normOf(logits *Node) norm {
	best := ReduceAndKeep(logits, ReduceMax, 1)
	return norm{best, ReduceAndKeep(Exp(Sub(logits, best)), ReduceSum, 1)}
}

// finite says that no logit of the row is NaN or +Inf and one at least is not -Inf: [rows, 1] bool.
func (n norm) finite() *Node { return And(IsFinite(n.best), IsFinite(n.sum)) }

// logprob turns logits [rows, k] into log-probabilities, in f64 because a logit may be large.
func (n norm) logprob(logits *Node) *Node {
	wide := func(x *Node) *Node { return ConvertDType(x, dtypes.Float64) }
	return ConvertDType(Sub(Sub(wide(logits), wide(n.best)), Log(wide(n.sum))), dtypes.Float32)
}

// alternatives are the most probable tokens, best first, the lower id first among equals, and their log-probabilities as bits.
func alternatives(logits *Node, n norm) []*Node {
	values, ids := TopK(logits, min(MaxTopLogprobs, logits.Shape().Dim(1)), 1)
	return []*Node{ids, bits(n.logprob(values))}
}
