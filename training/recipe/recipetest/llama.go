package recipetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"

	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"
	"astro/training/recipe"
	"astro/training/sft"
)

// tokenizerDir has a tokenizer of 512 ids with a chat template, from the folder of a fixture.
const tokenizerDir = "../../../tokenizer/testdata/bpe512"

// RandomLlama writes the folder of a tiny Llama that knows nothing, with a tokenizer and a chat template.
func RandomLlama(t testing.TB) string {
	t.Helper()
	dir, fixture := t.TempDir(), modeltest.Named(t, "gqa-tied-bf16")
	if err := errors.Join(copyAll(dir, fixture.Dir, "config.json", "generation_config.json", "model.safetensors"), copyTokenizer(t, dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// endToken is <|eos|> of the tokenizer.
const endToken = 503

func copyTokenizer(t testing.TB, dir string) error {
	return recipe.CopyTexts(dir, filepath.Join(modeltest.Named(t, "gqa-tied-bf16").Dir, tokenizerDir))
}

// copyAll copies files of the fixture, whose end of sequence becomes the tokenizer's.
func copyAll(to, from string, names ...string) error {
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".json") {
			text = bytes.ReplaceAll(text, []byte(`"eos_token_id": 510`), fmt.Appendf(nil, `"eos_token_id": %d`, endToken))
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// shape of the Llama that is taught.
func shape() model.Config {
	return model.Config{Vocab: 512, Hidden: 48, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 24, FFN: 96, MaxPositions: 512, NormEps: 1e-5, TiedHead: true,
		Rope: model.Rope{Theta: 1e4}, BOS: 502, EOS: []int32{endToken}, InitStd: .05}
}

// TaughtLlama writes the folder of a tiny Llama that was taught solutions of sums, right and wrong ones alike: it answers in the form that is
// searched for, and its answers are right now and then.
func TaughtLlama(t testing.TB, d *device.Device, sums []Sum, epochs int) string {
	t.Helper()
	dir := t.TempDir()
	w, err := model.Random(shape(), 1, d.Backend(), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(model.SaveFiles(dir, w, dtypes.Float32), copyTokenizer(t, dir)); err != nil {
		t.Fatal(err)
	}
	c := sft.Default()
	c.Epochs, c.Rows, c.RowTokens, c.Optimizer.PeakLR = epochs, 1, 128, 1e-2
	trained, err := sft.Train(context.Background(), d, w, examples(t, dir, sums), c, sft.Work{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer trained.Weights.Free()
	if err := model.SaveFiles(dir, trained.Weights, dtypes.Float32); err != nil {
		t.Fatal(err)
	}
	return dir
}

// examples are the solutions of sums behind their prompts.
func examples(t testing.TB, dir string, sums []Sum) (list []sft.Example) {
	text, err := Text(dir)
	if err != nil {
		t.Fatal(err)
	}
	tokenize, err := recipe.TextTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sums {
		p, err := text.Problem(s.Problem(), s.Problem(), "0")
		if err != nil {
			t.Fatal(err)
		}
		for _, solution := range s.Solutions() {
			ids, _, err := tokenize(solution)
			if err != nil {
				t.Fatal(err)
			}
			prompt := p.Domain.Prompt()
			e, err := sft.Line{Tokens: append(append([]int32{}, prompt...), ids...), Prompt: new(len(prompt))}.Weigh(sft.Completion)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
	}
	return list
}
