package sft

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
)

// fresh is a tiny model that knows nothing.
func fresh(t *testing.T, d *device.Device) *model.Weights {
	t.Helper()
	w, err := model.Random(model.Config{Vocab: 12, Hidden: 16, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 8, FFN: 16, MaxPositions: 32, NormEps: 1e-5,
		TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .1}, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A run that is stopped in its second epoch and started again ends with the very weights of one that was not.
func TestTrainResumes(t *testing.T) {
	d, c, examples := devicetest.Open(t, device.Go), small(), stories()
	whole, err := Train(context.Background(), d, fresh(t, d), examples, c, Work{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	work := Work{Dir: t.TempDir(), EverySteps: 2, Extra: func(dir string) error { return os.WriteFile(filepath.Join(dir, "tokenizer.json"), nil, 0o644) }}
	ctx, cancel := context.WithCancel(context.Background())
	stop := whole.Last.Step/2 + 1
	_, err = Train(ctx, d, fresh(t, d), examples, c, work, func(p Progress) {
		if p.Step == stop {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v; want the run to stop", err)
	}
	steps := 0
	resumed, err := Train(context.Background(), d, fresh(t, d), examples, c, work, func(Progress) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	if steps != whole.Last.Step-stop || resumed.Last.Step != whole.Last.Step || resumed.Last.Tokens != whole.Last.Tokens {
		t.Errorf("the second run made %d steps to %+v; want to go on after %d to %+v", steps, resumed.Last, stop, whole.Last)
	}
	if !modeltest.Same(whole.Weights.Tensors, resumed.Weights.Tensors) {
		t.Error("the resumed run ends with other weights")
	}
	if whole.Last.Epoch != 3 {
		t.Errorf("got %g epochs; want 3", whole.Last.Epoch)
	}
	examples[0].Weights[1] = 0
	if _, err := Train(context.Background(), d, fresh(t, d), examples, c, work, nil); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("a checkpoint of other examples: got %v", err)
	}
}

// What has a weight is learned, what has none is not: of the two halves of each text only the first becomes likely.
func TestTrainLearnsWhatHasWeight(t *testing.T) {
	d, c := devicetest.Open(t, device.Go), small()
	c.Epochs, c.Rows, c.RowTokens, c.Optimizer.PeakLR = 60, 2, 6, 2e-2
	e := Example{Tokens: []int32{1, 5, 6, 7, 9, 10, 11}, Weights: []float32{0, 1, 1, 1, 0, 0, 0}}
	var first, last Progress
	trained, err := Train(context.Background(), d, fresh(t, d), []Example{e, e}, c, Work{}, func(p Progress) {
		if last = p; p.Step == 1 {
			first = p
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if first.Loss < 1.5 || last.Loss > .1 || last.Step != last.Steps {
		t.Errorf("the loss went from %.3f to %.3f in %d of %d steps", first.Loss, last.Loss, last.Step, last.Steps)
	}
	e.Weights = []float32{0, 0, 0, 0, 1, 1, 1}
	c.Epochs, c.Optimizer.PeakLR = 1, 1e-6
	_, err = Train(context.Background(), d, trained.Weights, []Example{e}, c, Work{}, func(p Progress) { last = p })
	if err != nil || last.Loss < 1.5 {
		t.Errorf("tokens without a weight have the loss %.3f after training, %v; they were learned", last.Loss, err)
	}
}
