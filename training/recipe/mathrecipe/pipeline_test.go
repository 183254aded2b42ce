package mathrecipe

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/training/recipe/learning"
	"astro/training/recipe/recipetest"
	"astro/training/recipe/stages"
	"astro/training/search"
)

// testConfig is the whole method in some seconds.
func testConfig() Config {
	c := Paper()
	c.Instruction, c.Slots, c.HeldOut, c.Validation, c.SearchBlock, c.BatchExamples, c.BatchTokens = recipetest.Instruction, 8, .25, .2, 4, 4, 256
	c.AnswerTokens, c.StepTokens, c.ContextTokens = 48, 24, 400
	c.Search.Children, c.Search.Rollouts, c.Search.Iterations = 4, 2, 4
	c.Traces.PerTree, c.Traces.K, c.Traces.MaxTokens, c.SFT.Optimizer.PeakLR = 2, []int{0, 1, 2}, 400, 1e-3
	c.Prose = Prose{Writer: Template, Temperature: .7, Workers: 2}
	c.RL.Steps, c.RL.Prompts, c.RL.CurveSteps, c.RL.MaxTokens, c.RL.BatchTokens, c.RL.MaxRounds, c.RL.Optimizer.PeakLR = 2, 4, 1, 24, 256, 1, 1e-3
	c.Eval = Eval{Samples: 3, Vote: 2, CurveProblems: 3, CurveSamples: 2, Resamples: 200, Graphs: 1}
	return c
}

// testPipeline is a run of a tiny random Llama whose search is scripted.
func testPipeline(t *testing.T, tell func(stages.Event)) *Pipeline {
	t.Helper()
	d := devicetest.Open(t, device.Go)
	c, sums := testConfig(), recipetest.Sums(14)
	problems, err := Divide(recipetest.Lines(sums), nil, c.HeldOut, c.Validation)
	if err != nil {
		t.Fatal(err)
	}
	p := &Pipeline{Config: c, Model: recipetest.RandomLlama(t), Problems: problems, Dir: t.TempDir(), Device: d, Tell: tell}
	text, err := recipetest.Text(p.Model)
	if err != nil {
		t.Fatal(err)
	}
	script, err := recipetest.NewScript(text, sums)
	if err != nil {
		t.Fatal(err)
	}
	p.Policy = func() search.Policy { return script }
	return p
}

// The whole method runs, its table is finite, a second run makes nothing anew, and a run that is stopped in every stage ends with the very
// same files.
func TestWholeMethod(t *testing.T) {
	skipped := 0
	p := testPipeline(t, func(e stages.Event) {
		if e.Skipped {
			skipped++
		}
	})
	if err := p.Run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	text := checkTable(t, p)
	if err := p.Run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if again := checkTable(t, p); again != text || skipped != len(Names()) {
		t.Errorf("a second run made something anew (%d kept):\n%s\n%s", skipped, text, again)
	}
	checkArms(t, p)
	checkExport(t, p)
	t.Run("stopped in every stage", func(t *testing.T) { stopEverywhere(t, sums(t, p)) })
}

// stopEverywhere stops a run once in each stage.
func stopEverywhere(t *testing.T, want map[string]string) {
	var cancel context.CancelFunc
	stopped := map[stages.Name]bool{}
	p := testPipeline(t, func(e stages.Event) {
		if !e.End && !stopped[e.Stage] {
			stopped[e.Stage] = true
			cancel()
		}
	})
	for runs := 0; ; runs++ {
		var ctx context.Context
		ctx, cancel = context.WithCancel(t.Context())
		err := p.Run(ctx, "")
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || runs > 20 {
			t.Fatal(err)
		}
	}
	if len(stopped) != len(Names()) {
		t.Errorf("stopped only in %v", stopped)
	}
	got := sums(t, p)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s differs", name)
		}
	}
}

// sums are the checksums of everything that stages made but their seals, which keep times.
func sums(t *testing.T, p *Pipeline) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, s := range Names() {
		dir := p.stages().Path(stages.Name(s))
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if f.Name() != stages.SealName {
				all[s+"/"+f.Name()] = fmt.Sprintf("%x", sha256.Sum256(text))
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("stages made only %d files", len(all))
	}
	return all
}

func checkTable(t *testing.T, p *Pipeline) string {
	t.Helper()
	table, err := NewTable(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Write(p.Dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"table.txt", "table.md", "table.json", "pass.svg", "reward.svg", "returns.svg", "length.svg"} {
		if info, err := os.Stat(filepath.Join(p.Dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is not there, or empty (%v)", name, err)
		}
	}
	for _, r := range table.Rows {
		for _, v := range []float64{r.Pass1.Mean, r.Pass1.SE, r.PassN, r.PassK, r.MajK, r.Returns, r.Cut, r.NoAnswer} {
			if math.IsNaN(v) || v < 0 || v > 100 {
				t.Errorf("%s: %+v", r.Arm, r)
			}
		}
		if r.Tokens < 1 || r.Samples != 3 || r.K != 2 || r.Pass1.N != len(p.Problems.Test) {
			t.Errorf("%s: %+v", r.Arm, r)
		}
	}
	return table.Text()
}

// checkArms compares what the arms were given: as many traces, the returns in one arm alone, and as many tokens.
func checkArms(t *testing.T, p *Pipeline) {
	t.Helper()
	var s searchFigures
	var l traceFigures
	var a, d learning.Imitated
	var astro, direct learning.Figures
	f := p.stages()
	if err := errors.Join(f.Figures(Search, &s), f.Figures(Linearize, &l), f.Figures(AstroSFT, &a), f.Figures(DirectSFT, &d), f.Figures(AstroRL, &astro), f.Figures(DirectRL, &direct)); err != nil {
		t.Fatal(err)
	}
	n := len(p.Problems.Train)
	if s.Trees != n || s.Solved != n || s.Wrong < n {
		t.Errorf("search: %+v of %d problems; want right and wrong ends in each tree", s, n)
	}
	if l.Kept != n || l.Search != l.Direct || a.Examples != d.Examples || l.Returns == 0 || l.Returns == l.Restarts {
		t.Errorf("traces: %+v; want as many in both arms, with returns to steps and to the beginning", l)
	}
	last := direct.Steps[len(direct.Steps)-1]
	if direct.Tokens < astro.Tokens || direct.Tokens-last.Tokens >= astro.Tokens || len(astro.Curve) != 3 {
		t.Errorf("direct-rl drew %d tokens, %d of them in its last step; want just above the %d of astro-rl", direct.Tokens, last.Tokens, astro.Tokens)
	}
}

func checkExport(t *testing.T, p *Pipeline) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := p.Export(dir, "the test"); err != nil {
		t.Fatal(err)
	}
	card, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil || !strings.Contains(string(card), "| astro-rl |") {
		t.Errorf("the folder has no card (%v): %s", err, card)
	}
	if _, err := identityOf(dir); err != nil {
		t.Errorf("the folder is no model: %v", err)
	}
	if _, err := recipetest.Text(dir); err != nil {
		t.Errorf("the model lacks its tokenizer: %v", err)
	}
}
