package hlo

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is a message of one field more.
func field(number protowire.Number, value any) []byte {
	switch v := value.(type) {
	case int:
		return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(v))
	case string:
		return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), v)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value.([]byte))
}

// op is an instruction whose result is bf16 [2, 3].
func op(name, opcode string, more ...[]byte) []byte {
	packed := protowire.AppendVarint(protowire.AppendVarint(nil, 2), 3)
	shape := slices.Concat(field(2, 16), field(3, packed))
	return field(2, slices.Concat(append([][]byte{field(1, name), field(2, opcode), field(3, shape)}, more...)...))
}

// sample has a program that calls a fusion, whose inner copy is not in memory, and a custom function.
func sample() []byte {
	entry := slices.Concat(field(1, "main"), op("f", "fusion", field(38, 7)), op("c", "custom-call", field(28, "cublas")), field(5, 1))
	fused := slices.Concat(field(1, "fused"), op("x", "copy"), field(5, 7))
	return field(1, slices.Concat(field(1, "module"), field(3, fused), field(3, entry)))
}

func TestParse(t *testing.T) {
	m, err := Parse(sample())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Instruction{
		{Name: "x", Opcode: "copy", Computation: "fused"},
		{Name: "f", Opcode: "fusion", Computation: "main", InMemory: true},
		{Name: "c", Opcode: "custom-call", Target: "cublas", Computation: "main", InMemory: true},
	} {
		got := m.Instructions[i]
		if got.Shape.Bytes() != 12 || !slices.Equal(got.Shape.Dims, []int64{2, 3}) {
			t.Errorf("%s has shape %+v of %d bytes; want [2, 3] of 12", got.Name, got.Shape, got.Shape.Bytes())
		}
		if got.Shape = (Shape{}); got.Name != want.Name || got.Opcode != want.Opcode || got.Target != want.Target || got.Computation != want.Computation || got.InMemory != want.InMemory {
			t.Errorf("got %+v; want %+v", got, want)
		}
	}
}

func TestBytesOfTuple(t *testing.T) {
	s := Shape{Type: 13, Fields: []Shape{{Type: 11, Dims: []int64{4}}, {Type: 16}}}
	if s.Bytes() != 18 {
		t.Errorf("got %d bytes; want 18", s.Bytes())
	}
}

// What is cut short or empty is an error or a shorter program, never a panic.
func FuzzParse(f *testing.F) {
	f.Add(sample())
	f.Add(sample()[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := Parse(data); err == nil && len(m.Instructions) == 0 {
			t.Error("no instructions and no error")
		}
	})
}
