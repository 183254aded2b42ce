package kernels_test

import (
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/kernels"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// One row, or one page, is written in place like many: no pool is copied on the way, though its result is read.
func TestOneRowInPlace(t *testing.T) {
	d := devicetest.Open(t, device.XLACPU)
	pool := shapes.Make(dtypes.Float32, 1024, 1, 16, 8)
	ids := shapes.Make(dtypes.Int32, 1)
	for name, s := range map[string]device.Spec{
		"write": {Params: []device.Param{{Name: "pool", Shape: pool, Alias: 1}, {Name: "slot", Shape: ids, Alias: -1}, {Name: "row", Shape: shapes.Make(dtypes.Float32, 1, 1, 8), Alias: -1}},
			Build: func(in []*Node) []*Node {
				written := kernels.PageWrite(in[0], in[1], in[2])
				return []*Node{Gather(Reshape(written, 1024, 16*8), ExpandDims(in[1], -1)), written}
			}},
		"copy": {Params: []device.Param{{Name: "from", Shape: ids, Alias: -1}, {Name: "to", Shape: ids, Alias: -1}, {Name: "k", Shape: pool, Alias: 0}, {Name: "v", Shape: pool, Alias: 1}},
			Build: func(in []*Node) []*Node {
				return []*Node{kernels.PageCopy(in[2], in[0], in[1]), kernels.PageCopy(in[3], in[0], in[1])}
			}},
	} {
		s.Name = name
		p, err := d.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		if info := p.Info(); info.TemporaryBytes > info.AliasedBytes/8 {
			t.Errorf("%s needs %d temporary bytes for a pool of %d; want next to none", name, info.TemporaryBytes, info.AliasedBytes)
		}
		p.Close()
	}
}
