package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"astro/training/grpo"
	"astro/training/trainer"
)

// A stage alone says what it lacks, and one that was made with other settings is not taken for this one.
func TestStageAlone(t *testing.T) {
	p := testPipeline(t, nil)
	err := p.Run(t.Context(), DirectRL)
	if err == nil || !strings.Contains(err.Error(), "direct-sft and astro-rl") {
		t.Errorf("got %v; want what is missing", err)
	}
	if err := p.Run(t.Context(), "rl"); err == nil || !strings.Contains(err.Error(), "direct-sft, astro-sft") {
		t.Errorf("got %v; want the stages that there are", err)
	}
	if err := errors.Join(p.Run(t.Context(), Base), p.Run(t.Context(), Base)); err != nil {
		t.Fatal(err)
	}
	p.Config.BaseModel = ""
	if err := p.Run(t.Context(), Base); err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("got %v; want a refusal", err)
	}
	if err := p.Export(filepath.Join(t.TempDir(), "model"), ""); err == nil || !strings.Contains(err.Error(), "judged") {
		t.Errorf("got %v; want no model that was not judged", err)
	}
}

// A base model of another size is not taken.
func TestBaseOfAnotherShape(t *testing.T) {
	p := testPipeline(t, nil)
	tiny, err := Sized(Tiny)
	if err != nil {
		t.Fatal(err)
	}
	p.Config.Base = tiny.Base
	if err := p.Run(t.Context(), Base); err == nil || !strings.Contains(err.Error(), "--from-scratch") {
		t.Errorf("got %v", err)
	}
}

// A base model is trained where there is none.
func TestBaseFromScratch(t *testing.T) {
	p := testPipeline(t, nil)
	tiny, err := Sized(Tiny)
	if err != nil {
		t.Fatal(err)
	}
	p.Config.BaseModel, p.Config.Base = "", tiny.Base.WithTokens(10_000)
	if err := p.Run(t.Context(), Base); err != nil {
		t.Fatal(err)
	}
	if !p.Config.Shaped(p.folder(Base)) {
		t.Error("the trained model has another shape")
	}
	if _, err := os.Stat(p.folder(Base) + ".part"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the work folder is still there (%v)", err)
	}
}

func TestSizesAreValid(t *testing.T) {
	for _, size := range []string{Tiny, Small, Large} {
		c, err := Sized(size)
		if err := errors.Join(err, c.Validate(), c.WithMask().Validate()); err != nil {
			t.Errorf("%s: %v", size, err)
		}
		if c.WithSeed(2).AstroRL.Seed != 2 {
			t.Errorf("%s: a seed was not taken", size)
		}
	}
	if _, err := Sized("huge"); err == nil {
		t.Error("a size that there is not was taken")
	}
	c, _ := Sized(Small)
	for _, spoil := range []func(*Config){func(c *Config) { c.SearchProblems = 0 }, func(c *Config) { c.Eval.Samples = 0 }, func(c *Config) { c.Slots = 0 },
		func(c *Config) { c.AstroRL.CurveSteps = 0 }, func(c *Config) { c.AstroRL.Group = 1 }, func(c *Config) { c.Eval.Resamples = 1 }} {
		bad := c
		if spoil(&bad); bad.Validate() == nil {
			t.Errorf("%+v was found valid", bad.Eval)
		}
	}
}

// Everything that is trained computes in bf16 where the recipe does, and is held to the limits of what rounds; in f32 nothing is changed.
func TestComputeOfAllStages(t *testing.T) {
	c, err := Sized(Tiny)
	if err != nil {
		t.Fatal(err)
	}
	if same := c.WithCompute(trainer.F32); !reflect.DeepEqual(same, c) {
		t.Errorf("in f32 the settings are %+v; want them as they are", same)
	}
	half := c.WithCompute(trainer.BF16)
	if err := half.Validate(); err != nil {
		t.Error(err)
	}
	for name, o := range map[string]trainer.Config{"base": half.Base.Optimizer, "sft": half.SFT.Optimizer, "astro-rl": half.AstroRL.Optimizer,
		"direct-rl": half.DirectRL.Optimizer, "spoc": half.SPOC.Optimizer, "step-kto": half.StepKTO.Optimizer} {
		if o.Compute != trainer.BF16 {
			t.Errorf("%s computes in %s", name, o.Compute)
		}
	}
	for name, l := range map[string]grpo.Limits{"astro-rl": half.AstroRL.Limits, "direct-rl": half.DirectRL.Limits, "spoc": half.SPOC.Limits} {
		if l.Gap != 0 || l.MeanGap == 0 || l.GapKL == 0 {
			t.Errorf("%s is held to %+v; want limits of means", name, l)
		}
	}
}
