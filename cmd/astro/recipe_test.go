package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

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
		"want tiny, small or large":          {"--size", "huge"},
		"want one of base, search":           {"--stage", "rl"},
		"needs base and search and astro-rl": {"--stage", "spoc"},
		"it needs base and astro-rl":         {"--stage", "step-kto"},
		"it needs base":                      {"--stage", "search"},
		"it needs base and direct-sft":       {"--stage", "eval"},
		"want 1 to 32":                       {"--seeds", "0"},
		"--size tiny is the whole method":    {"--quick"},
		"want a number above 0":              {"--steps", "-1"},
		"10000000 problems: want 1 to 1048":  {"--search-problems", "10000000"},
	} {
		if out, err := recipeCountdown(t, append(args, work...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v; want %q\n%s", args, err, want, out)
		}
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
