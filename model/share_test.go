package model

import (
	"slices"
	"strings"
	"testing"
)

// Of each matrix a device has its heads' or its feed-forward columns, or the rows that belong to them; together the devices have everything once.
func TestShareOf(t *testing.T) {
	c := Config{Vocab: 4, Hidden: 2, Layers: 1, Heads: 4, KVHeads: 2, HeadDim: 2, FFN: 4}
	whole := func(s TensorSpec) []byte {
		values := make([]byte, s.Len())
		for i := range values {
			values[i] = byte(i)
		}
		return values
	}
	for name, want := range map[string][2][]byte{
		"embed":       {{0, 2, 4, 6}, {1, 3, 5, 7}},                               // [4, 2] by columns
		"head":        {{0, 1, 4, 5}, {2, 3, 6, 7}},                               // [2, 4] by columns
		"norm":        {{0, 1}, {0, 1}},                                           // whole
		"layer0_down": {{0, 1, 2, 3}, {4, 5, 6, 7}},                               // [4, 2] by rows
		"layer0_o":    {{0, 1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 11, 12, 13, 14, 15}}, // [8, 2] by rows
		// [2, 16]: eight columns of queries, four of keys, four of values; a device has half of each
		"layer0_qkv": {{0, 1, 2, 3, 8, 9, 12, 13, 16, 17, 18, 19, 24, 25, 28, 29}, {4, 5, 6, 7, 10, 11, 14, 15, 20, 21, 22, 23, 26, 27, 30, 31}},
		// [2, 8]: four columns of gate, four of up
		"layer0_gate_up": {{0, 1, 4, 5, 8, 9, 12, 13}, {2, 3, 6, 7, 10, 11, 14, 15}},
	} {
		at := slices.IndexFunc(Layout(c), func(s TensorSpec) bool { return s.Name == name })
		s := Layout(c)[at]
		for d, part := range want {
			if got := s.ShareOf(whole(s), 1, d, 2); !slices.Equal(got, part) {
				t.Errorf("%s %v: device %d has %v; want %v", name, s.Dims, d, got, part)
			}
		}
		if dims := s.ShareDims(2); dims[0]*dims[len(dims)-1] != len(want[0]) && len(dims) == 2 {
			t.Errorf("%s: a share has dimensions %v; want %d values", name, dims, len(want[0]))
		}
	}
	if got := ShareOfRows([]byte{0, 1, 2, 3, 4, 5, 6, 7}, 1, 2); !slices.Equal(got, []byte{4, 5, 6, 7}) {
		t.Errorf("the second half of the rows is %v", got)
	}
}

// The Layout of a share's Config has the sizes of the shares, so that memory can be planned by it.
func TestShare(t *testing.T) {
	c := Config{Vocab: 12, Hidden: 8, Layers: 2, Heads: 8, KVHeads: 4, HeadDim: 2, FFN: 20}
	share, err := c.Share(4)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range Layout(c) {
		n := 1
		for _, d := range s.ShareDims(4) {
			n *= d
		}
		if want := Layout(share)[i].Len(); n != want {
			t.Errorf("a share of %s has %d values; its Layout says %d", s.Name, n, want)
		}
	}
	if _, err := c.Share(3); err == nil || !strings.Contains(err.Error(), "4 key-value heads and 8 query heads and 20 feed-forward columns and 8 hidden columns do not divide by 3; it can be shared among 1, 2, 4") {
		t.Errorf("among 3: got error %v", err)
	}
	if _, err := c.Share(0); err == nil {
		t.Error("among 0: want an error")
	}
}
