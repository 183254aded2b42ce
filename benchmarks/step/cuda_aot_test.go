package step

import (
	"testing"

	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/dtypes"
)

// What an H200 would run to measure itself: the array is negated in place, and no program needs memory beside what it is given and makes.
func TestPeaksForH200(t *testing.T) {
	d := devicetest.H200(t)
	elements, side := peakSizes(d.Kind())
	small := devicetest.Bounds{TemporaryBytes: 64 << 20, CopyBytes: 1 << 20} // a library's scratch memory for products
	devicetest.Check(t, d, fillSpec(dtypes.Float32, elements), small)
	devicetest.Check(t, d, fillSpec(dtypes.BFloat16, side, side), small)
	devicetest.Check(t, d, negateSpec(elements), small)
	devicetest.Check(t, d, squareSpec(dtypes.BFloat16, side), small)
}
