package recipe

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/training/countdown"
	"astro/training/random"

	"github.com/gomlx/compute/dtypes"
)

const committed = "../../models/countdown-base"

// The committed model is what this recipe makes: its architecture, and its tokenizer to the byte.
func TestCommittedModelIsOfThisRecipe(t *testing.T) {
	c, err := model.LoadConfig(committed)
	if err != nil {
		t.Fatal(err)
	}
	if want := CountdownBase().Model; !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	dir := t.TempDir()
	if err := countdown.CD4.WriteTokenizer(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(committed, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s of the committed model is not what WriteTokenizer writes (%v); run the recipe again", name, err)
		}
	}
}

// The committed model, sampled through the engine, writes whole derivations and knows whether they are right. The bars are far
// below the model card's figures, for the sample is small.
func TestCommittedModelPlays(t *testing.T) {
	d := devicetest.Open(t, device.Go)
	w, err := model.Load(committed, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	sample, stop, err := EngineSample(d, w)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	problems := countdown.CD4.Sample(countdown.CD4.Split().Test, 24, random.New(1, 0))
	s, err := Evaluate(context.Background(), countdown.CD4, problems, 2, 1, sample)
	if err != nil {
		t.Fatal(err)
	}
	if s.LegalSteps.Of < 100 || s.LegalSteps.Rate() < .9 || s.Verdicts().Of < 30 || s.Verdicts().Rate() < .85 {
		t.Errorf("got legal steps %s, verdicts %s, reasons %v", s.LegalSteps, s.Verdicts(), s.Reasons)
	}
	again, err := Evaluate(context.Background(), countdown.CD4, problems, 2, 1, sample)
	if err != nil || !reflect.DeepEqual(s, again) {
		t.Errorf("the same seed gives another score: %+v and %+v (%v)", s, again, err)
	}
}
