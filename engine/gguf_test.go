package engine_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model/modeltest"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// TestGGUFParityWithLlamaCpp: of GGUF files, in bf16 and in 8 and 4 bits, the engine draws the greedy tokens that llama.cpp draws from
// the same file. llama.cpp rounds activations to 8 bits beside quantised weights, so the two best logits are farther apart than that.
func TestGGUFParityWithLlamaCpp(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		for _, name := range []string{"llama3-bf16", "mha-q8_0", "mha-q4_0"} {
			t.Run(name, func(t *testing.T) {
				path := filepath.Join("..", "model", "gguf", "testdata", name)
				text, err := os.ReadFile(path + ".json")
				if err != nil {
					t.Fatal(err)
				}
				var golden struct{ Prompt, Greedy []int32 }
				if err := json.Unmarshal(text, &golden); err != nil || len(golden.Greedy) != 16 {
					t.Fatalf("%s.json: %d tokens, %v", path, len(golden.Greedy), err)
				}
				c := smallRunner(dtypes.Float32)
				p := loadPolicy(t, d, modeltest.Fixture{Dir: path + ".gguf"}, dtypes.Float32)
				r := newRunner(t, d, p, c)
				if got := greedyTokens(t, r, golden.Prompt, len(golden.Greedy), p.Weights.Config.Vocab, c); !slices.Equal(got, golden.Greedy) {
					t.Errorf("got greedy tokens %v; want llama.cpp's %v", got, golden.Greedy)
				}
			})
		}
	})
}

func greedyTokens(t *testing.T, r *engine.DeviceRunner, prompt []int32, n, vocab int, c engine.RunnerConfig) (tokens []int32) {
	t.Helper()
	s := engine.NewScheduler(schedulerConfig(vocab, c), 1)
	if _, err := s.Submit(engine.Request{Prompt: prompt, N: 1, MaxTokens: n, Params: sampler.Greedy()}); err != nil {
		t.Fatal(err)
	}
	for !s.Idle() {
		result, err := r.Run(s.Next())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Apply(result) {
			tokens = append(tokens, e.Choice.Token)
		}
	}
	return tokens
}
