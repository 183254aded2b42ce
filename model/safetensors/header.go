// Package safetensors reads and writes checkpoints in the safetensors format: 8 bytes of header length (little endian),
// a JSON header that names each tensor with its type, dimensions and byte range, then the tensors' bytes.
// Files come from strangers: the whole header is checked against the file's size before anything of that size is allocated.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"astro/internal/strictjson"
)

// Limits of a header. The largest published Llamas have about 1,200 tensors and 150 KB of header.
const (
	maxHeaderBytes = 16 << 20
	maxTensors     = 1 << 16
	maxRank        = 8
	maxNameBytes   = 512
	lengthBytes    = 8 // of the header length in front of the header
)

// metadataKey is the header's one entry that is not a tensor.
const metadataKey = "__metadata__"

// parse reads the header in front of file, the bytes of a whole safetensors file. The tensors come in the order of their
// bytes and view file; metadata may be nil.
func parse(file []byte) (tensors []Tensor, metadata map[string]string, err error) {
	header, data, err := split(file)
	if err != nil {
		return nil, nil, err
	}
	entries, metadata, err := decodeHeader(header)
	if err != nil {
		return nil, nil, err
	}
	if err := checkLayout(entries, len(data)); err != nil {
		return nil, nil, err
	}
	tensors = make([]Tensor, len(entries))
	for i, e := range entries {
		tensors[i] = Tensor{Name: e.name, DType: e.DType, Dims: e.Shape, Data: data[e.Offsets[0]:e.Offsets[1]]}
	}
	return tensors, metadata, nil
}

// split cuts a file into its JSON header and its data.
func split(file []byte) (header, data []byte, err error) {
	if len(file) < lengthBytes {
		return nil, nil, fmt.Errorf("the file has %d bytes; a safetensors file starts with %d bytes of header length", len(file), lengthBytes)
	}
	n, rest := binary.LittleEndian.Uint64(file), file[lengthBytes:]
	if n > maxHeaderBytes {
		return nil, nil, fmt.Errorf("header length %d is above the limit of %d bytes; is this a safetensors file?", n, maxHeaderBytes)
	}
	if n > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("header length %d is more than the %d bytes that follow; the file is cut short", n, len(rest))
	}
	return rest[:n], rest[n:], nil
}

// entry is one tensor of the header as it is written there. Offsets are relative to the end of the header.
type entry struct {
	name    string
	DType   DType    `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// decodeHeader reads the JSON object entry by entry, so that duplicate names are seen (a Go map would hide them).
func decodeHeader(header []byte) (entries []entry, metadata map[string]string, err error) {
	if !utf8.Valid(header) {
		return nil, nil, errors.New("the header is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(header))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("the header is not a JSON object; is this a safetensors file?")
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := decodeName(d, seen)
		if err != nil {
			return nil, nil, err
		}
		if name == metadataKey {
			err = d.Decode(&metadata)
		} else {
			var e entry
			e, err = decodeEntry(d, name)
			entries = append(entries, e)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("header entry %q: %w", name, err)
		}
	}
	return entries, metadata, decodeEnd(d)
}

// decodeName reads the next key and refuses one that was there before.
func decodeName(d *json.Decoder, seen map[string]bool) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", fmt.Errorf("reading the header: %w", err)
	}
	name := t.(string) // the decoder gives keys as strings, else an error
	switch {
	case len(name) > maxNameBytes:
		return "", fmt.Errorf("a tensor's name has %d bytes; the limit is %d", len(name), maxNameBytes)
	case seen[name]:
		return "", fmt.Errorf("the header names %q twice", name)
	case len(seen) >= maxTensors:
		return "", fmt.Errorf("the header names more than %d tensors", maxTensors)
	}
	seen[name] = true
	return name, nil
}

// decodeEntry reads a tensor's entry and checks it alone: known type, sane dimensions, a byte range of just their size.
func decodeEntry(d *json.Decoder, name string) (entry, error) {
	// The range is a slice here because JSON fills a short array with zeros silently.
	var raw struct {
		DType   DType   `json:"dtype"`
		Shape   []int   `json:"shape"`
		Offsets []int64 `json:"data_offsets"`
	}
	var text json.RawMessage
	err := d.Decode(&text)
	if err == nil {
		err = exactEntry(text)
	}
	if err == nil {
		err = json.Unmarshal(text, &raw)
	}
	if err != nil {
		return entry{}, err
	}
	if raw.Shape == nil {
		return entry{}, errors.New("shape is missing")
	}
	if len(raw.Offsets) != 2 {
		return entry{}, fmt.Errorf("data_offsets has %d numbers; want begin and end", len(raw.Offsets))
	}
	e := entry{name: name, DType: raw.DType, Shape: raw.Shape, Offsets: [2]int64(raw.Offsets)}
	want, err := byteSize(e.DType, e.Shape)
	if err != nil {
		return entry{}, err
	}
	if e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] {
		return entry{}, fmt.Errorf("data_offsets %v is not a range", e.Offsets)
	}
	if got := e.Offsets[1] - e.Offsets[0]; got != want {
		return entry{}, fmt.Errorf("data_offsets %v is %d bytes; %s %v takes %d", e.Offsets, got, e.DType, e.Shape, want)
	}
	return e, nil
}

// exactEntry refuses names that encoding/json would take for ours in another case, or that are there twice: another reader could
// see another tensor.
func exactEntry(text json.RawMessage) error {
	if err := strictjson.Check(text); err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	for name := range fields {
		if name != "dtype" && name != "shape" && name != "data_offsets" {
			return fmt.Errorf("unknown field %q", clip(name))
		}
	}
	return nil
}

// decodeEnd reads the closing brace; only white space (padding) may follow.
func decodeEnd(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("reading the header: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("the header has more after its JSON object")
	}
	return nil
}

// byteSize is a tensor's size in bytes, or an error where it does not fit an int64.
func byteSize(t DType, dims []int) (int64, error) {
	if t.Size() == 0 {
		return 0, fmt.Errorf("dtype %q is unknown", clip(string(t)))
	}
	if len(dims) > maxRank {
		return 0, fmt.Errorf("%d dimensions; the limit is %d", len(dims), maxRank)
	}
	size := int64(t.Size())
	for _, n := range dims {
		if n < 0 || n > 0 && size > maxFileBytes/int64(n) {
			return 0, fmt.Errorf("dimensions %v are negative or exceed %d bytes", dims, int64(maxFileBytes))
		}
		size *= int64(n)
	}
	return size, nil
}

// checkLayout sorts entries by position and demands what the format does: they follow each other without overlap or hole, from
// the first byte of the data to the last. A file that was cut short, or hides bytes, fails here.
func checkLayout(entries []entry, dataBytes int) error {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Offsets[0], b.Offsets[0]), cmp.Compare(a.Offsets[1], b.Offsets[1]), strings.Compare(a.name, b.name))
	})
	end := int64(0)
	for _, e := range entries {
		if e.Offsets[0] != end {
			return fmt.Errorf("tensor %q starts at byte %d of the data, but what is before it ends at %d", e.name, e.Offsets[0], end)
		}
		end = e.Offsets[1]
	}
	if end != int64(dataBytes) {
		return fmt.Errorf("the tensors take %d bytes, but the file has %d after its header; it is cut short or damaged", end, dataBytes)
	}
	return nil
}

// clip shortens text from a file for an error message.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
