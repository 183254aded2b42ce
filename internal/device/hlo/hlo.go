// Package hlo reads what XLA's compiler made of a program: enough of HloModuleProto (xla/service/hlo.proto) to see which operations there
// are and what size their results have.
package hlo

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Module is an optimised program.
type Module struct {
	Instructions []Instruction // of all computations
}

// Instruction is one operation.
type Instruction struct {
	Name        string
	Opcode      string // such as "fusion", "copy", "custom-call"
	Target      string // of a custom call
	Computation string // that it is in
	InMemory    bool   // its result is an array of its own, as in the program itself and in the bodies of loops; inside a fusion there is none
	Shape       Shape
}

// Shape is the type of an instruction's result.
type Shape struct {
	Type   int64 // xla.PrimitiveType
	Dims   []int64
	Fields []Shape // of a tuple
}

// elementBytes are the sizes of xla.PrimitiveType: PRED, S8 to S64, U8 to U64, F16, F32, F64, BF16, and the types of 8 bits.
var elementBytes = map[int64]int64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 2, 8: 4, 9: 8, 10: 2, 11: 4, 12: 8, 16: 2, 19: 1, 20: 1, 23: 1, 24: 1, 25: 1}

// Bytes is the size of a value of the shape; a tuple's is that of its fields.
func (s Shape) Bytes() (n int64) {
	for _, f := range s.Fields {
		n += f.Bytes()
	}
	if size := elementBytes[s.Type]; size > 0 {
		n = size
		for _, d := range s.Dims {
			n *= d
		}
	}
	return n
}

// Parse reads a serialised HloModuleProtoWithConfig.
func Parse(data []byte) (*Module, error) {
	m := &Module{}
	err := fields(data, func(number protowire.Number, value []byte) error {
		if number != 1 {
			return nil
		}
		return m.parse(value)
	})
	if err == nil && len(m.Instructions) == 0 {
		err = fmt.Errorf("it has no instructions")
	}
	if err != nil {
		return nil, fmt.Errorf("read optimised program of %d bytes: %w", len(data), err)
	}
	return m, nil
}

// Count is how many operations of a kind there are; of custom calls, those of a target.
func (m *Module) Count(opcode, target string) (n int) {
	for _, i := range m.Instructions {
		if i.Opcode == opcode && i.Target == target {
			n++
		}
	}
	return n
}

// parse reads a HloModuleProto. A computation that a fusion calls has no results in memory.
func (m *Module) parse(data []byte) error {
	fused := map[int64]bool{}
	numbers := map[string]int64{}
	err := fields(data, func(number protowire.Number, value []byte) error {
		if number != 3 { // computations
			return nil
		}
		return m.computation(value, numbers, fused)
	})
	for i := range m.Instructions {
		m.Instructions[i].InMemory = !fused[numbers[m.Instructions[i].Computation]]
	}
	return err
}

// computation reads a HloComputationProto; its number goes to numbers, and what its fusions call to fused.
func (m *Module) computation(data []byte, numbers map[string]int64, fused map[int64]bool) error {
	name, first := "", len(m.Instructions)
	var id int64
	err := fields(data, func(number protowire.Number, value []byte) (err error) {
		switch number {
		case 1:
			name = string(value)
		case 2:
			var i Instruction
			var calls []int64
			i, calls, err = instruction(value)
			m.Instructions = append(m.Instructions, i)
			if slices.Contains([]string{"fusion", "reduce", "scatter", "sort", "map", "reduce-window", "select-and-scatter", "all-reduce"}, i.Opcode) {
				for _, c := range calls {
					fused[c] = true
				}
			}
		case 5:
			id, _ = varint(value)
		}
		return err
	})
	numbers[name] = id
	for i := range m.Instructions[first:] {
		m.Instructions[first+i].Computation = name
	}
	return err
}

// instruction reads a HloInstructionProto and the numbers of the computations that it calls.
func instruction(data []byte) (i Instruction, calls []int64, err error) {
	err = fields(data, func(number protowire.Number, value []byte) (err error) {
		switch number {
		case 1:
			i.Name = string(value)
		case 2:
			i.Opcode = string(value)
		case 3:
			i.Shape, err = shape(value)
		case 28:
			i.Target = string(value)
		case 38:
			calls, err = varints(calls, value)
		}
		return err
	})
	return i, calls, err
}

// shape reads a ShapeProto.
func shape(data []byte) (s Shape, err error) {
	err = fields(data, func(number protowire.Number, value []byte) (err error) {
		switch number {
		case 2:
			s.Type, err = varint(value)
		case 3:
			s.Dims, err = varints(s.Dims, value)
		case 4:
			var f Shape
			f, err = shape(value)
			s.Fields = append(s.Fields, f)
		}
		return err
	})
	return s, err
}

// fields calls each with every field's number and its bytes, which for a number are its varint.
func fields(data []byte, each func(number protowire.Number, value []byte) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		size := protowire.ConsumeFieldValue(number, kind, data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		value := data[:size]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		if err := each(number, value); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

func varint(value []byte) (int64, error) {
	v, n := protowire.ConsumeVarint(value)
	if n < 0 {
		return 0, protowire.ParseError(n)
	}
	return int64(v), nil
}

// varints appends packed numbers, or one that is not packed, to list.
func varints(list []int64, value []byte) ([]int64, error) {
	for len(value) > 0 {
		v, n := protowire.ConsumeVarint(value)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		list, value = append(list, int64(v)), value[n:]
	}
	return list, nil
}
