package model

import (
	"runtime"
	"sync"
	"sync/atomic"

	"astro/model/safetensors"

	"github.com/gomlx/compute/dtypes/bfloat16"
)

// put writes values, rounded to the array's type, at element at and behind it. Goroutines may write different elements at once.
type put func(at int, values []float32)

func putF32(dst []float32) put {
	return func(at int, values []float32) { copy(dst[at:at+len(values)], values) }
}

func putBF16(dst []bfloat16.BFloat16) put {
	return func(at int, values []float32) {
		for i, v := range values {
			dst[at+i] = bfloat16.BFloat16(safetensors.ToBF16(v))
		}
	}
}

// Sizes of the pieces in which tensors are converted: they fit a core's cache.
const (
	tileRows  = 32
	tileCols  = 256
	runValues = tileRows * tileCols
)

// fillParts writes the values of s from a checkpoint that has passed checkTensors.
func fillParts(s TensorSpec, from source, dst put) {
	column := 0
	for _, p := range s.Parts {
		t, ok := from.tensor(from.name(p.Name))
		if !ok {
			panic("BUG: tensor " + p.Name + " is missing after the check")
		}
		if !s.Transposed() {
			copyValues(t, dst)
			continue
		}
		turn(t, dst, s.Dims[1], column)
		column += p.Dims[0]
	}
}

// copyValues converts t element by element.
func copyValues(t stored, dst put) {
	n := t.len()
	parallel((n+runValues-1)/runValues, func(run int) {
		from := run * runValues
		values := make([]float32, min(runValues, n-from))
		t.floats(values, from)
		dst(from, values)
	})
}

// turn writes t [out, in] as the columns column..column+out of a [in, width] array, tile by tile, so that both
// reads and writes are runs of neighbours.
func turn(t stored, dst put, width, column int) {
	out, in := t.dims[0], t.dims[1]
	parallel((out+tileRows-1)/tileRows, func(block int) {
		top := block * tileRows
		rows := min(tileRows, out-top)
		tile, line := make([]float32, rows*tileCols), make([]float32, rows)
		for left := 0; left < in; left += tileCols {
			cols := min(tileCols, in-left)
			for r := range rows {
				t.floats(tile[r*tileCols:r*tileCols+cols], (top+r)*in+left)
			}
			for c := range cols {
				for r := range line {
					line[r] = tile[r*tileCols+c]
				}
				dst((left+c)*width+column+top, line)
			}
		}
	})
}

// parallel calls body(0..n-1) on all cores and returns when every call has.
func parallel(n int, body func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				body(int(i))
			}
		})
	}
	wg.Wait()
}
