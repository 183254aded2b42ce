package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"astro/model"
	"astro/training/checkpoint"
	"astro/training/grpo"
	"astro/training/linearize"
	"astro/training/recipe"
	"astro/training/recipe/learning"
	"astro/training/recipe/stages"
	"astro/training/reward"
	"astro/training/sft"
)

// SPOCConfig is spontaneous self-correction (Zhao et al., arXiv 2506.06923): one answer holds solutions in turn with verdicts on them, and ends
// with the first that its verdict accepts.
type SPOCConfig struct {
	RL // its Steps are a bound, as the direct arm's are

	// VerdictShare is the share of the reward that is given for true verdicts; the rest is given for the outcome. Both go from -1 to 1, so
	// that nothing is worse than an answer that does not end. At less than a half, no verdict makes up for a wrong outcome.
	VerdictShare float64
}

// Validate says what is wrong with a SPOCConfig, or nil.
func (c SPOCConfig) Validate() error {
	if !(c.VerdictShare >= 0 && c.VerdictShare <= 1) {
		return fmt.Errorf("a share of %g of the reward for verdicts: want 0 to 1", c.VerdictShare)
	}
	return c.RL.Validate()
}

// reward is (1 - VerdictShare) o + VerdictShare (2 t - 1), where o is 1 for a right answer and -1 for another, and t is the share of true
// verdicts on finished attempts; without any it is 0. Every token of the answer is given it, for GRPO knows one reward of an answer; the
// article rewards each solution and each verdict by its own.
func (c SPOCConfig) reward(r reward.CountdownResult) float64 {
	outcome, truth := -1.0, 0.0
	if r.Correct {
		outcome = 1
	}
	if r.Verdicts > 0 {
		truth = float64(r.RightVerdicts) / float64(r.Verdicts)
	}
	return (1-c.VerdictShare)*outcome + c.VerdictShare*(2*truth-1)
}

// grade judges the rollouts of problems whose id is the problem.
func (p *Pipeline) spocGrade(_ context.Context, problem grpo.Problem, rollout []int32) (grpo.Grade, error) {
	parsed, err := reward.ParseCountdown(problem.ID)
	if err != nil {
		return grpo.Grade{}, err
	}
	r := p.Config.domain().Verify(parsed, rollout)
	return grpo.Grade{Reward: p.Config.SPOC.reward(r), Correct: r.Correct, Reason: string(r.Reason)}, nil
}

// spoc teaches the base model pairs of solutions with their verdicts, then rewards both roles.
func (p *Pipeline) spoc(ctx context.Context, part string) (func(string) error, any, error) {
	budget, err := p.budget()
	if err != nil {
		return nil, nil, err
	}
	begun := filepath.Join(part, "taught")
	taught, err := p.spocTaught(ctx, part, begun)
	if err != nil {
		return nil, nil, err
	}
	l, err := p.learning(SPOC, p.Config.SPOC.RL, part, func() (*model.Weights, error) { return p.loadFrom(begun) })
	if err != nil {
		return nil, nil, err
	}
	l.Grade, l.Budget = p.spocGrade, budget
	return p.finish(ctx, part, SPOC, l, &taught)
}

// spocTaught makes the folder of the model that learning begins with, unless it is there.
func (p *Pipeline) spocTaught(ctx context.Context, part, dir string) (f learning.Imitated, err error) {
	const name = "taught.json"
	if err := stages.ReadJSON(filepath.Join(dir, name), &f); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	traces := filepath.Join(part, "traces")
	if _, err := p.traces(ctx, SPOC, traces, p.Config.spocTraces(), false); err != nil {
		return f, err
	}
	examples, err := sft.ReadFile(filepath.Join(traces, recipe.SearchTraces), sft.Weights, p.Config.Base.Model.Vocab)
	if err != nil {
		return f, err
	}
	w, f, err := p.teach(ctx, SPOC, examples, filepath.Join(part, "teaching"))
	if err != nil {
		return f, err
	}
	write := p.writer(w)
	return f, checkpoint.Write(dir, func(dir string) error {
		return errors.Join(write(dir), stages.WriteJSON(filepath.Join(dir, name), f))
	})
}

// spocTraces are the astro arm's, but that at most one solution is wrong, and that the next begins anew and is whole.
func (c Config) spocTraces() linearize.Options {
	o := c.Traces
	o.K, o.Local, o.Restart = nil, -1, true
	for _, k := range c.Traces.K {
		o.K = append(o.K, min(k, 1))
	}
	return o
}
