package pipeline

import (
	"context"
	"errors"
	"fmt"

	"astro/engine"
	"astro/model"
	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/kto"
	"astro/training/random"
	"astro/training/recipe"
	"astro/training/recipe/learning"
	"astro/training/reward"
	"astro/training/trainer"
)

// StepKTOConfig is learning from labels on steps and answers (Lin et al., arXiv 2501.10799). As in the article it begins with the model
// that is there, which learns from nothing but its own answers: no trace is imitated.
type StepKTOConfig struct {
	kto.Config      // Rows and RowTokens follow from the problems; its Rounds are a bound, as the direct arm's Steps are
	Problems    int // of a round
	Group       int // answers to each
	MaxTokens   int // of an answer
	CurveRounds int // between two points of the learning curve, and between two checkpoints
	BatchTokens int // tokens of a micro-batch, about: what memory must hold
}

// Validate says what is wrong with a StepKTOConfig, or nil.
func (c StepKTOConfig) Validate() error {
	switch {
	case c.Problems < 1 || c.Group < 1 || c.Problems > kto.MaxAnswers || c.Group > grpo.MaxGroup || c.Problems*c.Group > kto.MaxAnswers:
		return fmt.Errorf("%d problems of %d answers in a round: want at least 1 of each, at most %d answers to a problem and %d in all", c.Problems, c.Group, grpo.MaxGroup, kto.MaxAnswers)
	case c.MaxTokens < 1 || c.CurveRounds < 1 || c.BatchTokens < 1:
		return errors.New("an answer, a micro-batch and what lies between two points of a learning curve must be at least 1")
	}
	return c.Config.Validate()
}

// learning is the same as a Config that says how long to learn and how to measure.
func (c StepKTOConfig) learning() learning.Config {
	return learning.Config{Config: grpo.Config{Steps: c.Rounds, MaxTokens: c.MaxTokens}, CurveSteps: c.CurveRounds, BatchTokens: c.BatchTokens}
}

// stepKTO teaches the base model by labels on its own answers.
func (p *Pipeline) stepKTO(ctx context.Context, part string) (func(string) error, any, error) {
	budget, err := p.budget()
	if err != nil {
		return nil, nil, err
	}
	l, err := p.learning(StepKTO, p.Config.StepKTO.learning(), part, func() (*model.Weights, error) { return p.load(Base) })
	if err != nil {
		return nil, nil, err
	}
	d := drawer{Pipeline: p, prompts: l.Rewards.Problems}
	l.Budget = budget
	l.Teach = func(ctx context.Context, w *model.Weights, dir string, every, to int, tell func(learning.Step)) (*model.Weights, error) {
		c := p.Config.StepKTO.Config
		c.Rounds, c.Rows, c.RowTokens = to, l.Config.Rows, l.Config.RowTokens
		return kto.Run(ctx, p.Device, w, kto.Source{Name: d.name(), Draw: d.draw}, c, kto.Work{Dir: dir, EveryRounds: every}, func(r kto.Report) {
			s := d.seen
			s.Step, s.Entropy, s.KL, s.Seconds = r.Round, r.Entropy, r.KL, r.Time.Seconds()
			tell(s)
		})
	}
	return p.finish(ctx, part, StepKTO, l, nil)
}

// drawer answers problems for kto and labels the answers.
type drawer struct {
	*Pipeline
	prompts []grpo.Problem // their ids are the problems
	seen    learning.Step  // of the last round
}

// name says what is drawn. The problems follow from the domain and the seed.
func (d *drawer) name() string {
	c := d.Config.StepKTO
	return fmt.Sprintf("%+v, %d problems, seed %d: %d of them a round, %d answers of %d tokens", d.Config.domain(), len(d.prompts), d.Config.Seed, c.Problems, c.Group, c.MaxTokens)
}

// draw answers the problems of a round, and notes what it saw.
func (d *drawer) draw(ctx context.Context, round int, w *model.Weights) ([]kto.Answer, error) {
	c := d.Config.StepKTO
	const stream = 31 // of this use of the seed
	q := learning.Quiz{Samples: c.Group, MaxTokens: c.MaxTokens, Slots: d.Config.Slots, Seed: random.New(d.Config.Seed, stream+uint64(round)<<8).Uint64()}
	var problems []countdown.Problem
	for _, i := range d.choose(round) {
		problem, err := reward.ParseCountdown(d.prompts[i].ID)
		if err != nil {
			panic("BUG: an id that is no problem: " + err.Error())
		}
		problems, q.Prompts = append(problems, problem), append(q.Prompts, d.prompts[i].Prompt)
	}
	d.seen = learning.Step{}
	var answers []kto.Answer
	err := q.Ask(ctx, d.Device, w, func(i int, samples []grpo.Sample) error {
		right := 0
		for _, s := range samples {
			a, correct := d.label(problems[i], q.Prompts[i], s)
			if answers = append(answers, a); correct {
				right++
			}
		}
		d.note(samples, right)
		return nil
	})
	n := float64(max(1, len(answers)))
	s := &d.seen
	s.Pass, s.Reward, s.Mixed, s.Length = s.Pass/n, 2*s.Pass/n-1, s.Mixed/float64(c.Problems), float64(s.Tokens)/n
	return answers, err
}

// choose lists the problems of a round: all come once before one comes again.
func (d *drawer) choose(round int) []int {
	n, c := len(d.prompts), d.Config.StepKTO
	var chosen, order []int
	for at := (round - 1) * c.Problems; at < round*c.Problems; at++ {
		if order == nil || at%n == 0 {
			order = trainer.Order(d.Config.Seed, uint64(at/n), n)
		}
		chosen = append(chosen, order[at%n])
	}
	return chosen
}

// note counts what the answers to a problem were like; the caller divides.
func (d *drawer) note(samples []grpo.Sample, right int) {
	d.seen.Pass += float64(right)
	if right > 0 && right < len(samples) {
		d.seen.Mixed++
	}
	for _, s := range samples {
		d.seen.Tokens += len(s.Tokens)
		if s.Finish == engine.FinishLength {
			d.seen.Cut++
		}
	}
}

// label judges an answer: each step of its first derivation by whether the target stays within reach, the whole by the verifier.
func (d *drawer) label(problem countdown.Problem, prompt []int32, s grpo.Sample) (a kto.Answer, correct bool) {
	domain, n := d.Config.domain(), len(prompt)
	a = kto.Answer{Tokens: append(prompt[:n:n], s.Tokens...), Prompt: n}
	for _, step := range recipe.CountdownSteps(domain, problem, s.Tokens) {
		a.Labels = append(a.Labels, kto.Label{From: n + step.From, To: n + step.To, Good: step.Reaches})
	}
	correct = s.Finish != engine.FinishLength && domain.Verify(problem, s.Tokens).Correct
	a.Labels = append(a.Labels, kto.Label{From: n, To: n + len(s.Tokens), Good: correct, Outcome: true})
	return a, correct
}
