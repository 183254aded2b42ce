package trainer

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// hyper is what changes from step to step, as the graph takes it: f32 [4].
type hyper struct {
	norm       float64 // the loss is the weighted sum times this
	lr         float64
	correction [2]float64 // 1 - Beta^t of the two moments
}

const numHyper = 4

func (h hyper) values() []float32 {
	return []float32{float32(h.norm), float32(h.lr), float32(h.correction[0]), float32(h.correction[1])}
}

func hyperAt(h *Node, i int) *Node { return Reshape(Slice(h, AxisElem(i))) }

// sumSquares of all elements, f32, as a dot product: XLA would store the squares of a sum.
func sumSquares(x *Node) *Node {
	flat := ConvertDType(Reshape(x, -1), dtypes.Float32)
	return Dot(flat, flat).Product()
}

// globalNorm is the Euclidean norm of all gradients together.
func globalNorm(grads []*Node) *Node {
	sum := sumSquares(grads[0])
	for _, g := range grads[1:] {
		sum = Add(sum, sumSquares(g))
	}
	return Sqrt(sum)
}

// clip scales gradients so that their global norm is at most limit (Pascanu et al., arXiv 1211.5063); 0 = they stay.
func clip(grads []*Node, norm *Node, limit float64) []*Node {
	if limit == 0 {
		return grads
	}
	scale := MinScalar(Div(Scalar(norm.Graph(), norm.DType(), limit), AddScalar(norm, 1e-6)), 1)
	clipped := make([]*Node, len(grads))
	for i, g := range grads {
		clipped[i] = Mul(g, scale)
	}
	return clipped
}

// adamW updates one parameter and its two moments (Loshchilov & Hutter, arXiv 1711.05101, algorithm 2, as PyTorch has it): decay
// is taken off the parameter before the step, and is 0 for norms. What is updated stands on the right of each sum: that is the
// operand whose memory the Go backend uses again.
func (c Config) adamW(param, m, v, grad, hyper *Node, decays bool) (param2, m2, v2 *Node) {
	lr, correction1, correction2 := hyperAt(hyper, 1), hyperAt(hyper, 2), hyperAt(hyper, 3)
	m2 = Add(MulScalar(grad, 1-c.Beta1), MulScalar(m, c.Beta1))
	v2 = Add(MulScalar(Square(grad), 1-c.Beta2), MulScalar(v, c.Beta2))
	change := Div(Div(m2, correction1), AddScalar(Sqrt(Div(v2, correction2)), c.Eps))
	if decays {
		change = Add(change, MulScalar(param, c.WeightDecay))
	}
	return Add(Neg(Mul(change, lr)), param), m2, v2
}
