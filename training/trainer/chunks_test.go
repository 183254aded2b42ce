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

// With logits of a few tokens at a time a step is the same step, also with layer checkpoints and with factors.
func TestHeadChunksChangeNothing(t *testing.T) {
	g := readGolden(t)
	onEach(t, func(t *testing.T, d *device.Device) {
		batch := pack(t, 2, 14, g.examples())[0]
		for _, lora := range []int{0, 2} {
			whole := g.Config
			whole.LoRA.Rank = lora
			chunked := whole
			chunked.HeadChunkTokens, chunked.LayerCheckpoints = 5, lora > 0
			plain, saving := newTrainer(t, d, load(t, d, "testdata/golden/before"), whole), newTrainer(t, d, load(t, d, "testdata/golden/before"), chunked)
			for range 3 {
				want, got := step(t, plain, batch), step(t, saving, batch)
				if !near(got.Loss, want.Loss, 1e-6) || !near(got.GradNorm, want.GradNorm, 1e-5) {
					t.Errorf("rank %d: got %+v; want %+v", lora, got, want)
				}
			}
			if diff := largestDifference(plain.weights, saving.weights); diff > 1e-5 {
				t.Errorf("rank %d: weights differ by up to %g", lora, diff)
			}
			compareScores(t, plain, saving, batch)
		}
	})
}

func compareScores(t *testing.T, a, b *Trainer, batch *Batch) {
	t.Helper()
	want, err := a.Score(batch)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Score(batch)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !near(float64(got[i]), float64(want[i]), 1e-5) {
			t.Errorf("token %d scores %g; want %g", i, got[i], want[i])
		}
	}
}

// On xla:cpu a step with a large vocabulary needs less memory in chunks, as its executable says.
func TestHeadChunksSaveMemory(t *testing.T) {
	d := devicetest.Open(t, device.XLACPU)
	c := model.Config{Vocab: 8192, Hidden: 32, Layers: 1, Heads: 4, KVHeads: 2, HeadDim: 8, FFN: 96, MaxPositions: 256, NormEps: 1e-5, Rope: model.Rope{Theta: 1e4},
		BOS: -1, InitStd: .02}
	whole, chunks := temporaryBytes(t, d, c, Config{}), temporaryBytes(t, d, c, Config{HeadChunkTokens: 64})
	t.Logf("temporary memory %d bytes, in chunks %d", whole, chunks)
	if chunks*2 > whole {
		t.Errorf("temporary memory is %d bytes in chunks and %d without; want less than half", chunks, whole)
	}
}

// Logits are whole where they are few, and of some multiple of 64 tokens where they are not.
func TestHeadChunk(t *testing.T) {
	for _, test := range []struct{ tokens, vocab, asked, want int }{
		{2048, 4096, 0, 0}, {4096, 4096, 0, 0}, {4097, 4096, 0, 4096}, {4096, 128256, 0, 128}, {256, 1 << 20, 0, 64}, {10, 10, 3, 3},
	} {
		if got := (Config{HeadChunkTokens: test.asked}).headChunk(test.tokens, test.vocab); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
	bad := Default(1)
	bad.HeadChunkTokens = -1
	if err := bad.Validate(); err == nil {
		t.Error("a chunk of -1 tokens is valid; want an error")
	}
}

// BenchmarkHeadChunks times a step whose vocabulary is large, whole and in chunks in turns, on xla:cpu.
func BenchmarkHeadChunks(b *testing.B) {
	d := devicetest.Open(b, device.XLACPU)
	c := model.Config{Vocab: 32768, Hidden: 256, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 64, FFN: 768, MaxPositions: 512, NormEps: 1e-5, Rope: model.Rope{Theta: 1e4},
		BOS: -1, InitStd: .02}
	trainers, best := map[int]*Trainer{}, map[int]float64{}
	for _, chunk := range []int{512, 64, 128, 256} { // 512 = whole
		w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
		if err != nil {
			b.Fatal(err)
		}
		config := Default(10)
		config.HeadChunkTokens = chunk
		if trainers[chunk], err = New(d, w, config); err != nil {
			b.Fatal(err)
		}
		defer trainers[chunk].Close()
		best[chunk] = math.MaxFloat64
	}
	for b.Loop() {
		for chunk, tr := range trainers {
			speed, err := tr.Time(1, 512, 1)
			if err != nil {
				b.Fatal(err)
			}
			best[chunk] = min(best[chunk], speed.BestMillis)
		}
	}
	for chunk, ms := range best {
		b.ReportMetric(ms, fmt.Sprintf("ms/%d-tokens", chunk))
	}
}
