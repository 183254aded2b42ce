package native

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var allWeights = []Weights{F32, BF16, Int8, Int4}

// atEachLevel runs test at each level of this processor, and then at the one that was in use.
func atEachLevel(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	used := Used()
	t.Cleanup(func() { use(t, used) })
	for _, l := range Levels() {
		t.Run(l.String(), func(t *testing.T) {
			use(t, l)
			test(t)
		})
	}
}

func use(t *testing.T, l Level) {
	t.Helper()
	if err := Use(l.String()); err != nil {
		t.Fatal(err)
	}
}

// withThreads bounds the threads until the test ends.
func withThreads(t *testing.T, n int) {
	before := Threads()
	t.Cleanup(func() { SetThreads(before) })
	SetThreads(n)
}

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// shapesOf are [in, out] that a kind can hold: odd where it may be, panels that are not full, more than one band of `in`.
func shapesOf(w Weights) [][2]int {
	switch w {
	case F32:
		return [][2]int{{1, 1}, {7, 33}, {129, 31}, {301, 70}}
	case BF16:
		return [][2]int{{2, 1}, {6, 33}, {130, 31}, {302, 70}}
	}
	return [][2]int{{32, 1}, {64, 33}, {160, 31}, {320, 70}}
}

func packing(t *testing.T, w Weights, matrix []float32, in, out int) []byte {
	t.Helper()
	packed, err := Pack(w, matrix, in, out)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func multiplied(t *testing.T, w Weights, packed []byte, in, out int, x []float32) []float32 {
	t.Helper()
	y, err := Multiply(w, packed, in, out, x)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// unpack reads a packed matrix by the layout that native.h and products.h describe.
func unpack(w Weights, packed []byte, in, out int) []float32 {
	y := make([]float32, in*out)
	for k := range in {
		for c := range out {
			y[k*out+c] = at(w, packed, in, k, c)
		}
	}
	return y
}

// at is row k of column c.
func at(w Weights, packed []byte, in, k, c int) float32 {
	const panel, block = 32, 32
	word := func(i int) uint16 { return binary.LittleEndian.Uint16(packed[i:]) }
	first, column := c/panel, c%panel
	switch w {
	case F32:
		return math.Float32frombits(binary.LittleEndian.Uint32(packed[((first*in+k)*panel+column)*4:]))
	case BF16:
		return fromBF16(word(first*in*panel*2 + (k/2*panel+column)*4 + k%2*2))
	case Int8:
		from := (first*in/block + k/block) * (2*panel + block*panel)
		i := k % block
		return fromHalf(word(from+2*column)) * (float32(packed[from+2*panel+(i/4*panel+column)*4+i%4]) - 128)
	}
	from := (first*in/block + k/block) * (2*panel + block*panel/2)
	i := k % block
	both := packed[from+2*panel+(i/8*panel+column)*4+i%4]
	return fromHalf(word(from+2*column)) * (float32(both>>(i%8/4*4)&15) - 8)
}

// activations are x as a product with these weights sees them: Int8 and Int4 round blocks of 32 to 8 bits.
func activations(w Weights, x []float32) []float32 {
	if w < Int8 {
		return x
	}
	y := make([]float32, len(x))
	for b := 0; b < len(x); b += 32 {
		most := float32(0)
		for _, v := range x[b : b+32] {
			most = max(most, float32(math.Abs(float64(v))))
		}
		for i, v := range x[b : b+32] {
			y[b+i] = float32(math.RoundToEven(float64(v*(127/most)))) * (most / 127)
		}
	}
	return y
}

// offTies moves what lies halfway between two steps of activations onto one: there levels may round to either.
func offTies(x []float32) []float32 {
	steps := activations(Int8, x)
	for b := 0; b < len(x); b += 32 {
		step := slices.MaxFunc(steps[b:b+32], func(a, b float32) int { return cmp.Compare(math.Abs(float64(a)), math.Abs(float64(b))) }) / 127
		for i := b; i < b+32; i++ {
			if math.Abs(float64(x[i]-steps[i])) > .49*math.Abs(float64(step)) {
				x[i] = steps[i]
			}
		}
	}
	return x
}

// naive is the product in f64, and for each value the sum of its terms' sizes, which roundings are measured by.
func naive(w, x []float32, in, out int) (y, size []float64) {
	rows := len(x) / in
	y, size = make([]float64, rows*out), make([]float64, rows*out)
	for i := range rows {
		for k := range in {
			a := float64(x[i*in+k])
			for c, b := range w[k*out : (k+1)*out] {
				y[i*out+c] += a * float64(b)
				size[i*out+c] += math.Abs(a * float64(b))
			}
		}
	}
	return y, size
}

// A product is that of the packed weights and of the activations as the kind rounds them. What remains are the roundings of f32 sums, `in` at
// most, each of half a unit of what was summed so far: 2e-6 of the terms' sizes is three times what 320 of them come to in practice.
func TestProductIsTheNaiveOne(t *testing.T) {
	const tolerance = 2e-6
	atEachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		for _, w := range allWeights {
			for _, shape := range shapesOf(w) {
				in, out := shape[0], shape[1]
				packed := packing(t, w, normal(r, in*out), in, out)
				plain := unpack(w, packed, in, out)
				for _, rows := range []int{1, 2, 3, 5, 8, 13, 33, 97} {
					x := normal(r, rows*in)
					if w >= Int8 {
						x = offTies(x)
					}
					got := multiplied(t, w, packed, in, out, x)
					want, size := naive(plain, activations(w, x), in, out)
					for i := range want {
						if diff := math.Abs(float64(got[i]) - want[i]); !(diff <= tolerance*size[i]) {
							t.Fatalf("%s %dx%d, %d rows: value %d is %g; want %g to %g", w, in, out, rows, i, got[i], want[i], tolerance*size[i])
						}
					}
				}
			}
		}
	})
}

// What a row comes to does not depend on the rows beside it nor on the threads, bit for bit: tiles of rows have many sizes.
func TestProductOfARowStandsAlone(t *testing.T) {
	withThreads(t, 1)
	atEachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(2, 1))
		for _, w := range allWeights {
			in, out := 320, 199
			packed := packing(t, w, normal(r, in*out), in, out)
			x := normal(r, 200*in)
			var alone []float32
			SetThreads(1)
			for i := range 200 {
				alone = append(alone, multiplied(t, w, packed, in, out, x[i*in:(i+1)*in])...)
			}
			for _, threads := range []int{1, 2, 5} {
				SetThreads(threads)
				for _, rows := range append(upTo(33), 64, 96, 97, 200) {
					first := (200 - rows) / 2 // no row stands in the same place twice
					got := multiplied(t, w, packed, in, out, x[first*in:(first+rows)*in])
					if i := differs(got, alone[first*out:]); i >= 0 {
						t.Fatalf("%s, %d rows, %d threads: row %d, column %d is %g; alone it is %g", w, rows, threads, i/out, i%out, got[i], alone[first*out+i])
					}
				}
			}
		}
	})
}

func upTo(n int) []int {
	var all []int
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// differs is the first place where got is not want, bit for bit, or -1.
func differs(got, want []float32) int {
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			return i
		}
	}
	return -1
}

// A value that is not finite makes its own row not finite, so that whoever samples notices, and touches no other.
func TestProductOfWhatIsNotFinite(t *testing.T) {
	atEachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 1))
		for _, w := range allWeights {
			in, out, rows := 64, 40, 9
			packed, x := packing(t, w, normal(r, in*out), in, out), normal(r, rows*in)
			want := multiplied(t, w, packed, in, out, x)
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				sick := slices.Clone(x)
				sick[4*in+17] = float32(bad)
				got := multiplied(t, w, packed, in, out, sick)
				for c, y := range got[4*out : 5*out] {
					if v := float64(y); !math.IsNaN(v) && !math.IsInf(v, 0) {
						t.Fatalf("%s, %g in a row: column %d of it is %g", w, bad, c, v)
					}
				}
				copy(got[4*out:5*out], want[4*out:])
				if i := differs(got, want); i >= 0 {
					t.Fatalf("%s, %g in row 4: row %d is %g; want %g", w, bad, i/out, got[i], want[i])
				}
			}
		}
	})
}

func TestPackBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	in, out := 320, 45
	w := normal(r, in*out)
	for i := range w {
		w[i] *= float32(math.Exp2(float64(i % 11))) // columns of many sizes
	}
	clear(w[:in*out/10]) // blocks of zeros, and such as begin with them
	for _, kind := range allWeights {
		got := unpack(kind, packing(t, kind, w, in, out), in, out)
		for c := range out {
			for b := 0; b < in; b += 32 {
				checkBlock(t, kind, w, got, out, b, c)
			}
		}
	}
}

// checkBlock compares 32 rows of a column. Int8 rounds to the nearest of 255 steps, Int4 to the nearest of 16, which reach from the value of
// largest size, -8, to 7 on the other side: what lies there beyond 7.5 may be off by a whole step. f16 scales are off by 2^-11 themselves.
func checkBlock(t *testing.T, w Weights, want, got []float32, out, b, c int) {
	t.Helper()
	most, halfOff := 0.0, 1+math.Exp2(-11)+1e-6
	for k := b; k < b+32; k++ {
		if v := float64(want[k*out+c]); math.Abs(v) > math.Abs(most) {
			most = v
		}
	}
	for k := b; k < b+32; k++ {
		x, y := want[k*out+c], got[k*out+c]
		bound := map[Weights]float64{Int8: .5 / 127 * math.Abs(most), Int4: .5 / 8 * math.Abs(most)}[w] * halfOff
		if w == Int4 && float64(x)*most < 0 && math.Abs(float64(x)) > math.Abs(most)*7.4/8 {
			bound *= 2
		}
		if w == BF16 {
			x = fromBF16(toBF16(x))
		}
		if diff := math.Abs(float64(x) - float64(y)); !(diff <= bound) {
			t.Fatalf("%s: row %d of column %d is %g; want %g to %g", w, k, c, y, x, bound)
		}
	}
}

func TestBadMatricesAreRefused(t *testing.T) {
	matrix := make([]float32, 64*33)
	packed := packing(t, Int8, matrix, 64, 33)
	errorsOf := func(f func() error) string { return fmt.Sprint(f()) }
	for want, f := range map[string]func() error{
		"unknown kind of weights 4":        func() error { _, err := Pack(4, matrix, 64, 33); return err },
		"unknown kind of weights -1":       func() error { _, err := PackedSize(-1, 64, 33); return err },
		"a matrix of 0 by 33":              func() error { _, err := Pack(F32, nil, 0, 33); return err },
		"a matrix of 64 by 16777217":       func() error { _, err := PackedSize(F32, 64, 1<<24+1); return err },
		"63 rows as bf16; want an even":    func() error { _, err := Pack(BF16, matrix, 63, 33); return err },
		"48 rows as int4; want a multiple": func() error { _, err := Pack(Int4, matrix, 48, 33); return err },
		"pack 2112 values as 32 by 33":     func() error { _, err := Pack(F32, matrix, 32, 33); return err },
		"a packed matrix of 4351 bytes":    func() error { _, err := Multiply(Int8, packed[1:], 64, 33, matrix[:64]); return err },
		"multiply 65 values by 64 rows":    func() error { _, err := Multiply(Int8, packed, 64, 33, matrix[:65]); return err },
	} {
		if got := errorsOf(f); !strings.Contains(got, want) {
			t.Errorf("got error %q; want it to say %q", got, want)
		}
	}
	if y, err := Multiply(Int8, packed, 64, 33, nil); len(y) != 0 || err != nil {
		t.Errorf("no rows: got %v, %v; want nothing", y, err)
	}
}

// A weight that is not finite is one in each form: what is multiplied by its column is not finite, and all else is as it was.
func TestWeightsThatAreNotFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	in, out, column := 64, 40, 35
	w, x := normal(r, in*out), normal(r, in)
	for _, kind := range allWeights {
		want := multiplied(t, kind, packing(t, kind, w, in, out), in, out, x)
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for _, row := range []int{32, 40, 63} {
				sick := slices.Clone(w)
				sick[row*out+column] = float32(bad)
				got := multiplied(t, kind, packing(t, kind, sick, in, out), in, out, x)
				if v := float64(got[column]); !math.IsNaN(v) && !math.IsInf(v, 0) {
					t.Errorf("%s, %g in row %d: its column is %g", kind, bad, row, v)
				}
				got[column] = want[column]
				if i := differs(got, want); i >= 0 {
					t.Errorf("%s, %g in row %d of column %d: column %d is %g; want %g", kind, bad, row, column, i, got[i], want[i])
				}
			}
		}
	}
}
