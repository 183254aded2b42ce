package grpo

import (
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

var open = devicetest.Open

var onEach = devicetest.OnEach

// The bandit's tokens: a question of numQuestions, and answers that each end a rollout.
const (
	numQuestions = 3
	firstAnswer  = 4
	vocab        = 14
)

// answers are the ids that end a sequence: whatever a fresh model says soon is one of them.
func answers() (ids []int32) {
	for id := int32(firstAnswer); id < vocab; id++ {
		ids = append(ids, id)
	}
	return ids
}

// tiny is a model that knows nothing.
func tiny(t testing.TB, d *device.Device) *model.Weights {
	t.Helper()
	w, err := model.Random(model.Config{Vocab: vocab, Hidden: 16, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 8, FFN: 24, MaxPositions: 32,
		NormEps: 1e-5, TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: -1, EOS: answers(), InitStd: .1}, 3, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
