package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/training/recipe/stages"
)

// committed is the base model of the demo.
const committed = "../../../models/countdown-base"

func testConfig(t *testing.T) Config {
	t.Helper()
	c, err := shortConfig()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shortConfig is the whole method in some seconds, from the committed base model.
func shortConfig() (Config, error) {
	c, err := Sized(Small)
	if err != nil {
		return c, err
	}
	if c.BaseModel = committed; !c.Shaped(committed) {
		return c, errors.New("models/countdown-base has not the shape of size small")
	}
	c.SearchProblems, c.SearchBlock, c.Search.Iterations, c.RLProblems, c.Slots, c.BatchExamples = 12, 6, 6, 40, 16, 8
	c.Traces.Epochs = 1
	c.Eval = Eval{Problems: 6, Samples: 2, CurveProblems: 4, CurveSamples: 2, AstroTokens: 64, DirectTokens: 32, Resamples: 200, Graphs: 1}
	for _, r := range []*RL{&c.AstroRL, &c.DirectRL} {
		r.Prompts, r.Group, r.Steps, r.CurveSteps, r.BatchTokens, r.Mini = 4, 4, 2, 1, 512, 1
	}
	c.AstroRL.MaxTokens, c.DirectRL.MaxTokens, c.DirectRL.Steps = 64, 32, 20
	c.compared()
	return c.WithSeed(1), nil
}

func testPipeline(t *testing.T, tell func(Event)) *Pipeline {
	t.Helper()
	d := devicetest.Open(t, device.Go)
	return &Pipeline{Config: testConfig(t), Dir: t.TempDir(), Device: d, Tell: tell}
}

// The whole method runs, its table is finite, a second run makes nothing anew, and a run that is stopped in every stage ends with the very
// same files.
func TestWholeMethod(t *testing.T) {
	skipped := map[Stage]int{}
	p := testPipeline(t, func(e Event) {
		if e.Skipped {
			skipped[e.Stage]++
		}
	})
	if err := p.Run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	text := tableOf(t, p)
	checkFinite(t, p)
	if err := p.Run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if again := tableOf(t, p); again != text || len(skipped) != len(p.plan(nil))-len(Compared) {
		t.Errorf("a second run made something anew (skipped %v):\n%s\n%s", skipped, text, again)
	}
	var astro, direct rlFigures
	if err := errors.Join(p.figures(AstroRL, &astro), p.figures(DirectRL, &direct)); err != nil {
		t.Fatal(err)
	}
	last := direct.Steps[len(direct.Steps)-1]
	if direct.Tokens < astro.Tokens || direct.Tokens-last.Tokens >= astro.Tokens {
		t.Errorf("direct-rl drew %d tokens, %d of them in its last step; want just above the %d of astro-rl", direct.Tokens, last.Tokens, astro.Tokens)
	}
	runCompared(t, p)
	checkExport(t, p)
	want := sums(t, p)
	t.Run("stopped in every stage", func(t *testing.T) {
		t.Parallel()
		stopEverywhere(t, want)
	})
	t.Run("one arm", func(t *testing.T) { oneArm(t, p) })
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		killEverywhere(t, p, want)
	})
}

// oneArm runs the astro arm alone from what p has made: only its evaluation is new, with the same answers, and its table has no other arm.
func oneArm(t *testing.T, p *Pipeline) {
	taken := map[Stage]bool{}
	one := testPipeline(t, func(e Event) { taken[e.Stage] = taken[e.Stage] || e.Skipped })
	one.Config.Arm, one.From = ArmAstro, p.Dir
	if err := one.Run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	want := map[Stage]bool{Base: true, Search: true, Linearize: true, AstroSFT: true, AstroRL: true, Evaluate: false}
	if !maps.Equal(taken, want) {
		t.Errorf("stages taken over: %v; want %v", taken, want)
	}
	if text := tableOf(t, one); strings.Contains(text, "direct-") || !strings.Contains(text, "astro-rl") {
		t.Errorf("the table has the wrong arms:\n%s", text)
	}
	var all, some SeedTable
	if err := errors.Join(p.figures(Evaluate, &all), one.figures(Evaluate, &some)); err != nil {
		t.Fatal(err)
	}
	for _, arm := range []Stage{Base, AstroSFT, AstroRL} {
		if all.Row(arm) != some.Row(arm) {
			t.Errorf("%s is judged %+v alone; want %+v", arm, some.Row(arm), all.Row(arm))
		}
	}
	checkExport(t, one)
}

// stopEverywhere stops a run once in each stage, and once more in the stages that report twice.
func stopEverywhere(t *testing.T, want map[string]string) {
	var cancel context.CancelFunc
	stops := map[Stage]int{}
	p := testPipeline(t, func(e Event) {
		if !e.End && stops[e.Stage] < 1 {
			stops[e.Stage]++
			cancel()
		}
	})
	runs := 0
	for ; ; runs++ {
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
	for _, s := range []Stage{Search, DirectSFT, AstroSFT, AstroRL, DirectRL, Evaluate} {
		if stops[s] == 0 {
			t.Errorf("the stage %s was never stopped", s)
		}
	}
	stopCompared(t, p)
	got := sums(t, p)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s differs after %d stops", name, runs)
		}
	}
}

// sums are the checksums of everything that stages made but their seals, which keep times.
func sums(t *testing.T, p *Pipeline) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, s := range p.plan(nil) {
		files, err := os.ReadDir(p.folder(s.Name))
		if s.OnRequest && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Name() == stages.SealName {
				continue
			}
			text, err := os.ReadFile(filepath.Join(p.folder(s.Name), f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[string(s.Name)+"/"+f.Name()] = fmt.Sprintf("%x", sha256.Sum256(text))
		}
	}
	if len(all) < 20 {
		t.Fatalf("stages made only %d files", len(all))
	}
	return all
}

func tableOf(t *testing.T, p *Pipeline) string {
	t.Helper()
	table, err := NewTable([]*Pipeline{p})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Write(p.Dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tableText, tableMarkdown, tableJSON, "pass.svg", "reward.svg", "returns.svg", "distinct.svg", "length.svg"} {
		if info, err := os.Stat(filepath.Join(p.Dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is not there, or empty (%v)", name, err)
		}
	}
	return table.Text()
}

// checkFinite looks at the figures of every arm.
func checkFinite(t *testing.T, p *Pipeline) {
	t.Helper()
	var s SeedTable
	if err := p.figures(Evaluate, &s); err != nil {
		t.Fatal(err)
	}
	for _, arm := range Models {
		r := s.Row(arm)
		for _, v := range []float64{r.Pass1.Mean, r.Pass1.SE, r.PassN, r.Vote, r.First, r.Cut, r.Returns, r.Distinct, r.Copied} {
			if math.IsNaN(v) || v < 0 || v > 100 {
				t.Errorf("%s: %+v", arm, r)
			}
		}
		if r.Tokens < 1 || r.Pass1.N != 6 || r.Samples != 2 {
			t.Errorf("%s: %+v", arm, r)
		}
	}
	if s.Row(AstroSFT).Returns <= s.Row(DirectSFT).Returns {
		t.Errorf("the astro arm returns %.2f times, the direct one %.2f: it learnt nothing of its traces", s.Row(AstroSFT).Returns, s.Row(DirectSFT).Returns)
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
	m, err := model.LoadConfig(dir)
	if err != nil || m.MaxPositions != p.Config.ContextTokens() {
		t.Errorf("its context is %d tokens (%v); want the %d that it learnt with", m.MaxPositions, err, p.Config.ContextTokens())
	}
	if m.MaxPositions = p.Config.Base.Model.MaxPositions; !p.Config.fits(m) {
		t.Errorf("the model is of another shape: %+v", m)
	}
}
