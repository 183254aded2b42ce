package trainer

import (
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/llama"
	"astro/model/modeltest"
)

// What an H200 would run to learn: everything that is updated is updated in place and temporary memory stays within what Memory says.
func TestProgramsForH200(t *testing.T) {
	d := devicetest.H200(t)
	const rows = 1
	for _, c := range []struct {
		name    string
		shape   func(layers, positions int) model.Config
		layers  int
		tokens  int
		lora    LoRA
		compute Compute
	}{
		{"1b", modeltest.Llama1B, 16, 2048, LoRA{}, BF16}, {"1b_long_rows", modeltest.Llama1B, 16, 8192, LoRA{}, BF16}, {"1b_f32", modeltest.Llama1B, 16, 2048, LoRA{}, F32},
		{"8b", modeltest.Llama8B, 32, 2048, LoRA{Rank: 16, Alpha: 32}, BF16},
	} {
		tokens := c.tokens
		t.Run(c.name, func(t *testing.T) {
			if !devicetest.Full() {
				c.layers = 4
			}
			o := Default(100)
			o.LayerCheckpoints, o.LoRA, o.Compute = true, c.lora, c.compute
			m := c.shape(c.layers, tokens)
			tr := specsOnly(t, d, m, o)
			sets := int64(4) // weights, moments, gradients; with factors as Memory says
			if c.lora.Rank > 0 {
				sets = 3
			}
			plan := Memory(d.Kind(), m, rows, tokens, o) - sets*f32Bytes*m.Params()
			bounds := devicetest.Bounds{TemporaryBytes: plan, CopyBytes: 64 << 20}
			for _, s := range []device.Spec{tr.scoreSpec(rows, tokens), tr.gradSpec(rows, tokens, false), tr.applySpec()} {
				devicetest.Check(t, d, s, bounds)
			}
		})
	}
}

// specsOnly is a Trainer that can describe its programs.
func specsOnly(t *testing.T, d *device.Device, m model.Config, o Config) *Trainer {
	t.Helper()
	tr, err := NextToken().empty(d, m, o)
	if err != nil {
		t.Fatal(err)
	}
	tr.cos, tr.sin = llama.RopeTables(m, m.MaxPositions)
	return tr
}
