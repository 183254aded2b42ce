package mathrecipe

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/model"
	"astro/training/recipe"
	"astro/training/recipe/recipetest"
	"astro/training/search"
	"astro/training/trainer"
)

// What cannot work is said before anything is loaded, with what to do about it.
func TestRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(p *Pipeline)
		want  string
	}{
		"too little memory": {func(p *Pipeline) { p.MemoryBytes = 1 << 20 }, "not enough memory for supervised learning"},
		"no model":          {func(p *Pipeline) { p.Model = t.TempDir() }, "config.json"},
		"long prompts":      {func(p *Pipeline) { p.Config.PromptTokens = 2 }, "with a prompt that is too long; the first was line"},
		"short context":     {func(p *Pipeline) { p.Config.ContextTokens = 5 }, "has no room behind a prompt"},
		"no answers": {func(p *Pipeline) {
			for i := range p.Problems.Train {
				p.Problems.Train[i].Answer = ""
			}
		}, "without an answer"},
		"settings":    {func(p *Pipeline) { p.Config.RL.Group = 1 }, "groups of 1"},
		"writer":      {func(p *Pipeline) { p.Config.Prose.Writer = "me" }, "want model or template"},
		"server":      {func(p *Pipeline) { p.Config.Prose.Writer = Server }, "its address"},
		"instruction": {func(p *Pipeline) { p.Config.Instruction = "Solve it." }, "{{problem}}"},
		"shares":      {func(p *Pipeline) { p.Config.Validation = 0 }, "want shares"},
		"end of sequence": {func(p *Pipeline) {
			for _, name := range []string{"config.json", "generation_config.json"} {
				path := filepath.Join(p.Model, name)
				text, err := os.ReadFile(path)
				if err := errors.Join(err, os.WriteFile(path, bytes.ReplaceAll(text, []byte(`"eos_token_id": 503`), []byte(`"eos_token_id": 7`)), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
		}, "would never end"},
	} {
		p := testPipeline(t, nil)
		p.Problems.Train = p.Problems.Train[:min(7, len(p.Problems.Train))]
		test.spoil(p)
		if err := p.Run(t.Context(), ""); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v; want %q", name, err, test.want)
		}
	}
}

// wrongOnly never finds an answer.
type wrongOnly struct{ search.Policy }

func (w wrongOnly) Sample(ctx context.Context, draws []search.Draw) []search.Drawn {
	out := w.Policy.Sample(ctx, draws)
	for i := range out {
		for k := range out[i].Samples {
			out[i].Samples[k].Tokens = []int32{65, 66}
		}
	}
	return out
}

// A search that solves nothing ends there and says so; stages alone say what they lack; other settings are not taken for these.
func TestStagesAlone(t *testing.T) {
	p := testPipeline(t, nil)
	if err := p.Run(t.Context(), DirectRL); err == nil || !strings.Contains(err.Error(), "it needs direct-sft and astro-rl") {
		t.Errorf("got %v; want what is missing", err)
	}
	if err := p.Run(t.Context(), "spoc"); err == nil || !strings.Contains(err.Error(), "search, linearize, direct-sft") {
		t.Errorf("got %v; want the stages that there are", err)
	}
	script := p.Policy
	p.Policy = func() search.Policy { return wrongOnly{script()} }
	if err := p.Run(t.Context(), Search); err == nil || !strings.Contains(err.Error(), "has a right answer") {
		t.Errorf("got %v; want that nothing was solved", err)
	}
	p.Policy = script
	p.Config.Search.Iterations++ // what was begun with other settings is dropped
	if err := p.Run(t.Context(), Search); err != nil {
		t.Fatal(err)
	}
	p.Config.Temperature = .5
	if err := p.Run(t.Context(), Search); err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("got %v; want a refusal", err)
	}
	if err := p.Export(t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "judged") {
		t.Errorf("got %v; want no model that was not judged", err)
	}
}

// Where a problem goes follows from its text; test problems are never learnt from; what cannot be used is counted.
func TestDivide(t *testing.T) {
	all := recipetest.Lines(recipetest.Sums(200))
	p, err := Divide(all, nil, .2, .1)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Test); n < 25 || n > 55 || len(p.Validation) < 8 || len(p.Validation) > 32 || len(p.Train)+len(p.Validation)+n != 200 {
		t.Errorf("got %d, %d and %d of 200", len(p.Train), len(p.Validation), n)
	}
	some, err := Divide(all[50:], nil, .2, .1)
	if err != nil {
		t.Fatal(err)
	}
	place := map[string]string{}
	for name, list := range map[string][]recipe.ProblemLine{"train": p.Train, "validation": p.Validation, "test": p.Test} {
		for _, l := range list {
			place[l.ID] = name
		}
	}
	for name, list := range map[string][]recipe.ProblemLine{"train": some.Train, "validation": some.Validation, "test": some.Test} {
		for _, l := range list {
			if place[l.ID] != name {
				t.Errorf("%s went to %s, and to %s with others beside it", l.ID, place[l.ID], name)
			}
		}
	}
	spoilt := append(append([]recipe.ProblemLine{}, all...), recipe.ProblemLine{ID: "a", Problem: "  WHAT is 1 + 1? ", Answer: "2", Line: 201},
		recipe.ProblemLine{ID: "b", Problem: "What?", Line: 202}, recipe.ProblemLine{ID: "sum 7", Problem: "Which?", Answer: "1", Line: 203})
	given, err := Divide(spoilt, all[:5], .2, .1)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := given.Skipped.String(), "5 that are test problems, 1 with an id of another problem, 1 without an answer"; len(given.Test) != 5 || !strings.Contains(got, "that are test problems") || given.Skipped.Total() != 8 {
		t.Errorf("got %q and %d test problems; want about %q", got, len(given.Test), want)
	}
	if _, err := Divide(all[:1], nil, .2, .1); err == nil || !strings.Contains(err.Error(), "none is left") {
		t.Errorf("got %v of one problem", err)
	}
}

// A Llama of one layer, by hand: 2 slots of 10 tokens, keys and values of 1 head of 4 in f32; a micro-batch of one row of 8 tokens.
func TestNeeds(t *testing.T) {
	m := model.Config{Vocab: 16, Hidden: 8, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 4, FFN: 12, MaxPositions: 64, TiedHead: true}
	c := testConfig()
	c.Slots, c.AnswerTokens, c.Traces.MaxTokens, c.BatchTokens, c.RL.MaxTokens, c.RL.BatchTokens = 2, 7, 8, 8, 5, 8
	needs := c.Needs(m, 3)
	weights := 4 * m.Params()
	layer := int64(8*8 + 2*(2+2)*4 + 4*12 + 2*2*8)
	if n := needs[0]; n.Served != weights || n.KV != 2*10*2*4*4 || n.State != 0 || n.Activations != 0 {
		t.Errorf("search: %+v", n)
	}
	if n := needs[1]; n.State != 4*weights || n.Activations != 4*8*(layer+3*16) || n.Served != 0 {
		t.Errorf("supervised: %+v; want %d for activations", n, 4*8*(layer+3*16))
	}
	if n := needs[2]; n.Served != 2*weights || n.KV != 2*8*2*4*4 || n.Bytes() != n.State+n.Served+n.KV+n.Activations {
		t.Errorf("rewards: %+v", n)
	}
}

// Learning by rewards in bf16 draws with weights of 2 bytes but for norms, and a KL part holds as many once more; whatever is trained stays f32.
func TestNeedsInBF16(t *testing.T) {
	m := model.Config{Vocab: 16, Hidden: 8, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 4, FFN: 12, MaxPositions: 64, TiedHead: true}
	norms := int64(3 * 8)
	half := 2*(m.Params()-norms) + 4*norms
	whole := testConfig()
	c := whole.WithCompute(trainer.BF16)
	before, n := whole.Needs(m, 3), c.Needs(m, 3)
	if n[2].Served != 2*half || n[2].State != before[2].State || n[0] != before[0] || n[1] != before[1] {
		t.Errorf("in bf16 %+v, in f32 %+v; want %d bytes served in learning by rewards, and nothing else changed", n, before, 2*half)
	}
	c.RL.Objective.KL = .1
	if served := c.Needs(m, 3)[2].Served; served != 3*half {
		t.Errorf("with a reference %d bytes are held; want %d", served, 3*half)
	}
}

// The paper's numbers are the defaults.
func TestPaper(t *testing.T) {
	c := Paper()
	s := c.Search
	if err := c.Validate(); err != nil || s.Children != 8 || s.Rollouts != 16 || s.Iterations != 32 || s.MaxDepth != 50 || c.Traces.MaxTokens != 8192 || !c.Traces.PromptLoss ||
		c.SFT.Epochs != 1 || c.SFT.Optimizer.PeakLR != 3e-6 || c.RL.Group != 4 || c.RL.Optimizer.PeakLR != 2e-7 || c.RL.MaxTokens != 15360 || c.RL.Band.Low != .01 ||
		c.RL.Band.High != .75 || c.Prose.SelfEval != 8 || c.Eval.Samples != 16 || c.Eval.Vote != 8 || math.Abs(c.RL.Objective.ClipHigh-.28) > 1e-9 {
		t.Errorf("%v: %+v", err, c)
	}
	m := model.Config{MaxPositions: 4096}
	fitted, err := c.fit(m, 96)
	if err != nil || fitted.RL.MaxTokens != 4000 || fitted.Traces.MaxTokens != 4096 || fitted.AnswerTokens != 4000 {
		t.Errorf("%v: fitted to %+v", err, fitted)
	}
}
