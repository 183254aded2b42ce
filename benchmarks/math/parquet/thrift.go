package parquet

import (
	"encoding/binary"
	"errors"
	"math"
)

// fields is a Thrift structure: values by field id. A value is an int64, float64, bool, []byte, []any or fields.
type fields map[int64]any

func (f fields) integer(id int64) int64 {
	v, _ := f[id].(int64)
	return v
}

func (f fields) has(id int64) bool {
	_, ok := f[id]
	return ok
}

func (f fields) text(id int64) string {
	v, _ := f[id].([]byte)
	return string(v)
}

func (f fields) list(id int64) []any {
	v, _ := f[id].([]any)
	return v
}

func (f fields) structure(id int64) fields {
	v, _ := f[id].(fields)
	return v
}

// Types of Thrift's compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBytes  = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// maxDepth bounds structures within structures.
const maxDepth = 16

// decoder reads the compact protocol. After the first error everything is zero.
type decoder struct {
	data []byte
	err  error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errors.New("malformed Thrift data")
	}
	d.data = nil
}

func (d *decoder) byte() byte {
	if len(d.data) == 0 {
		d.fail()
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

func (d *decoder) varint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) zigzag() int64 {
	v := d.varint()
	return int64(v>>1) ^ -int64(v&1)
}

// take is the next n bytes.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.data)) {
		d.fail()
		return nil
	}
	b := d.data[:n]
	d.data = d.data[n:]
	return b
}

// structure reads fields until their end.
func (d *decoder) structure(depth int) fields {
	f := fields{}
	id := int64(0)
	for d.err == nil {
		head := d.byte()
		if head == 0 || d.err != nil {
			break
		}
		if step := int64(head >> 4); step > 0 {
			id += step
		} else {
			id = d.zigzag()
		}
		switch kind := head & 15; kind {
		case thriftTrue, thriftFalse:
			f[id] = kind == thriftTrue
		default:
			f[id] = d.value(kind, depth)
		}
	}
	return f
}

// value reads one value of a kind; truth values of lists are bytes.
func (d *decoder) value(kind byte, depth int) any {
	if depth > maxDepth {
		d.fail()
		return nil
	}
	switch kind {
	case thriftTrue, thriftFalse:
		return d.byte() == thriftTrue
	case thriftByte:
		return int64(int8(d.byte()))
	case thriftI16, thriftI32, thriftI64:
		return d.zigzag()
	case thriftDouble:
		if b := d.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case thriftBytes:
		return d.take(d.varint())
	case thriftList, thriftSet:
		return d.list(depth)
	case thriftMap:
		d.skipMap(depth)
	case thriftStruct:
		return d.structure(depth + 1)
	default:
		d.fail()
	}
	return nil
}

func (d *decoder) list(depth int) []any {
	head := d.byte()
	n := uint64(head >> 4)
	if n == 15 {
		n = d.varint()
	}
	if n > uint64(len(d.data)) { // each element takes a byte at least
		d.fail()
		return nil
	}
	var all []any
	for range n {
		if d.err != nil {
			return nil
		}
		all = append(all, d.value(head&15, depth+1))
	}
	return all
}

// skipMap reads past a map: Parquet's metadata has none that is needed.
func (d *decoder) skipMap(depth int) {
	n := d.varint()
	if n == 0 {
		return
	}
	kinds := d.byte()
	for range n {
		if d.err != nil {
			return
		}
		d.value(kinds>>4, depth+1)
		d.value(kinds&15, depth+1)
	}
}
