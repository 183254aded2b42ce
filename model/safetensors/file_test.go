package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// file puts a header in front of data.
func file(header string, data string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header+data...)
}

const good = `{"__metadata__": {"format": "pt"}, "b": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [8, 12]},` +
	` "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "none": {"dtype": "F32", "shape": [0, 3], "data_offsets": [8, 8]}}  `

func TestParse(t *testing.T) {
	tensors, metadata, err := parse(file(good, "\x00\x00\x80\x3f\x00\x00\x00\xc0\x80\x3f\x00\xc0"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range tensors {
		names = append(names, x.Name)
	}
	if !slices.Equal(names, []string{"a", "none", "b"}) || metadata["format"] != "pt" {
		t.Errorf("got %v and %v", names, metadata)
	}
	for _, x := range []Tensor{tensors[0], tensors[2]} {
		values := make([]float32, 2)
		x.Floats(values, 0)
		if !slices.Equal(values, []float32{1, -2}) {
			t.Errorf("%s is %v; want 1, -2", x.Name, values)
		}
	}
}

// TestSec_R18ParseRefuses holds one file for each rule of the format.
func TestSec_R18ParseRefuses(t *testing.T) {
	one := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"a": {"dtype": %q, "shape": %s, "data_offsets": %s}}`, dtype, shape, offsets)
	}
	two := func(first, second string) string {
		return fmt.Sprintf(`{"a": {"dtype": "U8", "shape": [4], "data_offsets": %s}, "b": {"dtype": "U8", "shape": [4], "data_offsets": %s}}`, first, second)
	}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "has 0 bytes"},
		{"no header", []byte("1234567"), "has 7 bytes"},
		{"not safetensors", []byte("GGUF\x03\x00\x00\x00................"), "above the limit"},
		{"length overflows", file("", "")[:0:0], "has 0 bytes"},
		{"length of 2^64-1", append(bytes.Repeat([]byte{0xff}, 8), '{', '}'), "above the limit"},
		{"header cut short", file(`{"a":`, "")[:10], "cut short"},
		{"not an object", file(`[1]`, ""), "not a JSON object"},
		{"not JSON", file(`{"a" 1}`, ""), `header entry "a"`},
		{"open object", file(`{`, ""), "reading the header"},
		{"more behind", file(`{} {}`, ""), "more after its JSON object"},
		{"not UTF-8", file("{\"\xff\": 1}", ""), "not UTF-8"},
		{"same name twice", file(`{"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}, "a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}`, ""), `names "a" twice`},
		{"metadata twice", file(`{"__metadata__": {}, "__metadata__": {}}`, ""), "twice"},
		{"metadata of numbers", file(`{"__metadata__": {"a": 1}}`, ""), `entry "__metadata__"`},
		{"long name", file(`{"`+strings.Repeat("x", 513)+`": 1}`, ""), "513 bytes; the limit is 512"},
		{"unknown key", file(`{"a": {"dtype": "U8", "shape": [], "data_offsets": [0, 1], "x": 1}}`, "1"), `unknown field "x"`},
		{"unknown dtype", file(one("F4", "[2]", "[0, 1]"), "1"), `dtype "F4" is unknown`},
		{"no dtype", file(`{"a": {"shape": [1], "data_offsets": [0, 1]}}`, "1"), `dtype "" is unknown`},
		{"no shape", file(`{"a": {"dtype": "U8", "data_offsets": [0, 1]}}`, "1"), "shape is missing"},
		{"no offsets", file(`{"a": {"dtype": "U8", "shape": [1]}}`, "1"), "data_offsets has 0 numbers"},
		{"three offsets", file(one("U8", "[1]", "[0, 1, 2]"), "1"), "data_offsets has 3 numbers"},
		{"fraction", file(one("U8", "[1.5]", "[0, 1]"), "1"), "1.5"},
		{"nine dimensions", file(one("U8", "[1,1,1,1,1,1,1,1,1]", "[0, 1]"), "1"), "9 dimensions; the limit is 8"},
		{"negative dimension", file(one("U8", "[-1, -1]", "[0, 1]"), "1"), "negative or exceed"},
		{"product overflows", file(one("F32", "[4294967296, 4294967296]", "[0, 0]"), ""), "negative or exceed"},
		{"product wraps to 0", file(one("U8", "[4611686018427387904, 4]", "[0, 0]"), ""), "negative or exceed"},
		{"range too small", file(one("F32", "[2]", "[0, 4]"), "1234"), "is 4 bytes; F32 [2] takes 8"},
		{"range backwards", file(one("U8", "[4]", "[4, 0]"), "1234"), "is not a range"},
		{"range negative", file(one("U8", "[4]", "[-4, 0]"), "1234"), "is not a range"},
		{"range past the end", file(one("U8", "[8]", "[0, 8]"), "1234"), "cut short or damaged"},
		{"bytes left over", file(one("U8", "[2]", "[0, 2]"), "1234"), "the file has 4 after its header"},
		{"data without tensors", file(`{}`, "1234"), "the file has 4 after its header"},
		{"overlap", file(two("[0, 4]", "[2, 6]"), "123456"), `tensor "b" starts at byte 2`},
		{"same range", file(two("[0, 4]", "[0, 4]"), "1234"), `tensor "b" starts at byte 0`},
		{"hole", file(two("[0, 4]", "[5, 9]"), "123456789"), `tensor "b" starts at byte 5`},
		{"late start", file(two("[1, 5]", "[5, 9]"), "123456789"), `tensor "a" starts at byte 1`},
	} {
		_, _, err := parse(c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want an error with %q", c.name, err, c.want)
		}
	}
}

func TestSec_R18ParseLimitsTensors(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"x": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}`)
	for i := range maxTensors {
		fmt.Fprintf(&b, `,"%d": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}`, i)
	}
	b.WriteString("}")
	if _, _, err := parse(file(b.String(), "")); err == nil || !strings.Contains(err.Error(), "more than 65536 tensors") {
		t.Errorf("got %v", err)
	}
}

// FuzzHeader: any bytes give an error or tensors that tile the data exactly and can be read to their last element.
func FuzzHeader(f *testing.F) {
	f.Add(file(good, "123456789012"))
	f.Add(file(`{}`, ""))
	f.Add(file(`{"a": {"dtype": "F16", "shape": [1, 2], "data_offsets": [0, 4]}}`, "1234"))
	f.Add(file(`{"a": {"dtype": "U8", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}`, ""))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, _, err := parse(data)
		if err != nil {
			return
		}
		total := lengthBytes + int(binary.LittleEndian.Uint64(data))
		names := map[string]bool{}
		for _, x := range tensors {
			n := x.DType.Size()
			for _, d := range x.Dims {
				n *= d
			}
			if n != len(x.Data) || names[x.Name] {
				t.Fatalf("%q %s %v has %d bytes, name seen: %t", x.Name, x.DType, x.Dims, len(x.Data), names[x.Name])
			}
			names[x.Name], total = true, total+n
			if x.DType.Float() {
				x.Floats(make([]float32, x.Len()), 0)
			}
		}
		if total != len(data) {
			t.Fatalf("tensors end at byte %d of %d", total, len(data))
		}
	})
}

func write(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	for _, second := range []string{"12345678", "abcdefgh"} { // the second time it is replaced
		entries := []Entry{
			{"b", BF16, []int{1, 2}, write([]byte{0x80, 0x3f, 0x00, 0xc0})},
			{"scalar", F32, nil, write([]byte{0, 0, 0x80, 0x3f})},
			{"a\n\"ü", "U8", []int{8}, write([]byte(second))},
		}
		if err := WriteFile(path, entries, map[string]string{"format": "pt"}); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors) != 3 || f.Metadata["format"] != "pt" || f.Tensors[2].Name != "a\n\"ü" || string(f.Tensors[2].Data) != second ||
			len(f.Tensors[1].Dims) != 0 || f.Tensors[1].Len() != 1 {
			t.Errorf("read back %+v with %v", f.Tensors, f.Metadata)
		}
		raw, _ := os.ReadFile(path)
		if n := binary.LittleEndian.Uint64(raw); n%8 != 0 {
			t.Errorf("the header has %d bytes; want a multiple of 8", n)
		}
		if err := errors.Join(f.Close(), f.Close()); err != nil { // closing twice is harmless
			t.Error(err)
		}
	}
}

// TestWriteFileIsAtomic: whatever fails, the old file stays and nothing is left beside it.
func TestWriteFileIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.safetensors")
	if err := WriteFile(path, []Entry{{"a", "U8", []int{1}, write([]byte{7})}}, nil); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	for _, entries := range [][]Entry{
		{{"a", "U8", []int{1}, func(io.Writer) error { return full }}},
		{{"a", "U8", []int{0}, write(nil)}, {"a", "U8", []int{0}, write(nil)}},
		{{"__metadata__", "U8", []int{0}, write(nil)}},
		{{"a", "Q4", []int{0}, write(nil)}},
		{{"a", "U8", []int{1 << 62, 1 << 62}, write(nil)}},
	} {
		if err := WriteFile(path, entries, nil); err == nil || !strings.Contains(err.Error(), "writing "+path) {
			t.Errorf("%v: got %v", entries, err)
		}
	}
	func() { // a writer that does not keep its word is a bug of the caller, and even then nothing is left
		defer func() {
			if text, _ := recover().(string); !strings.Contains(text, "wrote 2 bytes; want 1") {
				t.Errorf("panic %q", text)
			}
		}()
		WriteFile(path, []Entry{{"a", "U8", []int{1}, write([]byte{1, 2})}}, nil)
	}()
	raw, err := os.ReadFile(path)
	if err != nil || raw[len(raw)-1] != 7 {
		t.Errorf("the old file changed: %v, %v", raw, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// TestFromF16 compares every one of the 65,536 values with the definition.
func TestFromF16(t *testing.T) {
	for h := range 1 << 16 {
		exponent, fraction := h>>10&0x1f, float64(h&0x3ff)
		want := math.Ldexp(1+fraction/1024, exponent-15)
		switch {
		case exponent == 0:
			want = math.Ldexp(fraction/1024, -14)
		case exponent == 31 && fraction == 0:
			want = math.Inf(1)
		case exponent == 31:
			want = math.NaN()
		}
		if h&0x8000 != 0 {
			want = -want
		}
		got := float64(fromF16(uint16(h)))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != math.Signbit(want) && !math.IsNaN(want) {
			t.Fatalf("%#04x is %g; want %g", h, got, want)
		}
	}
}

// TestToBF16: values that BF16 holds stay, halves round to even, NaN stays NaN, and nothing nearer exists.
func TestToBF16(t *testing.T) {
	for h := range 1 << 16 {
		f := math.Float32frombits(uint32(h) << 16)
		if got := ToBF16(f); f == f && got != uint16(h) || f != f && got&0x7fff <= 0x7f80 {
			t.Fatalf("%#04x became %#04x", h, got)
		}
	}
	for bits, want := range map[uint32]uint16{
		0x3f808000: 0x3f80, 0x3f818000: 0x3f82, 0x3f808001: 0x3f81, 0x3f807fff: 0x3f80,
		0x7f7fffff: 0x7f80, 0xff7fffff: 0xff80, 0x7f800001: 0x7fc0, 0x00000001: 0,
	} {
		if got := ToBF16(math.Float32frombits(bits)); got != want {
			t.Errorf("%#08x became %#04x; want %#04x", bits, got, want)
		}
	}
}

func TestFloatsWantsARange(t *testing.T) {
	x := Tensor{Name: "a", DType: F32, Dims: []int{2}, Data: make([]byte, 8)}
	for name, f := range map[string]func(){
		"past the end": func() { x.Floats(make([]float32, 2), 1) },
		"negative":     func() { x.Floats(make([]float32, 1), -1) },
		"integers":     func() { Tensor{Name: "b", DType: "I32", Data: make([]byte, 8)}.Floats(make([]float32, 1), 0) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "BUG: Floats got") {
					t.Errorf("%s: panic %q", name, text)
				}
			}()
			f()
		}()
	}
}

func BenchmarkFloats(b *testing.B) {
	for _, dtype := range []DType{F32, F16, BF16} {
		b.Run(string(dtype), func(b *testing.B) {
			dst := make([]float32, 1<<16)
			x := Tensor{Name: "a", DType: dtype, Data: make([]byte, dtype.Size()<<16)}
			b.SetBytes(int64(len(x.Data)))
			for b.Loop() {
				x.Floats(dst, 0)
			}
		})
	}
}
