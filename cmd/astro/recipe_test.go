package main

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"astro/training/recipe/pipeline"
)

// recipeCountdown runs `astro recipe countdown` with arguments on the go backend.
func recipeCountdown(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newRootCommand()
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(append([]string{"recipe", "countdown", "--backend", "go"}, args...))
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// Wrong flags and missing stages are one line that says what to do.
func TestRecipeCountdownRefuses(t *testing.T) {
	work := []string{"--work", t.TempDir(), "--out", filepath.Join(t.TempDir(), "model")}
	for want, args := range map[string][]string{
		"want tiny, small or large":                      {"--size", "huge"},
		"want one of base, search":                       {"--stage", "rl"},
		"needs base and search and astro-rl":             {"--stage", "spoc"},
		"it needs base and astro-rl":                     {"--stage", "step-kto"},
		"it needs base":                                  {"--stage", "search"},
		"it needs base and direct-sft":                   {"--stage", "eval"},
		"want 1 to 32":                                   {"--seeds", "0"},
		"--size tiny is the whole method":                {"--quick"},
		"want a number above 0":                          {"--steps", "-1"},
		"10000000 problems: want 1 to 1048":              {"--search-problems", "10000000"},
		"unknown arm":                                    {"--arm", "both"},
		"want one of base, search, linearize, astro-sft": {"--arm", "astro", "--stage", "direct-rl"},
		"has room for 496":                               {"--max-tokens", "600"},
		"numbers of wrong terminals":                     {"--k", "0,99"},
		"share of local returns":                         {"--local", "2"},
		`compute in "fp8": want auto, f32 or bf16`:       {"--compute", "fp8"},
		"epochs must be 1 to 100":                        {"--sft-epochs", "101"},
		"the --work of another run":                      {"--from", filepath.Join(t.TempDir(), "none")},
	} {
		if out, err := recipeCountdown(t, append(args, work...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v; want %q\n%s", args, err, want, out)
		}
	}
}

// Each flag of an ablation changes its factor and no other, names the run's folder and stands in the command of the model card; its model
// does not replace the one that is served.
func TestRecipeFactors(t *testing.T) {
	parse := func(args ...string) (recipeFlags, string) {
		f := recipeFlags{size: pipeline.Small}
		c := &cobra.Command{Use: "countdown"}
		f.addFlags(c)
		if err := c.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		f.given, f.factors = c.Flags().Changed, givenOf(c, recipeFactors)
		return f, commandOf(c)
	}
	for flag, change := range map[string]func(*pipeline.Config){
		"k=0,1":          func(c *pipeline.Config) { c.Traces.K = []int{0, 1} },
		"local=0":        func(c *pipeline.Config) { c.Traces.Local = 0 },
		"sft-epochs=1":   func(c *pipeline.Config) { c.Traces.Epochs = 1 },
		"max-tokens=100": func(c *pipeline.Config) { c.AstroRL.MaxTokens, c.SPOC.MaxTokens, c.Eval.AstroTokens = 100, 100, 100 },
		"arm=astro":      func(c *pipeline.Config) { c.Arm = pipeline.ArmAstro },
		"mask=true":      func(c *pipeline.Config) { *c = c.WithMask() },
	} {
		plain, _ := parse()
		want, err := plain.config()
		if err != nil {
			t.Fatal(err)
		}
		change(&want)
		f, command := parse("--" + flag)
		got, err := f.config()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("--%s: %v; got %+v; want %+v", flag, err, got, want)
		}
		if err := f.choosePlaces(); err != nil || filepath.Base(f.work) != "countdown-small-"+flag || f.out != filepath.Join(f.work, "model") {
			t.Errorf("--%s works in %s and writes %s (%v)", flag, f.work, f.out, err)
		}
		if command != "countdown --"+flag {
			t.Errorf("--%s: the command is %q", flag, command)
		}
	}
	if f, _ := parse("--mask", "--k", "0,1,2,1"); true {
		if c, err := f.config(); err != nil || !c.Traces.MaskFailed || len(c.Traces.K) != 4 || c.Traces.K[3] != 1 {
			t.Errorf("with --mask and --k: %+v (%v)", c.Traces, err)
		}
	}
	if _, command := parse("--compute", "bf16"); command != "countdown --compute=bf16" {
		t.Errorf("the command in bf16 is %q", command)
	}
	if f, _ := parse(); f.choosePlaces() != nil || f.out != recipeModel {
		t.Errorf("without flags the model goes to %s", f.out)
	}
}

// Without a terminal, progress is a line now and then with an estimate, and a line at the end of each stage.
func TestStageBars(t *testing.T) {
	var out, diagnostics bytes.Buffer
	s := newStageBars(3, &out, &diagnostics)
	s.show(pipeline.Event{Stage: pipeline.Search, Done: 10, Total: 100, Note: "7 solved"})
	s.show(pipeline.Event{Stage: pipeline.Search, Done: 11, Total: 100}) // too soon
	s.show(pipeline.Event{Stage: pipeline.Search, End: true, Note: "100 trees"})
	s.show(pipeline.Event{Stage: pipeline.Linearize, End: true, Skipped: true, Note: "9 traces"})
	if got := diagnostics.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "search 10/100  7 solved  ? left") {
		t.Errorf("got %q", got)
	}
	if got := out.String(); got != "seed 3  search made: 100 trees\nseed 3  linearize kept: 9 traces\n" {
		t.Errorf("got %q", got)
	}
}
