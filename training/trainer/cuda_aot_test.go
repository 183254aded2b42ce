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
			bounds := devicetest.Bounds{TemporaryBytes: passBytes(d.Kind(), m, rows, tokens, o), CopyBytes: 64 << 20}
			specs := []device.Spec{tr.gradSpec(rows, tokens, false), tr.scoreSpec(rows, tokens), tr.applySpec()}
			if c.name == "1b_long_rows" && !devicetest.Full() {
				specs = specs[:1] // what its others need does not grow
			}
			for i, s := range specs {
				need := devicetest.Check(t, d, s, bounds).Info.TemporaryBytes
				if i == 0 && bounds.TemporaryBytes > need/2*3 {
					t.Errorf("the plan has %d bytes, %d are needed; want at most half more", bounds.TemporaryBytes, need)
				}
			}
		})
	}
}

// More layers of Llama 3.1 8B take what comes into each of them: nothing that is made of their matrices (rounded ones, the sum with the factors, gradients) or
// for their attention is there for more than a layer at a time.
func TestLayersKeepTheirInputForH200(t *testing.T) {
	d := devicetest.H200(t)
	const rows, tokens, few, more = 1, 2048, 2, 6
	o := Default(100)
	o.LayerCheckpoints, o.LoRA, o.Compute = true, LoRA{Rank: 16, Alpha: 32}, BF16
	var need [2]int64
	var m model.Config
	for i, layers := range []int{few, more} {
		m = modeltest.Llama8B(layers, tokens)
		bounds := devicetest.Bounds{TemporaryBytes: passBytes(d.Kind(), m, rows, tokens, o)}
		need[i] = devicetest.Check(t, d, specsOnly(t, d, m, o).gradSpec(rows, tokens, false), bounds).Info.TemporaryBytes
	}
	input := int64(halfBytes * rows * tokens * m.Hidden)
	layer := (need[1] - need[0]) / (more - few)
	t.Logf("a layer more takes %.1f MiB; what comes into it is %.1f MiB", float64(layer)/(1<<20), float64(input)/(1<<20))
	if layer < input || layer > input*3/2 {
		t.Errorf("a layer more takes %d bytes; want what comes into it, %d, and no more than half of that besides", layer, input)
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
