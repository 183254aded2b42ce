package mathrecipe

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/gomlx/compute/dtypes"

	"astro/engine"
	"astro/model"
	"astro/sampler"
	"astro/training/recipe"
	"astro/training/recipe/stages"
	"astro/training/search"
)

// treesName is the file of trees.
const treesName = "trees.jsonl"

// searchFigures are kept of a search.
type searchFigures struct {
	Trees  int            `json:"trees"`
	Solved int            `json:"solved"` // with a correct terminal
	Right  int            `json:"right"`  // correct terminals
	Wrong  int            `json:"wrong"`
	Failed map[string]int `json:"failed"` // problems without a tree, by reason
	Tokens int            `json:"tokens"`
	Busy   float64        `json:"busy"`              // mean share of slots that drew a token in a step, in the process that finished
	Rate   float64        `json:"tokens_per_second"` // in the same process
}

// String is the figures in words.
func (f searchFigures) String() string {
	n := float64(max(1, f.Trees))
	text := fmt.Sprintf("%d trees, yield %.1f %%, %.2f right and %.1f wrong terminals and %.0f tokens a problem, slots %.0f %% busy, %.0f tokens/s",
		f.Trees, 100*float64(f.Solved)/n, float64(f.Right)/n, float64(f.Wrong)/n, float64(f.Tokens)/n, 100*f.Busy, f.Rate)
	if len(f.Failed) > 0 {
		text += fmt.Sprintf(", without a tree: %v", f.Failed)
	}
	return text
}

// search grows a tree for each problem to learn from, in lock step.
func (r *run) search(ctx context.Context, part string) (func(string) error, any, error) {
	begin, busy, closePolicy, err := r.openPolicy()
	if err != nil {
		return nil, nil, err
	}
	defer closePolicy()
	c := r.config
	s := recipe.Search{Config: c.Search, Settings: fmt.Sprintf("%s, temperature %g, model %.12s", r.text, c.Temperature, r.identity), Out: filepath.Join(part, treesName),
		Problems: r.train, Parallel: c.SearchBlock, Policy: begin, LockStep: true}
	summary, err := s.Run(ctx, func(s recipe.SearchSummary) {
		r.tell(Search, s.Trees()+s.Failures(), s.Problems, fmt.Sprintf("%d solved  %.0f tok/s", s.Solved, s.Rate()))
	})
	switch {
	case err != nil:
		return nil, nil, err
	case summary.Solved == 0:
		return nil, nil, fmt.Errorf("none of %d trees (%d problems have none: %v) has a right answer, so there is nothing to learn from: give easier problems, a stronger model, or more iterations",
			summary.Trees(), summary.Failures(), summary.FirstError)
	}
	f := searchFigures{Trees: summary.Trees(), Solved: summary.Solved, Right: summary.Right, Wrong: summary.Wrong, Failed: summary.Failed,
		Tokens: summary.Tokens, Busy: busy(), Rate: summary.Rate()}
	return func(dir string) error { return stages.CopyFiles(dir, part, treesName) }, f, nil
}

// openPolicy gives what each block of trees draws from, and how busy its slots were.
func (r *run) openPolicy() (begin func() search.Policy, busy func() float64, closePolicy func(), err error) {
	if r.Policy != nil {
		return r.Policy, func() float64 { return 0 }, func() {}, nil
	}
	w, err := r.load(Base)
	if err != nil {
		return nil, nil, nil, err
	}
	policy := model.NewPolicy(1, w)
	params := sampler.Default()
	params.Temperature = float32(r.config.Temperature)
	s, err := search.OpenSteppers(r.Device, policy, r.engineConfig(r.config.Slots, r.longest+r.config.AnswerTokens), dtypes.Float32, params)
	if err != nil {
		policy.Release()
		return nil, nil, nil, err
	}
	return s.Next, s.Busy, func() { s.Close(); policy.Release() }, nil
}

// engineConfig has room for all slots at full length.
func (r *run) engineConfig(slots, contextTokens int) engine.Config {
	c := engine.DefaultConfig(r.base.Vocab, slots, contextTokens)
	c.EOS, c.Pages = r.base.EOS, slots*((contextTokens+c.PageTokens-1)/c.PageTokens+1)
	c.ChunkTokens = min(c.ChunkTokens, contextTokens)
	return c
}
