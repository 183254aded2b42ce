package trainer

import (
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// With LayerCheckpoints a step is the same step. On the Go backend: what XLA makes of it, the next test sees.
func TestLayerCheckpointsChangeNothing(t *testing.T) {
	g := readGolden(t)
	d := devicetest.Open(t, device.Go)
	batch := pack(t, 2, 14, g.examples())[0]
	little := g.Config
	little.LayerCheckpoints = true
	plain, saving := newTrainer(t, d, load(t, d, "testdata/golden/before"), g.Config), newTrainer(t, d, load(t, d, "testdata/golden/before"), little)
	for range 3 {
		want, got := step(t, plain, batch), step(t, saving, batch)
		if !near(got.Loss, want.Loss, 1e-6) || !near(got.GradNorm, want.GradNorm, 1e-5) {
			t.Errorf("got %+v; want %+v", got, want)
		}
	}
	if diff := largestDifference(plain.weights, saving.weights); diff > 1e-5 {
		t.Errorf("weights differ by up to %g", diff)
	}
}

// On xla:cpu a deep model's gradient needs less memory with LayerCheckpoints, as its executable says.
func TestLayerCheckpointsSaveMemory(t *testing.T) {
	d := devicetest.Open(t, device.XLACPU)
	c := model.Config{Vocab: 64, Hidden: 32, Layers: 3, Heads: 4, KVHeads: 2, HeadDim: 8, FFN: 96, MaxPositions: 256, NormEps: 1e-5, TiedHead: true, Rope: model.Rope{Theta: 1e4},
		BOS: -1, InitStd: .02}
	all, little := temporaryBytes(t, d, c, Config{}), temporaryBytes(t, d, c, Config{LayerCheckpoints: true})
	temporaryBytes(t, d, c, Config{Compute: BF16})
	t.Logf("temporary memory %d bytes, with checkpoints %d", all, little)
	if little*3 > all*2 {
		t.Errorf("temporary memory is %d bytes with checkpoints and %d without; want less than two thirds", little, all)
	}
}

// temporaryBytes is what the executable of a step of 4 rows of 256 tokens needs besides its arguments. The estimate must be a little higher.
func temporaryBytes(t *testing.T, d *device.Device, c model.Config, o Config) int64 {
	t.Helper()
	w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	config := Default(10)
	config.LayerCheckpoints, config.HeadChunkTokens, config.Compute = o.LayerCheckpoints, o.HeadChunkTokens, o.Compute
	tr, err := New(d, w, config)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if _, err := tr.Time(4, 256, 1); err != nil {
		t.Fatal(err)
	}
	programs := d.Programs()
	for i := len(programs) - 1; i >= 0; i-- {
		p := programs[i]
		if !strings.HasPrefix(p.Name, "train_step") || !strings.HasSuffix(p.Name, "_4x256") {
			continue
		}
		estimate := Memory(d.Kind(), c, 4, 256, o) - 16*c.Params()
		if need := p.TemporaryBytes; estimate < need || estimate > need*3/2 {
			t.Errorf("%+v: the estimate is %d bytes, %d are needed; want it a little higher", o, estimate, need)
		}
		return p.TemporaryBytes
	}
	t.Fatal("the step's program is not there")
	return 0
}
