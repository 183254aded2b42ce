package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Kinds of pages and encodings of values.
const (
	pageData       = 0
	pageDictionary = 2
	pageDataV2     = 3

	encodingPlain           = 0
	encodingPlainDictionary = 2
	encodingRuns            = 3 // truth values
	encodingDictionary      = 8
)

// reading is a column chunk at work.
type reading struct {
	column
	kind       int64 // physical type
	codec      int64
	dictionary []any
	rows       []map[string]any // that are left to fill
}

// readColumn fills one column of the rows of a group, page by page.
func readColumn(data []byte, meta fields, c column, rows []map[string]any) error {
	offset := meta.integer(9)
	if at := meta.integer(11); meta.has(11) && at > 0 && at < offset {
		offset = at
	}
	size := meta.integer(7)
	if offset < 0 || size < 0 || offset > int64(len(data)) || size > int64(len(data))-offset {
		return errMalformed
	}
	r := reading{column: c, kind: meta.integer(1), codec: meta.integer(4), rows: rows}
	chunk := data[offset : offset+size]
	for len(r.rows) > 0 {
		d := decoder{data: chunk}
		header := d.structure(0)
		if d.err != nil {
			return d.err
		}
		body := d.take(uint64(header.integer(3)))
		if d.err != nil {
			return d.err
		}
		if err := r.page(header, body); err != nil {
			return err
		}
		chunk = d.data
	}
	return nil
}

// page reads one page.
func (r *reading) page(header fields, body []byte) error {
	size := header.integer(2)
	if size < 0 || size > maxPageBytes {
		return fmt.Errorf("a page of %d bytes; want at most %d", size, maxPageBytes)
	}
	switch header.integer(1) {
	case pageDictionary:
		data, err := decompress(r.codec, body, int(size))
		if err != nil {
			return err
		}
		n := header.structure(7).integer(1)
		if n < 0 || n > maxRows {
			return errMalformed
		}
		r.dictionary, _, err = plain(r.kind, data, int(n))
		return err
	case pageData:
		data, err := decompress(r.codec, body, int(size))
		if err != nil {
			return err
		}
		return r.dataPage(header.structure(5), data)
	case pageDataV2:
		return r.dataPageV2(header.structure(8), body, int(size))
	}
	return nil // an index page: nothing to read
}

// dataPage reads levels, which say what is null, and values.
func (r *reading) dataPage(header fields, data []byte) error {
	n := header.integer(1)
	if n <= 0 || n > int64(len(r.rows)) {
		return errMalformed
	}
	var present []int
	if r.optional {
		if len(data) < 4 {
			return errMalformed
		}
		length := int64(binary.LittleEndian.Uint32(data))
		if length > int64(len(data)-4) {
			return errMalformed
		}
		var err error
		if present, err = runs(data[4:4+length], 1, int(n)); err != nil {
			return err
		}
		data = data[4+length:]
	}
	return r.fill(header.integer(2), data, int(n), present)
}

// dataPageV2 is dataPage with the levels in front of what is compressed.
func (r *reading) dataPageV2(header fields, body []byte, size int) error {
	n, levels, repeats := header.integer(1), header.integer(5), header.integer(6)
	if n <= 0 || n > int64(len(r.rows)) || repeats != 0 || levels < 0 || levels > int64(min(len(body), size)) {
		return errMalformed
	}
	var present []int
	var err error
	if r.optional {
		if present, err = runs(body[:levels], 1, int(n)); err != nil {
			return err
		}
	}
	data := body[levels:]
	if compressed, said := header[7].(bool); !said || compressed {
		if data, err = decompress(r.codec, data, size-int(levels)); err != nil {
			return err
		}
	}
	return r.fill(header.integer(4), data, int(n), present)
}

// fill gives values to the next n rows; present, where it is not nil, says which of them have one.
func (r *reading) fill(encoding int64, data []byte, n int, present []int) error {
	count := n
	if present != nil {
		count = 0
		for _, p := range present {
			count += p
		}
	}
	values, err := r.values(encoding, data, count)
	if err != nil {
		return err
	}
	for i, row := range r.rows[:n] {
		if present == nil || present[i] == 1 {
			row[r.name], values = values[0], values[1:]
		}
	}
	r.rows = r.rows[n:]
	return nil
}

// values decodes n values.
func (r *reading) values(encoding int64, data []byte, n int) ([]any, error) {
	switch encoding {
	case encodingPlain:
		values, _, err := plain(r.kind, data, n)
		return values, err
	case encodingRuns:
		if r.kind != typeBool || len(data) < 4 {
			return nil, errMalformed
		}
		return truths(runs(data[4:], 1, n))
	case encodingDictionary, encodingPlainDictionary:
		if n == 0 {
			return nil, nil
		}
		if len(data) == 0 || data[0] > 32 {
			return nil, errMalformed
		}
		indexes, err := runs(data[1:], int(data[0]), n)
		if err != nil {
			return nil, err
		}
		values := make([]any, n)
		for i, at := range indexes {
			if at >= len(r.dictionary) {
				return nil, errMalformed
			}
			values[i] = r.dictionary[at]
		}
		return values, nil
	}
	return nil, fmt.Errorf("encoding %d is not supported; plain and dictionary are", encoding)
}

// plain decodes n values that lie one after the other, and returns what follows.
func plain(kind int64, data []byte, n int) (values []any, rest []byte, err error) {
	width := map[int64]int{typeInt32: 4, typeInt64: 8, typeFloat: 4, typeDouble: 8}[kind]
	if kind == typeBool {
		values, err := truths(unpack(data, 1, n))
		return values, nil, err
	}
	for range n {
		length := width
		if kind == typeBytes {
			if len(data) < 4 {
				return nil, nil, errMalformed
			}
			length, data = int(binary.LittleEndian.Uint32(data)), data[4:]
		}
		switch {
		case length == 0 && kind != typeBytes:
			return nil, nil, fmt.Errorf("columns of type %d are not supported", kind)
		case length > len(data):
			return nil, nil, errMalformed
		}
		values = append(values, value(kind, data[:length]))
		data = data[length:]
	}
	return values, data, nil
}

// truths turns bits into truth values.
func truths(bits []int, err error) ([]any, error) {
	values := make([]any, len(bits))
	for i, b := range bits {
		values[i] = b == 1
	}
	return values, err
}

func value(kind int64, b []byte) any {
	switch kind {
	case typeInt32:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case typeInt64:
		return int64(binary.LittleEndian.Uint64(b))
	case typeFloat:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case typeDouble:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return string(b)
}

// runs decodes n numbers of a bit width from runs of one number and groups of packed ones.
func runs(data []byte, width, n int) ([]int, error) {
	numbers := make([]int, 0, n)
	for len(numbers) < n {
		head, used := binary.Uvarint(data)
		if used <= 0 || head>>1 == 0 {
			return nil, errors.New("malformed runs of numbers")
		}
		data = data[used:]
		left := n - len(numbers)
		if head&1 == 0 { // one number, head>>1 times
			bytes := (width + 7) / 8
			if bytes > len(data) {
				return nil, errors.New("malformed runs of numbers")
			}
			v := 0
			for i := range bytes {
				v |= int(data[i]) << (8 * i)
			}
			data = data[bytes:]
			for range min(uint64(left), head>>1) {
				numbers = append(numbers, v)
			}
			continue
		}
		if head>>1 > maxRows { // eight numbers a group
			return nil, errors.New("malformed runs of numbers")
		}
		count := min(left, int(head>>1)*8)
		packed, err := unpack(data, width, count)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, packed...)
		data = data[min(len(data), int(head>>1)*width):]
	}
	return numbers, nil
}

// unpack reads n numbers of a bit width, the lowest bits first.
func unpack(data []byte, width, n int) ([]int, error) {
	if (n*width+7)/8 > len(data) {
		return nil, errors.New("malformed packed numbers")
	}
	numbers := make([]int, n)
	for i := range numbers {
		for b := range width {
			at := i*width + b
			numbers[i] |= int(data[at/8]>>(at%8)&1) << b
		}
	}
	return numbers, nil
}
