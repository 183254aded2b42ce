// Package parquet reads small Parquet files with flat columns, which is how the hub keeps some problem sets: text, numbers
// and truth values, plain or by dictionary, uncompressed or with Snappy or gzip. Columns of lists or groups are left out. Any
// file, also a hostile one, gives rows or an error, within bounded memory.
package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of a file.
const (
	MaxFileBytes = 64 << 20
	maxPageBytes = 64 << 20
	maxRows      = 200_000
	maxCells     = 20_000_000
)

const magic = "PAR1"

// Physical types of columns.
const (
	typeBool   = 0
	typeInt32  = 1
	typeInt64  = 2
	typeFloat  = 4
	typeDouble = 5
	typeBytes  = 6
)

// Rows returns the rows of a file. A cell is a string, int64, float64 or bool; one that is null is absent.
func Rows(data []byte) ([]map[string]any, error) {
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("a Parquet file of %d bytes; want at most %d", len(data), MaxFileBytes)
	}
	footer, err := readFooter(data)
	if err != nil {
		return nil, err
	}
	columns, err := footer.columns()
	if err != nil {
		return nil, err
	}
	n := footer.integer(3)
	if n < 0 || n > maxRows || n*int64(len(columns)) > maxCells {
		return nil, fmt.Errorf("a Parquet file of %d rows; want at most %d", n, maxRows)
	}
	var rows []map[string]any
	for _, g := range footer.list(4) {
		group, ok := g.(fields)
		if !ok {
			return nil, errMalformed
		}
		if rows, err = readGroup(data, group, columns, rows); err != nil {
			return nil, err
		}
	}
	if int64(len(rows)) != n {
		return nil, fmt.Errorf("the Parquet file says that it has %d rows and has %d", n, len(rows))
	}
	return rows, nil
}

var errMalformed = errors.New("malformed Parquet metadata")

// readFooter finds and parses the metadata at the end of a file.
func readFooter(data []byte) (fields, error) {
	end := len(data) - 8
	if end < 4 || string(data[:4]) != magic || string(data[end+4:]) != magic {
		return nil, errors.New("not a Parquet file")
	}
	length := int64(binary.LittleEndian.Uint32(data[end:]))
	if length > int64(end-4) {
		return nil, errMalformed
	}
	d := decoder{data: data[end-int(length) : end]}
	footer := d.structure(0)
	return footer, d.err
}

// column is a leaf of the schema.
type column struct {
	name     string
	optional bool
}

// columns are the flat ones, by name.
func (f fields) columns() (map[string]column, error) {
	schema := f.list(2)
	if len(schema) == 0 {
		return nil, errMalformed
	}
	found := map[string]column{}
	for _, e := range schema[1:] {
		element, ok := e.(fields)
		if !ok {
			return nil, errMalformed
		}
		// Leaves of groups are here too; their chunks have longer paths, which readGroup leaves out.
		if element.integer(5) == 0 && element.integer(3) != 2 {
			name := element.text(4)
			found[name] = column{name, element.integer(3) == 1}
		}
	}
	return found, nil
}

// readGroup appends the rows of one row group.
func readGroup(data []byte, group fields, columns map[string]column, rows []map[string]any) ([]map[string]any, error) {
	n := group.integer(3)
	if n < 0 || n > maxRows-int64(len(rows)) {
		return nil, fmt.Errorf("a row group of %d rows after %d: want at most %d in all", n, len(rows), maxRows)
	}
	start := len(rows)
	for range n {
		rows = append(rows, map[string]any{})
	}
	for _, c := range group.list(1) {
		chunk, ok := c.(fields)
		if !ok {
			return nil, errMalformed
		}
		meta := chunk.structure(3)
		path := meta.list(3)
		if len(path) != 1 {
			continue
		}
		name, _ := path[0].([]byte)
		col, ok := columns[string(name)]
		if !ok {
			continue
		}
		if err := readColumn(data, meta, col, rows[start:]); err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
	}
	return rows, nil
}
