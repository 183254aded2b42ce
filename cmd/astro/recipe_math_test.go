package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/training/recipe/recipetest"
)

// recipeMath runs `astro recipe math` with arguments on the go backend.
func recipeMath(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newRootCommand()
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(append([]string{"recipe", "math", "--backend", "go"}, args...))
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// instructionFile asks with nothing but the problem.
func instructionFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "instruction.txt")
	if err := os.WriteFile(path, []byte(recipetest.Instruction), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// The whole method from the command line: a tiny Llama that guesses sums is searched with, taught and judged; then nothing is made again.
func TestRecipeMath(t *testing.T) {
	d := devicetest.Open(t, device.Go)
	sums := recipetest.Sums(14)
	model, dir := recipetest.TaughtLlama(t, d, sums, 25), t.TempDir()
	args := []string{"--model", model, "--problems", recipetest.File(t, recipetest.Lines(sums)), "--work", filepath.Join(dir, "work"), "--out", filepath.Join(dir, "out"),
		"--instruction", instructionFile(t), "--prose", "template", "--self-eval", "0", "--held-out", ".25", "--validation", ".2", "--slots", "8", "--context", "400",
		"--answer-tokens", "32", "--step-tokens", "16", "--children", "4", "--rollouts", "1", "--iterations", "4", "--parallel", "8", "--traces", "2", "--k", "0,1,2",
		"--sft-lr", "1e-3", "--batch-tokens", "256", "--batch-examples", "4", "--rl-steps", "1", "--rl-prompts", "2", "--rl-lr", "1e-3", "--rl-tokens", "24", "--rl-batch-tokens", "256",
		"--rl-rounds", "1", "--eval-samples", "2", "--vote", "2", "--curve-problems", "2", "--curve-samples", "2", "--compute", "f32"}
	text, err := recipeMath(t, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, want := range []string{"search made: ", "linearize made: ", "astro-rl made: ", " on go in f32", "maj@2 %", "wrote the model to"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %s; want %q in it", text, want)
		}
	}
	card, err := os.ReadFile(filepath.Join(dir, "out", "README.md"))
	if err != nil || !strings.Contains(string(card), "astro recipe math --model ") || !strings.Contains(string(card), "--rl-tokens=24") || !strings.Contains(string(card), "--compute=f32") {
		t.Errorf("the card says %s (%v)", card, err)
	}
	again, err := recipeMath(t, args...)
	if err != nil || strings.Contains(again, " made: ") || strings.Count(again, " kept: ") != 7 {
		t.Errorf("a second run: %v: %s", err, again)
	}
	if text, err := recipeMath(t, append(args, "--iterations", "5")...); err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("other settings in the same folder: %v: %s", err, text)
	}
}

// Wrong flags and files are one line that says what to do, before a model is loaded.
func TestRecipeMathRefuses(t *testing.T) {
	model, problems, bad := recipetest.RandomLlama(t), recipetest.File(t, recipetest.Lines(recipetest.Sums(40))), filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte(`{"problem": "What?"}`+"\n"+`{"problem": 7}`), 0o644); err != nil {
		t.Fatal(err)
	}
	usual := []string{"--model", model, "--problems", problems, "--work", t.TempDir()}
	for want, args := range map[string][]string{
		"want --model MODEL and --problems FILE": {"--problems", problems},
		"line 2 is no problem":                   {"--model", model, "--problems", bad},
		"has no config.json":                     {"--model", t.TempDir(), "--problems", problems, "--estimate"},
		"want one of search, linearize":          append(usual, "--stage", "spoc", "--context", "500", "--prompt-tokens", "400"),
		"want model or template":                 append(usual, "--prose", "me"),
		"prose by a server":                      append(usual, "--prose-url", "http://127.0.0.1:1"),
		"0 iterations":                           append(usual, "--iterations", "0"),
		"want blank or numbered":                 append(usual, "--step-boundary", "words"),
		"not enough memory":                      append(usual, "--memory-bytes", "1000"),
		"it needs search":                        append(usual, "--stage", "linearize"),
		"read the instruction":                   append(usual, "--instruction", "absent.txt"),
		"want shares that leave some":            append(usual, "--held-out", "1"),
		"with a prompt that is too long":         append(usual, "--prompt-tokens", "3"),
		`--compute in "half": want auto, f32`:    append(usual, "--compute", "half"),
	} {
		if _, err := recipeMath(t, args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: got %v; want %q on one line", args, err, want)
		}
	}
}

// What a run would take is told without opening a device; learning by rewards takes less in bf16, which is what a GPU computes in.
func TestRecipeMathEstimates(t *testing.T) {
	usual := []string{"--model", recipetest.RandomLlama(t), "--problems", recipetest.File(t, recipetest.Lines(recipetest.Sums(40))), "--work", t.TempDir(), "--estimate"}
	rewards := map[string]string{} // the line of learning by rewards
	for _, extra := range []string{"", "--compute=f32", "--compute=bf16", "--backend=xla:cuda"} {
		args := usual
		if extra != "" {
			args = append(slices.Clone(usual), extra)
		}
		text, err := recipeMath(t, args...)
		_, line, _ := strings.Cut(text, "learning by rewards: ")
		if err != nil || line == "" || !strings.Contains(text, "search draws ") {
			t.Errorf("--estimate %s: %v: %s", extra, err, text)
		}
		rewards[extra], _, _ = strings.Cut(line, "\n")
	}
	if whole, half := rewards[""], rewards["--compute=bf16"]; whole != rewards["--compute=f32"] || half != rewards["--backend=xla:cuda"] || whole == half {
		t.Errorf("got %q; want bf16's as on xla:cuda, and else those of f32", rewards)
	}
}
