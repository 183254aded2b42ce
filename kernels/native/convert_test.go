package native

import (
	"math"
	"testing"

	"github.com/gomlx/compute/dtypes/float16"
)

// All f16 values there are, widened as another implementation does it, and back.
func TestHalfWidensAndComesBack(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		got, want := fromHalf(h), float16.Float16(h).Float32()
		if math.IsNaN(float64(want)) {
			if back := toHalf(got); !math.IsNaN(float64(got)) || back&0x7c00 != 0x7c00 || back&0x3ff == 0 {
				t.Fatalf("%#04x: got %g, and back %#04x; want NaN", h, got, back)
			}
			continue
		}
		if math.Float32bits(got) != math.Float32bits(want) || toHalf(got) != h {
			t.Fatalf("%#04x: got %g, and back %#04x; want %g", h, got, toHalf(got), want)
		}
	}
}

// Between all neighbours: what is halfway goes to the even one, what is a little beside it to the nearer. Beyond the largest is infinity,
// with as much room as if there were one more.
func TestHalfRoundsToNearestEven(t *testing.T) {
	for h := uint16(0); h < 0x7c00; h++ {
		next := float64(fromHalf(h + 1))
		if h == 0x7bff {
			next = 65536
		}
		halfway := float32((float64(fromHalf(h)) + next) / 2) // exact
		below, above := math.Nextafter32(halfway, 0), math.Nextafter32(halfway, math.MaxFloat32)
		for sign := range uint16(2) {
			s := float32(1 - 2*int(sign))
			got := [3]uint16{toHalf(s * below), toHalf(s * halfway), toHalf(s * above)}
			want := [3]uint16{h, h + h&1, h + 1}
			for i := range want {
				want[i] |= sign << 15
			}
			if got != want {
				t.Fatalf("around %g: got %#04x; want %#04x", s*halfway, got, want)
			}
		}
	}
	for _, x := range []float32{math.MaxFloat32, 1e6, float32(math.Inf(1))} {
		if got := toHalf(x); got != 0x7c00 {
			t.Errorf("%g: got %#04x; want infinity", x, got)
		}
	}
}

// Every bf16 value with its neighbours, likewise.
func TestBF16RoundsToNearestEven(t *testing.T) {
	for b := uint16(0); b < 0x7f80; b++ {
		halfway := math.Float32frombits(uint32(b)<<16 | 0x8000)
		got := [4]uint16{toBF16(fromBF16(b)), toBF16(math.Float32frombits(uint32(b)<<16 | 0x7fff)), toBF16(halfway), toBF16(-math.Float32frombits(uint32(b)<<16 | 0x8001))}
		if want := [4]uint16{b, b, b + b&1, (b + 1) | 0x8000}; got != want {
			t.Fatalf("around %g: got %#04x; want %#04x", halfway, got, want)
		}
	}
	for _, bits := range []uint32{0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff} { // rounding up may not make infinity, or zero, of NaN
		if got := toBF16(math.Float32frombits(bits)); !math.IsNaN(float64(fromBF16(got))) {
			t.Errorf("NaN %#08x: got %#04x; want NaN", bits, got)
		}
	}
	if got := toBF16(float32(math.Inf(-1))); got != 0xff80 {
		t.Errorf("-Inf: got %#04x; want 0xff80", got)
	}
}
