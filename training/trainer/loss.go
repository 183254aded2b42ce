package trainer

import (
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Loss is what a Trainer makes smaller: a term for each token, of which the weighted sum times a norm is taken.
type Loss struct {
	Name    string   // lower-case words joined by "_"; it names compiled programs, so that different Losses have different names
	Columns []string // what each token brings besides its weight
	Stats   []Stat   // what Build tells besides the terms

	// Build makes the terms [rows*tokens] f32 and one node of the same shape for each of Stats. No gradient flows through the latter.
	// What it makes of padding, whose columns are 0, must be finite.
	Build func(Tokens) (terms *Node, stats []*Node)
}

// Stat names a number that is told of each step.
type Stat struct {
	Name string
	Max  bool // the largest value of the tokens that have a weight, at least 0; else their mean
}

// Tokens is a batch as a Loss sees it; nodes are [rows*tokens] f32, where nothing else is said.
type Tokens struct {
	Logprob  *Node   // of the targets under the model that is trained
	Columns  []*Node // by Loss.Columns
	Counted  *Node   // bool: which have a weight
	Segments *Node   // [rows, tokens] i32, as in a Batch: what belongs to one Example
	Entropy  *Node   // of the distribution which each target was predicted by, in nats, as a number: no gradient flows through it
}

// ExampleMean is, at each token, the mean of x over all counted tokens of the same Example; 0 where an Example has none, as padding. Its
// gradient flows to each of them. It is a sum over a mask [rows, tokens, tokens] and needs the memory of attention's.
func (t Tokens) ExampleMean(x *Node) *Node {
	rows, tokens := t.Segments.Shape().Dim(0), t.Segments.Shape().Dim(1)
	others := func(x *Node) *Node { return BroadcastToDims(Reshape(x, rows, 1, tokens), rows, tokens, tokens) }
	same := Equal(BroadcastToDims(Reshape(t.Segments, rows, tokens, 1), rows, tokens, tokens), others(t.Segments))
	same = And(same, others(t.Counted))
	sum := func(x *Node) *Node {
		x = others(x)
		return Reshape(ReduceSum(Where(same, x, ZerosLike(x)), -1), rows*tokens)
	}
	return Div(sum(x), MaxScalar(sum(OnesLike(x)), 1))
}

// NextToken is the negative log-probability of each token (cross entropy).
func NextToken() Loss {
	return Loss{Name: "next_token", Build: func(t Tokens) (*Node, []*Node) { return Neg(t.Logprob), nil }}
}

// told are the results of a batch [1 + stats] f32: its loss, and the sums or maxima of the stats.
func (l Loss) told(c model.Config, o Config, weights weightNodes, b batchNodes, norm *Node) (loss, told *Node) {
	weight := Reshape(b.weights, -1)
	counted := NotEqual(weight, ZerosLike(weight))
	tokens := Tokens{Counted: counted, Segments: b.segments}
	tokens.Logprob, tokens.Entropy = logprobs(c, o, weights, b)
	for _, column := range b.columns {
		tokens.Columns = append(tokens.Columns, Reshape(column, -1))
	}
	terms, stats := l.Build(tokens)
	loss = Mul(ReduceAllSum(Mul(terms, weight)), norm)
	all := []*Node{Reshape(loss, 1)}
	for i, s := range l.Stats {
		value := ConvertDType(Where(counted, StopGradient(stats[i]), ZerosLike(weight)), dtypes.Float32)
		if s.Max {
			all = append(all, Reshape(ReduceAllMax(value), 1))
		} else {
			all = append(all, Reshape(ReduceAllSum(value), 1))
		}
	}
	return loss, Concatenate(all, 0)
}

// gather joins what several batches told: losses and sums are added, maxima compared.
func (l Loss) gather(sum, told []float64) []float64 {
	if sum == nil {
		return told
	}
	for i, x := range told {
		if i > 0 && l.Stats[i-1].Max {
			sum[i] = max(sum[i], x)
		} else {
			sum[i] += x
		}
	}
	return sum
}

// values turns what was told of so many counted tokens into the numbers of Stats.
func (l Loss) values(told []float64, counted int) []float64 {
	var values []float64
	for i, s := range l.Stats {
		x := told[i+1]
		if !s.Max {
			x /= float64(max(1, counted))
		}
		values = append(values, x)
	}
	return values
}
