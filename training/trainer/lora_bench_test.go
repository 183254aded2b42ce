package trainer

import (
	"fmt"
	"math"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// BenchmarkLoRA times updates of all weights (rank 0) and with LoRA on xla:cpu, in turns, and says what temporary memory they need: of the
// Countdown model's shape, and of one with a width of 512.
func BenchmarkLoRA(b *testing.B) {
	d := devicetest.Open(b, device.XLACPU)
	small := model.Config{Vocab: 70, Hidden: 96, Layers: 3, Heads: 3, KVHeads: 3, HeadDim: 32, FFN: 256}
	wide := model.Config{Vocab: 512, Hidden: 512, Layers: 4, Heads: 8, KVHeads: 2, HeadDim: 64, FFN: 1408}
	for _, s := range []struct {
		model        model.Config
		rows, tokens int
		checkpoints  bool
	}{{small, 9, 216, false}, {small, 8, 128, false}, {wide, 4, 256, false}, {wide, 4, 256, true}} {
		c := s.model
		c.MaxPositions, c.NormEps, c.Rope, c.BOS, c.InitStd = 512, 1e-5, model.Rope{Theta: 1e4}, -1, .02
		b.Run(fmt.Sprintf("width %d, %d rows of %d tokens, checkpoints %t", c.Hidden, s.rows, s.tokens, s.checkpoints), func(b *testing.B) {
			ranks := []int{0, 8, 16}
			var trainers []*Trainer
			var best []float64
			for _, rank := range ranks {
				trainers, best = append(trainers, ofRank(b, d, c, rank, s.checkpoints)), append(best, math.MaxFloat64)
			}
			for b.Loop() {
				for i, t := range trainers {
					speed, err := t.Time(s.rows, s.tokens, 3)
					if err != nil {
						b.Fatal(err)
					}
					best[i] = min(best[i], speed.BestMillis)
				}
			}
			for i, rank := range ranks {
				b.ReportMetric(best[i], fmt.Sprintf("ms/rank%d", rank))
				for _, p := range trainers[i].programs {
					b.ReportMetric(float64(p.Info().TemporaryBytes)/(1<<20), fmt.Sprintf("MiB/rank%d", rank))
				}
			}
		})
	}
}

func ofRank(b *testing.B, d *device.Device, c model.Config, rank int, checkpoints bool) *Trainer {
	w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		b.Fatal(err)
	}
	config := Default(1000)
	config.LoRA, config.LayerCheckpoints = LoRA{Rank: rank}, checkpoints
	t, err := New(d, w, config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(t.Close)
	return t
}
