package gguf

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The values of every type are those of the format's own library, to the bit, in whatever pieces they are read.
func TestTypesAgainstTheReference(t *testing.T) {
	f, err := OpenFile("testdata/types.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	golden, err := os.ReadFile("testdata/types.f32")
	if err != nil {
		t.Fatal(err)
	}
	names := f.Names()
	if len(names) != len(kinds) || len(golden) != len(names)*512*4 {
		t.Fatalf("got %d tensors and %d bytes of values; want one tensor of each of %d types", len(names), len(golden), len(kinds))
	}
	for i, name := range names {
		tensor, _ := f.Tensor(name)
		if tensor.Type.String() != name || !slices.Equal(tensor.Dims, []int{2, 256}) || tensor.Len() != 512 {
			t.Fatalf("%s: got type %s, dimensions %v, %d values", name, tensor.Type, tensor.Dims, tensor.Len())
		}
		want := make([]float32, 512)
		if _, err := binary.Decode(golden[i*2048:], binary.LittleEndian, want); err != nil {
			t.Fatal(err)
		}
		for _, piece := range []int{512, 256, 100, 32, 7, 1} {
			compareValues(t, tensor, want, piece)
		}
	}
}

// compareValues reads the tensor in pieces.
func compareValues(t *testing.T, tensor Tensor, want []float32, piece int) {
	t.Helper()
	got := make([]float32, len(want))
	for from := 0; from < len(got); from += piece {
		tensor.Floats(got[from:min(from+piece, len(got))], from)
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && want[i] == want[i] {
			t.Fatalf("%s in pieces of %d: value %d is %g; want %g", tensor.Name, piece, i, got[i], want[i])
		}
	}
}

// Half-precision numbers of every kind widen exactly.
func TestHalf(t *testing.T) {
	for bits, want := range map[uint16]float32{0: 0, 1: 1.0 / (1 << 24), 0x3ff: 1023.0 / (1 << 24), 0x400: 1.0 / (1 << 14), 0x3c00: 1, 0xc000: -2, 0x7bff: 65504,
		0x7c00: float32(math.Inf(1)), 0xfc00: float32(math.Inf(-1))} {
		if got := half(binary.LittleEndian.AppendUint16(nil, bits)); got != want {
			t.Errorf("%#x is %g; want %g", bits, got, want)
		}
	}
	if got := half([]byte{1, 0x7c}); got == got {
		t.Errorf("got %g; want NaN", got)
	}
	if got := half([]byte{0, 0x80}); got != 0 || !math.Signbit(float64(got)) {
		t.Errorf("got %g; want -0", got)
	}
}

// A read outside the tensor is the caller's mistake.
func TestFloatsOutside(t *testing.T) {
	f, err := OpenFile("testdata/types.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tensor, _ := f.Tensor("Q4_K")
	for _, r := range [][2]int{{-1, 1}, {0, 513}, {512, 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d values from %d on: no panic", r[1], r[0])
				}
			}()
			tensor.Floats(make([]float32, r[1]), r[0])
		}()
	}
}

// Is tells files from folders.
func TestIs(t *testing.T) {
	if !Is("testdata/types.gguf") || Is("testdata") || Is(filepath.Join("testdata", "none.gguf")) {
		t.Error("Is takes a folder, or nothing, for a file")
	}
}
