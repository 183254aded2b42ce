package model

import (
	"fmt"
	"math"
	"math/rand/v2"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// RandomOn is Random made by the device itself: matrices never exist on the host and cross no bus, so that billions of parameters are
// there within seconds. Values are not those of Random: each is a hash of the seed, the tensor and the place in it, the same on every
// device but for the last bits of logarithm and cosine. The caller owns the Weights.
func RandomOn(d *device.Device, c Config, seed uint64, dtype dtypes.DType) (*Weights, error) {
	return randomOn(d, c, seed, place{dtype: dtype})
}

// RandomInt8On is RandomOn with weights of 8 bits.
func RandomInt8On(d *device.Device, c Config, seed uint64, dtype dtypes.DType) (*Weights, error) {
	return randomOn(d, c, seed, place{dtype: dtype, int8: d})
}

func randomOn(d *device.Device, c Config, seed uint64, to place) (*Weights, error) {
	mustBeWeightType(to.dtype)
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("making random weights: %w", err)
	}
	m, i := randomMaker{device: d, std: c.initStd(), dtype: to.dtype, programs: map[string]*device.Program{}}, uint64(0)
	defer m.close()
	w, err := assemble(c, to, nil, func(s TensorSpec) (*tensors.Tensor, error) {
		i++
		return m.tensor(s, rand.NewPCG(seed, i-1).Uint64())
	})
	if err != nil {
		return nil, fmt.Errorf("making random weights on %s: %w", d.Kind(), err)
	}
	return w, nil
}

// randomMaker has a program for each shape.
type randomMaker struct {
	device   *device.Device
	std      float64
	dtype    dtypes.DType
	programs map[string]*device.Program
	stage    staging
}

func (m *randomMaker) tensor(s TensorSpec, key uint64) (*tensors.Tensor, error) {
	if s.Norm() {
		return m.stage.upload(s, m.device.Backend(), m.dtype, func(s TensorSpec, dst put) { fillRandom(s, nil, 0, dst) })
	}
	spec := randomSpec(s.Shape(m.dtype), m.std)
	p := m.programs[spec.Name]
	if p == nil {
		var err error
		if p, err = m.device.Compile(spec); err != nil {
			return nil, err
		}
		m.programs[spec.Name] = p
	}
	words := tensors.FromFlatDataAndDimensions([]uint32{uint32(key), uint32(key >> 32)}, 2)
	defer words.MustFinalizeAll()
	out, err := p.Run(words)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func (m *randomMaker) close() {
	for _, p := range m.programs {
		p.Close()
	}
}

// Constants of the hash; see sampler, which has the same. tokenFactor there is placeFactor here.
const (
	placeFactor = 0x9E3779B1
	mixFactor1  = 0x7FEB352D
	mixFactor2  = 0x846CA68B
)

// randomSpec is the program that makes a matrix of normal numbers from a key [2] u32. It is one loop over the elements: nothing of the
// matrix's size is in memory but the matrix. Beyond 2^32 elements numbers would repeat; the largest matrix of a Llama has an eighth of that.
func randomSpec(shape shapes.Shape, std float64) device.Spec {
	name := fmt.Sprintf("random_%dx%d_%s", shape.Dim(0), shape.Dim(1), shape.DType)
	key := device.Param{Name: "key", Shape: shapes.Make(dtypes.Uint32, 2), Alias: -1}
	return device.Spec{Name: name, Params: []device.Param{key}, Build: func(in []*Node) []*Node {
		g, word := in[0].Graph(), func(i int) *Node { return Reshape(SliceAxis(in[0], 0, AxisRange(i, i+1))) }
		place := Add(MulScalar(Iota(g, shapes.Make(dtypes.Uint32, shape.Dimensions...), 0), uint32(shape.Dim(1))),
			Iota(g, shapes.Make(dtypes.Uint32, shape.Dimensions...), 1))
		radius := mixed(Add(Mul(place, Const(g, uint32(placeFactor))), word(0)))
		angle := mixed(BitwiseXor(radius, BroadcastToDims(word(1), shape.Dimensions...)))
		// Box and Muller (1958): a radius and an angle make a normal number.
		z := Mul(Sqrt(MulScalar(Log(uniform(radius)), -2)), Cos(MulScalar(uniform(angle), 2*math.Pi)))
		return []*Node{ConvertDType(MulScalar(z, std), shape.DType)}
	}}
}

// mixed is a bijective mixing of u32 with low bias (Wellons, "lowbias32").
func mixed(x *Node) *Node {
	g := x.Graph()
	x = Mul(BitwiseXor(x, BitwiseShiftRightLogicalScalar(x, uint32(16))), Const(g, uint32(mixFactor1)))
	x = Mul(BitwiseXor(x, BitwiseShiftRightLogicalScalar(x, uint32(15))), Const(g, uint32(mixFactor2)))
	return BitwiseXor(x, BitwiseShiftRightLogicalScalar(x, uint32(16)))
}

// uniform maps a hash to (0, 1], f32.
func uniform(h *Node) *Node {
	return MulScalar(AddScalar(ConvertDType(h, dtypes.Float32), 0.5), 1.0/(1<<32))
}
