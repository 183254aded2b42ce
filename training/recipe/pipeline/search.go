package pipeline

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/gomlx/compute/dtypes"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
	"astro/training/random"
	"astro/training/recipe"
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
	policy, err := p.openSearchPolicy()
	if err != nil {
		return nil, nil, err
	}
	defer policy.close()
	d := c.domain()
	s := recipe.Search{Config: c.Search, Settings: fmt.Sprintf("countdown, numbers %d, values to %d", d.Numbers, d.MaxValue), Out: filepath.Join(part, treesName),
		Problems: problems, Parallel: c.SearchBlock, Policy: policy.next, LockStep: true}
	summary, err := s.Run(ctx, func(s recipe.SearchSummary) {
		p.tell(Event{Stage: Search, Done: s.Trees() + s.Failures(), Total: s.Problems, Note: fmt.Sprintf("%d solved  %.0f tok/s", s.Solved, rate(s))})
	})
	if err != nil {
		return nil, nil, err
	}
	f := searchFigures{Trees: summary.Trees(), Solved: summary.Solved, Right: summary.Right, Wrong: summary.Wrong, Failed: summary.Failures(),
		Tokens: summary.Tokens, Busy: policy.busy(), Rate: rate(summary)}
	return func(dir string) error { return copyFiles(dir, part, treesName) }, f, nil
}

func rate(s recipe.SearchSummary) float64 {
	return float64(s.GrownTokens) / max(s.Elapsed.Seconds(), 1e-3)
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

// searchPolicy draws with the base model; each block of trees has a Stepper of its own.
type searchPolicy struct {
	policy  *model.Policy
	runner  *engine.DeviceRunner
	config  engine.Config
	stepper *search.Stepper
	steps   uint64
	tokens  uint64
}

// searchContextTokens holds any prompt and derivation without returns.
const searchContextTokens = 64

func (p *Pipeline) openSearchPolicy() (*searchPolicy, error) {
	w, err := p.load(Base)
	if err != nil {
		return nil, err
	}
	s := &searchPolicy{policy: model.NewPolicy(1, w)}
	s.config = engine.DefaultConfig(w.Config.Vocab, p.Config.Slots, searchContextTokens)
	s.config.EOS, s.config.Pages = w.Config.EOS, p.Config.Slots*(searchContextTokens/s.config.PageTokens+1)
	if s.runner, err = openRunner(p.Device, s.policy, s.config); err != nil {
		s.policy.Release()
		return nil, err
	}
	return s, nil
}

func openRunner(d *device.Device, policy *model.Policy, c engine.Config) (*engine.DeviceRunner, error) {
	r, err := engine.NewDeviceRunner(d, policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots, ChunkTokens: c.ChunkTokens,
		MaxContextTokens: c.MaxContextTokens, KVType: dtypes.Float32, GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		return nil, fmt.Errorf("cannot start an engine to search with: %w", err)
	}
	return r, nil
}

// next begins a block.
func (s *searchPolicy) next() search.Policy {
	s.count()
	s.stepper = search.NewStepper(s.runner, s.config, s.policy.Version, sampler.Default())
	return s.stepper
}

// count adds what the last block did.
func (s *searchPolicy) count() {
	if s.stepper != nil {
		c := s.stepper.Counters()
		s.steps, s.tokens = s.steps+c.Steps, s.tokens+c.OutputTokens
		s.stepper = nil
	}
}

func (s *searchPolicy) busy() float64 {
	s.count()
	return float64(s.tokens) / float64(max(1, s.steps)*uint64(s.config.MaxSlots))
}

func (s *searchPolicy) close() {
	s.runner.Close()
	s.policy.Release()
}
