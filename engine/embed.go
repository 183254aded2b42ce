package engine

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Embedding is what the model's trunk made of a prompt: its final normed hidden states.
type Embedding struct {
	Sum    []float32 // [hidden] over all tokens: divided by Tokens, it is the mean
	Last   []float32 // [hidden] of the last token
	Tokens int
}

// add takes the Embedding of the tokens that follow.
func (e *Embedding) add(more *Embedding) *Embedding {
	if e == nil {
		e = &Embedding{Sum: make([]float32, len(more.Sum))}
	}
	for i, v := range more.Sum {
		e.Sum[i] += v
	}
	e.Last, e.Tokens = more.Last, e.Tokens+more.Tokens
	return e
}

// embeddings are the sums and the last ones of hidden [seqs*tokens, hidden], side by side: [seqs, 2*hidden] f32. What pads a row is
// left out.
func (f *forward) embeddings(b Bucket, hidden, last *Node) *Node {
	x := ConvertDType(Reshape(hidden, b.Seqs, b.Tokens, f.config.Hidden), dtypes.Float32)
	index := Iota(x.Graph(), shapes.Make(dtypes.Int32, b.Seqs, b.Tokens), 1)
	fed := LessOrEqual(index, BroadcastToDims(ExpandDims(last, -1), b.Seqs, b.Tokens))
	x = Where(BroadcastToDims(ExpandDims(fed, -1), b.Seqs, b.Tokens, f.config.Hidden), x, ZerosLike(x))
	return Concatenate([]*Node{ReduceSum(x, 1), ConvertDType(f.lastRows(b, Reshape(hidden, -1, f.config.Hidden), last), dtypes.Float32)}, 1)
}

// takeEmbeddings reads what embeddings made; line i belongs to list[i].
func takeEmbeddings(made *tensors.Tensor, all []Row, list []int, out []RowResult) error {
	width := made.Shape().Dim(1)
	return tensors.ConstFlatData(made, func(flat []float32) {
		for i, at := range list {
			line := append([]float32{}, flat[i*width:(i+1)*width]...)
			out[at].Embedding = &Embedding{Sum: line[:width/2], Last: line[width/2:], Tokens: len(all[at].Tokens)}
		}
	})
}
