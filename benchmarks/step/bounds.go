package step

import (
	"astro/model"
)

// Work is the least that a case has to do, whoever does it: what it must read from memory, and operations of products and of attention.
// A multiplication and its sum are two operations. Norms, rotations and activations are left out: they are less than a hundredth.
type Work struct {
	Bytes int64
	FLOPs int64
}

// times is the work of n like it.
func (w Work) times(n int64) Work { return Work{w.Bytes * n, w.FLOPs * n} }

// Widths say how a model is stored.
type Widths struct {
	WeightBits   float64 // of an element of a matrix, its share of scales included
	KVTokenBytes int64   // keys and values of one position in all layers
}

// DecodeWork is that of one step of batch Sequences that have so many positions in the cache: every matrix is read once, the embedding
// only as a head, and every Sequence's keys and values.
func DecodeWork(c model.Config, w Widths, batch, position int) Work {
	n := int64(batch)
	return Work{
		Bytes: matrixBytes(c, w) + n*int64(position)*w.KVTokenBytes,
		FLOPs: n * (2*(layerWeights(c)+headWeights(c)) + pairFLOPs(c)*int64(position+1)),
	}
}

// PrefillWork is that of one prompt of which the last token's logits are wanted.
func PrefillWork(c model.Config, w Widths, tokens int) Work {
	return Work{Bytes: matrixBytes(c, w), FLOPs: layersFLOPs(c, tokens) + 2*headWeights(c)}
}

// TrainFLOPs is what an update of rows of so many tokens each computes: forward, and twice as much backward. With layer checkpoints
// performed has the layers' forward once more; needed, of which utilisation is told, has not.
func TrainFLOPs(c model.Config, rows, rowTokens int, layerCheckpoints bool) (needed, performed int64) {
	layers := int64(rows) * layersFLOPs(c, rowTokens)
	needed = 3 * (layers + int64(rows)*int64(rowTokens)*2*headWeights(c))
	performed = needed
	if layerCheckpoints {
		performed += layers
	}
	return needed, performed
}

// layersFLOPs is the forward pass of the layers over a row of tokens, each of which sees itself and those before it.
func layersFLOPs(c model.Config, tokens int) int64 {
	n := int64(tokens)
	return 2*layerWeights(c)*n + pairFLOPs(c)*(n*(n+1)/2)
}

// pairFLOPs is what one query and one key take in all layers: a product of both, and the value weighed.
func pairFLOPs(c model.Config) int64 { return 4 * int64(c.Layers) * int64(c.Heads*c.HeadDim) }

// layerWeights are the elements of all layers' matrices.
func layerWeights(c model.Config) int64 {
	n := int64(0)
	for _, s := range model.Layout(c)[c.FirstLayer():] {
		if !s.Norm() {
			n += int64(s.Len())
		}
	}
	return n
}

func headWeights(c model.Config) int64 { return int64(c.Vocab) * int64(c.Hidden) }

func matrixBytes(c model.Config, w Widths) int64 {
	norms := int64(2*c.Layers+1) * int64(c.Hidden) * 4
	return int64(float64(layerWeights(c)+headWeights(c))*w.WeightBits/8) + norms
}
