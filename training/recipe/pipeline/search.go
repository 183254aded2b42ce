package pipeline

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/gomlx/compute/dtypes"

	"astro/engine"
	"astro/model"
	"astro/sampler"
	"astro/training/random"
	"astro/training/recipe"
	"astro/training/recipe/stages"
	"astro/training/search"
)

// treesName is the file of trees.
const treesName = "trees.jsonl"

// Streams of random numbers that problems are drawn from. Test problems do not depend on the seed.
const (
	streamSearch uint64 = 21 + iota
	streamRL
	streamTest
	streamCurve
)

// searchFigures are kept of a search.
type searchFigures struct {
	Trees  int     `json:"trees"`
	Solved int     `json:"solved"` // with a correct terminal
	Right  int     `json:"right"`  // correct terminals
	Wrong  int     `json:"wrong"`
	Failed int     `json:"failed"`
	Tokens int     `json:"tokens"`
	Busy   float64 `json:"busy"`              // mean share of slots that drew a token in a step, in the process that finished
	Rate   float64 `json:"tokens_per_second"` // in the same process
}

// String is the figures in words.
func (f searchFigures) String() string {
	n := float64(max(1, f.Trees))
	return fmt.Sprintf("%d trees, yield %.1f %%, %.2f right and %.1f wrong terminals and %.0f tokens a problem, slots %.0f %% busy, %.0f tokens/s",
		f.Trees, 100*float64(f.Solved)/n, float64(f.Right)/n, float64(f.Wrong)/n, float64(f.Tokens)/n, 100*f.Busy, f.Rate)
}

// search grows a tree for each of some training problems, in lock step.
func (p *Pipeline) search(ctx context.Context, part string) (func(string) error, any, error) {
	c := p.Config
	problems, err := p.searchProblems()
	if err != nil {
		return nil, nil, err
	}
	policy, closePolicy, err := p.openSearchPolicy()
	if err != nil {
		return nil, nil, err
	}
	defer closePolicy()
	d := c.domain()
	s := recipe.Search{Config: c.Search, Settings: fmt.Sprintf("countdown, numbers %d, values to %d", d.Numbers, d.MaxValue), Out: filepath.Join(part, treesName),
		Problems: problems, Parallel: c.SearchBlock, Policy: policy.Next, LockStep: true}
	summary, err := s.Run(ctx, func(s recipe.SearchSummary) {
		p.tell(Event{Stage: Search, Done: s.Trees() + s.Failures(), Total: s.Problems, Note: fmt.Sprintf("%d solved  %.0f tok/s", s.Solved, s.Rate())})
	})
	if err != nil {
		return nil, nil, err
	}
	f := searchFigures{Trees: summary.Trees(), Solved: summary.Solved, Right: summary.Right, Wrong: summary.Wrong, Failed: summary.Failures(),
		Tokens: summary.Tokens, Busy: policy.Busy(), Rate: summary.Rate()}
	return func(dir string) error { return stages.CopyFiles(dir, part, treesName) }, f, nil
}

// searchProblems draws problems of training multisets.
func (p *Pipeline) searchProblems() ([]search.Problem, error) {
	d := p.Config.domain()
	var problems []search.Problem
	for _, problem := range d.Sample(d.Split().Train, p.Config.SearchProblems, random.New(p.Config.Seed, streamSearch)) {
		s, err := recipe.NewCountdownSearch(d, "", problem.String())
		if err != nil {
			return nil, err
		}
		problems = append(problems, s)
	}
	return problems, nil
}

// searchContextTokens holds any prompt and derivation without returns.
const searchContextTokens = 64

// openSearchPolicy draws with the base model, which close frees.
func (p *Pipeline) openSearchPolicy() (s *search.Steppers, close func(), err error) {
	w, err := p.load(Base)
	if err != nil {
		return nil, nil, err
	}
	policy := model.NewPolicy(1, w)
	c := engine.DefaultConfig(w.Config.Vocab, p.Config.Slots, searchContextTokens)
	c.EOS, c.Pages = w.Config.EOS, p.Config.Slots*(searchContextTokens/c.PageTokens+1)
	if s, err = search.OpenSteppers(p.Device, policy, c, dtypes.Float32, sampler.Default()); err != nil {
		policy.Release()
		return nil, nil, err
	}
	return s, func() { s.Close(); policy.Release() }, nil
}
