package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Codecs of pages.
const (
	codecNone   = 0
	codecSnappy = 1
	codecGzip   = 2
)

// decompress returns size bytes.
func decompress(codec int64, data []byte, size int) ([]byte, error) {
	var err error
	switch codec {
	case codecNone:
	case codecSnappy:
		data, err = snappy(data, size)
	case codecGzip:
		data, err = gunzip(data, size)
	default:
		return nil, fmt.Errorf("compression %d is not supported; none, Snappy and gzip are", codec)
	}
	if err == nil && len(data) != size {
		err = fmt.Errorf("a page of %d bytes says that it has %d", len(data), size)
	}
	return data, err
}

func gunzip(data []byte, size int) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(z, int64(size)+1))
}

var errSnappy = errors.New("malformed Snappy data")

// snappy decodes a block of Snappy: literals, and copies of what came before.
func snappy(data []byte, size int) ([]byte, error) {
	length, used := binary.Uvarint(data)
	if used <= 0 || length != uint64(size) {
		return nil, errSnappy
	}
	data = data[used:]
	out := make([]byte, 0, min(size, 64*len(data)+64))
	for len(data) > 0 {
		n, distance, used := snappyTag(data)
		if used > len(data) || n > size-len(out) || distance > len(out) {
			return nil, errSnappy
		}
		data = data[used:]
		if distance == 0 {
			if n > len(data) {
				return nil, errSnappy
			}
			out, data = append(out, data[:n]...), data[n:]
			continue
		}
		for range n { // a copy may overlap itself
			out = append(out, out[len(out)-distance])
		}
	}
	return out, nil
}

// snappyTag reads the length and distance of the next element, 0 = literal, and how many bytes say so. Where they are cut off,
// used is more than there are.
func snappyTag(data []byte) (n, distance, used int) {
	tag := int(data[0])
	at := func(i int) int {
		if i < len(data) {
			return int(data[i])
		}
		return 0
	}
	malformed := len(data) + 1
	switch tag & 3 {
	case 0:
		n = tag >> 2
		extra := max(0, n-59)
		if extra > 0 {
			n = 0
			for i := range extra {
				n |= at(1+i) << (8 * i)
			}
		}
		return n + 1, 0, 1 + extra
	case 1:
		n, distance, used = 4+tag>>2&7, tag>>5<<8|at(1), 2
	case 2:
		n, distance, used = 1+tag>>2, at(1)|at(2)<<8, 3
	case 3:
		n, distance, used = 1+tag>>2, at(1)|at(2)<<8|at(3)<<16|at(4)<<24, 5
	}
	if distance == 0 {
		return 0, 0, malformed
	}
	return n, distance, used
}
