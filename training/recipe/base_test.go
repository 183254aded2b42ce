package recipe

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
	"astro/training/random"

	"github.com/gomlx/compute/dtypes"
)

// tiny is the recipe with a model and a schedule that a test has time for.
func tiny() Base {
	b := CountdownBase()
	b.Rows, b.Model.Hidden, b.Model.Layers, b.Model.Heads, b.Model.KVHeads, b.Model.HeadDim, b.Model.FFN = 2, 16, 1, 2, 2, 8, 16
	return b.WithTokens(12 * 2 * b.RowTokens)
}

// A run that is stopped after five steps and started again ends with the very weights of one that was not.
func TestTrainResumes(t *testing.T) {
	d, b := devicetest.Open(t, device.Go), tiny()
	whole, err := b.Train(context.Background(), d, Work{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	work := Work{Dir: t.TempDir(), EverySteps: 3}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = b.Train(ctx, d, work, func(p Progress) {
		if p.Step == 5 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v; want the run to stop", err)
	}
	steps := 0
	resumed, err := b.Train(context.Background(), d, work, func(Progress) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	if steps != b.Optimizer.Steps-5 || resumed.Steps != whole.Steps {
		t.Errorf("the second run made %d steps of %d; want to go on after 5", steps, b.Optimizer.Steps)
	}
	if !modeltest.Same(whole.Weights.Tensors, resumed.Weights.Tensors) {
		t.Error("the resumed run ends with other weights")
	}
	b.Seed = 2
	if _, err := b.Train(context.Background(), d, work, nil); err == nil || !strings.Contains(err.Error(), "another recipe") {
		t.Errorf("a checkpoint of another recipe: got %v", err)
	}
}

// The folder that a run writes is a model that loads with the same weights, and its card tells the figures and the command.
func TestWriteModel(t *testing.T) {
	d, b := devicetest.Open(t, device.Go), tiny()
	trained, err := b.WithTokens(1).Train(context.Background(), d, Work{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	problems := b.Domain.Sample(b.Domain.Split().Test, 4, random.New(1, 0))
	score, err := Evaluate(context.Background(), b.Domain, problems, 2, 1, play(t, b.Domain, problems, func(int) int { return 1 }))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "m")
	report := Report{Recipe: b, Command: "astro recipe countdown", Device: "go", Steps: 1, Tokens: 512, Duration: 1e9, Score: score}
	if err := report.WriteModel(dir, trained.Weights); err != nil {
		t.Fatal(err)
	}
	loaded, err := model.Load(dir, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !modeltest.Same(loaded.Tensors, trained.Weights.Tensors) {
		t.Error("the model that was written has other weights")
	}
	card, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil || !strings.Contains(string(card), "`astro recipe countdown`") || !strings.Contains(string(card), "| pass@1 | 50.00 % |") {
		t.Errorf("the card lacks its command or figures: %v\n%s", err, card)
	}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestBaseValidate(t *testing.T) {
	if err := CountdownBase().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Base){
		func(b *Base) { b.RowTokens = 100 }, func(b *Base) { b.Model.Vocab++ }, func(b *Base) { b.Mix.Notes = 1 },
		func(b *Base) { b.Domain.High = 60 }, func(b *Base) { b.Optimizer.PeakLR = 0 },
	} {
		b := CountdownBase()
		if change(&b); b.Validate() == nil {
			t.Errorf("%+v: no error", b)
		}
	}
}
