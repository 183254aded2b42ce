package sampler

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
)

// Plain says that the draws for r depend on logits, Params, seed and position, and on no token: then the parameters of many draws can be
// made before the first of them.
func (r *Row) Plain() bool { return !r.edited() && r.Allowed == nil && r.TopN == 0 }

// Cuts are the parts that a drawing inside of another program has. The zero value draws from the whole distribution, or from what min-p leaves.
type Cuts struct{ TopK, TopP bool }

// CutsOf are those that the rows need; nil rows need none.
func CutsOf(rows []*Row, vocab int) (c Cuts) {
	for _, r := range rows {
		if r != nil {
			c.TopK, c.TopP = c.TopK || r.Params.cutsTopK(vocab), c.TopP || r.Params.cutsTopP()
		}
	}
	return c
}

// String names them in a program's name; "" = none.
func (c Cuts) String() string { return variant{topK: c.TopK, topP: c.TopP}.cuts() }

// AheadColumns and DrawnColumns are the widths of a draw's line of parameters and of results.
const (
	AheadColumns = parameterColumns
	DrawnColumns = resultColumns
)

// PackAhead fills a line [AheadColumns] with the parameters of r's draw after so many more tokens; r nil draws greedily for nobody. It
// panics if r is not Plain.
func PackAhead(line []int32, r *Row, vocab, ahead int) {
	plainLine(line, vocab)
	if r == nil {
		return
	}
	if !r.Plain() {
		panic(fmt.Sprintf("BUG: got a draw with params %+v ahead; want a plain one", r.Params))
	}
	variant{}.packJob(line, &job{row: r}, vocab)
	if r.Params.Temperature > 0 {
		line[columnKeyA], line[columnKeyB] = r.keyAt(r.Position() + ahead).columns()
	}
}

// Draw draws from logits [rows, vocab] f32 with parameters [rows, AheadColumns] i32, inside of another program: [rows, DrawnColumns] i32.
// It gives the tokens of Device.Draw.
func (c Cuts) Draw(logits, parameters *Node) *Node {
	return variant{rows: logits.Shape().Dim(0), topK: c.TopK, topP: c.TopP}.build(logits, parameters)
}

// Drawn is the tokens [rows, 1] i32 in what Draw gives. They are in the vocabulary even where a draw failed.
func Drawn(results *Node) *Node { return columns(results, columnToken, 1) }

// ReadDrawn is a line [DrawnColumns] as a Choice, or the draw's own failure, ErrNotFinite or ErrNothingAllowed.
func ReadDrawn(line []int32) (Choice, error) {
	r := result(line)
	if err := r.err(); err != nil {
		return Choice{}, err
	}
	return Choice{TokenLogprob: r.chosen(), Sampled: r.float(columnSampled)}, nil
}
