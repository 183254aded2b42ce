package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/training/countdown"
	"astro/training/random"
)

// train runs `astro train` with arguments and returns what it prints.
func train(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	c := newRootCommand()
	c.SetOut(&out)
	c.SetErr(&diagnostics)
	c.SetArgs(append(append([]string{"train"}, args...), "--backend", "go"))
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// weightsIn loads a model's folder.
func weightsIn(t *testing.T, dir string) (all [][]float32) {
	t.Helper()
	d := devicetest.Open(t, device.Go)
	w, err := model.Load(dir, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	for _, x := range w.Tensors {
		all = append(all, tensors.MustCopyFlatData[float32](x))
	}
	return all
}

func writeLines(t *testing.T, name string, lines ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	var text []byte
	for _, l := range lines {
		line, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, line...), '\n')
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Texts in, a model out that serves as its parent did: other weights, the same tokenizer.
func TestTrainSFT(t *testing.T) {
	d := countdown.CD4
	var lines []any
	for _, p := range d.Sample(d.Split().Train, 40, random.New(1, 0)) {
		prompt := countdown.Prompt(p)
		lines = append(lines, map[string]any{"tokens": append(prompt, countdown.ButWait, countdown.NotSure, countdown.EOS), "prompt_tokens": len(prompt)})
	}
	out := filepath.Join(t.TempDir(), "trained")
	text, err := train(t, "sft", "--model", demo, "--data", writeLines(t, "data.jsonl", lines...), "--out", out, "--epochs", "2", "--rows", "1", "--loss", "completion")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "trained 4 steps") || !strings.Contains(text, "loss on completion") {
		t.Errorf("got %q", text)
	}
	if slices.EqualFunc(weightsIn(t, demo), weightsIn(t, out), slices.Equal[[]float32]) {
		t.Error("the weights are as they were")
	}
	a, errA := os.ReadFile(filepath.Join(demo, "tokenizer.json"))
	b, errB := os.ReadFile(filepath.Join(out, "tokenizer.json"))
	if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the tokenizer is another, %v", err)
	}
	_, err = train(t, "sft", "--model", demo, "--data", writeLines(t, "text.jsonl", map[string]any{"text": "3 7"}), "--out", out)
	if err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a text without tokens: got %v", err)
	}
}

// In bf16 another model comes out than in f32, near it and f32 as its numbers show; a run goes on in what it began with.
func TestTrainInBF16(t *testing.T) {
	p := countdown.CD4.Sample(countdown.CD4.Split().Train, 1, random.New(1, 0))[0]
	data := writeLines(t, "data.jsonl", map[string]any{"tokens": append(countdown.Prompt(p), countdown.ButWait, countdown.EOS)})
	sft := func(compute, work string) (string, [][]float32, error) {
		out := filepath.Join(t.TempDir(), "trained")
		text, err := train(t, "sft", "--model", demo, "--data", data, "--out", out, "--work", work, "--epochs", "2", "--rows", "1", "--compute", compute)
		if err != nil {
			return text, nil, err
		}
		return text, weightsIn(t, out), nil
	}
	work := t.TempDir()
	text, half, err := sft("bf16", work)
	if err != nil || !strings.Contains(text, "with go in bf16") {
		t.Fatalf("got %q, %v", text, err)
	}
	if _, _, err := sft("auto", work); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("in f32 where bf16 began: %v", err)
	}
	if _, _, err := sft("f16", t.TempDir()); err == nil || !strings.Contains(err.Error(), "want auto, f32 or bf16") {
		t.Errorf("in f16: %v", err)
	}
	_, exact, err := sft("f32", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	same, finer := true, false
	for i := range half {
		for j, x := range half[i] {
			if d := math.Abs(float64(x) - float64(exact[i][j])); d > 5e-3 {
				t.Fatalf("a weight is %g in bf16 and %g in f32", x, exact[i][j])
			}
			same, finer = same && x == exact[i][j], finer || math.Float32bits(x)&0xffff != 0
		}
	}
	if same || !finer {
		t.Errorf("training in bf16 gives the weights of f32: %t, and finer ones than bf16: %t", same, finer)
	}
}

// LoRA trains few parameters and leaves a model as any other, whose embedding is the old one.
func TestTrainLoRA(t *testing.T) {
	p := countdown.CD4.Sample(countdown.CD4.Split().Train, 1, random.New(1, 0))[0]
	data := writeLines(t, "data.jsonl", map[string]any{"tokens": append(countdown.Prompt(p), countdown.ButWait, countdown.EOS)})
	out, work := filepath.Join(t.TempDir(), "trained"), t.TempDir()
	text, err := train(t, "sft", "--model", demo, "--data", data, "--out", out, "--work", work, "--epochs", "2", "--rows", "1", "--lora-rank", "2", "--lora-alpha", "4", "--lora-matrices", "qkv,o")
	if err != nil || !strings.Contains(text, "training 3456 parameters") {
		t.Fatalf("got %q, %v", text, err)
	}
	before, after := weightsIn(t, demo), weightsIn(t, out)
	if !slices.Equal(before[0], after[0]) || slices.EqualFunc(before, after, slices.Equal[[]float32]) {
		t.Error("want another model with the same embedding")
	}
	manifests, _ := filepath.Glob(filepath.Join(work, "step-*", "manifest.json"))
	if len(manifests) != 1 {
		t.Fatalf("got the manifests %v; want one", manifests)
	}
	if manifest, err := os.ReadFile(manifests[0]); err != nil || !strings.Contains(string(manifest), `"alpha": 4`) || strings.Contains(string(manifest), "_down") {
		t.Errorf("the manifest is %s, %v", manifest, err)
	}
}

// Three steps in one go, and two with a third after a restart, end with the same model, to the last bit.
func TestTrainGRPO(t *testing.T) {
	d := countdown.CD4
	lines := []any{map[string]any{"problem": "1 2 3 4 5 6 -> 7"}}
	for _, p := range d.Sample(d.Split().Train, 12, random.New(1, 0)) {
		lines = append(lines, map[string]any{"id": p.String(), "problem": p.String()})
	}
	file, dir := writeLines(t, "problems.jsonl", lines...), t.TempDir()
	run := func(out, steps string, more ...string) string {
		text, err := train(t, append([]string{"grpo", "--model", demo, "--problems", file, "--out", filepath.Join(dir, out), "--steps", steps,
			"--prompts", "4", "--group", "6", "--max-tokens", "40", "--rows", "2", "--mini", "2", "--kl", "0.01"}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	text := run("whole", "3")
	for _, want := range []string{"12 problems (1 skipped)", "line 1: the problem 1 2 3 4 5 6 -> 7 has 6 numbers", "step 3 ", "wrote "} {
		if !strings.Contains(text, want) {
			t.Errorf("got %q; want %q in it", text, want)
		}
	}
	work := filepath.Join(dir, "work")
	run("part", "2", "--work", work)
	if text := run("rest", "3", "--work", work); strings.Contains(text, "step 2 ") || !strings.Contains(text, "step 3 ") {
		t.Errorf("the second run says %q; want the third step only", text)
	}
	whole, rest := weightsIn(t, filepath.Join(dir, "whole")), weightsIn(t, filepath.Join(dir, "rest"))
	if !slices.EqualFunc(whole, rest, slices.Equal[[]float32]) {
		t.Error("the run that was resumed ends with other weights")
	}
	if slices.EqualFunc(whole, weightsIn(t, demo), slices.Equal[[]float32]) {
		t.Error("nothing was learned")
	}
}

// Flags that make no sense are refused with a word on what to do.
func TestTrainRefuses(t *testing.T) {
	file := writeLines(t, "problems.jsonl", map[string]any{"problem": "3 7 2 9 -> 27"})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sft", "--model", demo, "--out", "x"}, "want --data"},
		{[]string{"sft", "--data", file, "--loss", "some"}, "want all, completion or weights"},
		{[]string{"grpo", "--model", demo, "--out", "x"}, "want --problems"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--lora-rank", "9999"}, "1 to its smaller side"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--lora-alpha", "2"}, "want a rank of at least 1"},
		{[]string{"grpo", "--problems", file}, "want --model MODEL and --out DIR"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--domain", "chess"}, "want countdown or text"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--max-value", "60"}, "--max-value"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--group", "1"}, "want 2 to"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--max-tokens", "600"}, "fit into the model's context"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--norm", "words"}, "want tokens, sequences or constant"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--loss", "ppo"}, "want clip, gspo or cispo"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--tis", ".5"}, "want 1 to"},
		{[]string{"grpo", "--model", demo, "--out", "x", "--problems", file, "--overlong", "shape"}, "rewards that fall within the last 0 tokens"},
	} {
		if _, err := train(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v; want an error with %q", c.args, err, c.want)
		}
	}
}
