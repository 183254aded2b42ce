package model

import (
	"fmt"
	"strings"
)

// Tensor parallelism (Shoeybi et al., arXiv 1909.08053): each of n devices has some of the heads and some of the feed-forward network, the
// columns of the matrices that lead there and the rows of those that lead back, so that a layer needs two sums over the devices.
// The embedding is cut along hidden and the head along the vocabulary. Norms are whole everywhere.

// Share is the Config of what one of n devices has: Heads, KVHeads, FFN and Vocab are its own, Hidden stays, for every device sees whole
// hidden states. The error names what does not divide by n, and by what all of it does.
func (c Config) Share(n int) (Config, error) {
	if n < 1 {
		return Config{}, fmt.Errorf("share a model among %d devices; want at least 1", n)
	}
	if what := c.undivided(n); what != "" {
		return Config{}, fmt.Errorf("share a model among %d devices: its %s do not divide by %d; it can be shared among %s", n, what, n, c.shareable())
	}
	c.Heads, c.KVHeads, c.FFN, c.Vocab = c.Heads/n, c.KVHeads/n, c.FFN/n, c.Vocab/n
	return c, nil
}

// undivided lists what does not divide by n; "" = all does.
func (c Config) undivided(n int) string {
	var found []string
	for _, f := range []struct {
		name string
		size int
	}{{"key-value heads", c.KVHeads}, {"query heads", c.Heads}, {"feed-forward columns", c.FFN}, {"token ids", c.Vocab}, {"hidden columns", c.Hidden}} {
		if f.size%n != 0 {
			found = append(found, fmt.Sprintf("%d %s", f.size, f.name))
		}
	}
	return strings.Join(found, " and ")
}

// shareable lists the numbers of devices that c divides by.
func (c Config) shareable() string {
	var list []string
	for n := 1; n <= c.KVHeads; n++ {
		if c.undivided(n) == "" {
			list = append(list, fmt.Sprint(n))
		}
	}
	return strings.Join(list, ", ")
}

// ShareDims are the dimensions of the part of s that each of n devices has.
func (s TensorSpec) ShareDims(n int) []int {
	switch {
	case s.Norm():
		return s.Dims
	case s.cutByRows():
		return []int{s.Dims[0] / n, s.Dims[1]}
	}
	return []int{s.Dims[0], s.Dims[1] / n}
}

// ShareOf cuts device d's part, of n, out of the values of s in row order, each of so many bytes. Of what is several parts side by side, as
// queries, keys and values, a device has its columns of each.
func (s TensorSpec) ShareOf(values []byte, bytes, d, n int) []byte {
	if len(values) != bytes*s.Len() || d < 0 || d >= n {
		panic(fmt.Sprintf("BUG: got %d bytes for share %d of %d of %s %v; want %d values of %d bytes", len(values), d, n, s.Name, s.Dims, s.Len(), bytes))
	}
	switch {
	case s.Norm() || n == 1:
		return values
	case s.cutByRows():
		return ShareOfRows(values, d, n)
	}
	share := make([]byte, 0, len(values)/n)
	for row := 0; row < len(values); row += s.Dims[1] * bytes {
		at := row
		for _, width := range s.partColumns() {
			size := width * bytes
			share = append(share, values[at+d*size/n:at+(d+1)*size/n]...)
			at += size
		}
	}
	return share
}

// ShareOfRows cuts device d's rows, of n, out of the values of a matrix in row order: of the embedding [vocab, hidden] what is a device's head.
func ShareOfRows(values []byte, d, n int) []byte {
	size := len(values) / n
	return values[d*size : (d+1)*size]
}

// cutByRows says that s leads back from heads or the feed-forward network to hidden states.
func (s TensorSpec) cutByRows() bool {
	return strings.HasSuffix(s.Name, "_o") || strings.HasSuffix(s.Name, "_down")
}

// partColumns are the widths of the parts of s, side by side.
func (s TensorSpec) partColumns() []int {
	if !s.Transposed() {
		return []int{s.Dims[1]}
	}
	widths := make([]int, len(s.Parts))
	for i, p := range s.Parts {
		widths[i] = p.Dims[0]
	}
	return widths
}
