package pipeline

import (
	"context"
	"fmt"
	"path/filepath"

	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/random"
	"astro/training/recipe"
)

// Point is a point of a learning curve: the model after so many steps, on validation problems.
type Point struct {
	Step     int     `json:"step"`
	Tokens   int     `json:"tokens"` // drawn for learning so far
	Pass1    float64 `json:"pass1"`
	SE       float64 `json:"se"`
	Returns  float64 `json:"returns"`  // per answer
	Distinct float64 `json:"distinct"` // finished legal attempts per answer
	Length   float64 `json:"length"`   // tokens per answer
}

// StepLine is what one step of learning saw.
type StepLine struct {
	Step    int     `json:"step"`
	Reward  float64 `json:"reward"`
	Pass    float64 `json:"pass"`
	Mixed   float64 `json:"mixed"`  // share of groups with contrast
	Tokens  int     `json:"tokens"` // drawn
	Length  float64 `json:"length"` // per rollout
	Cut     int     `json:"cut"`
	Entropy float64 `json:"entropy"`
	Clipped float64 `json:"clipped"`
	KL      float64 `json:"kl"`
	Gap     float64 `json:"gap"`
	Refused string  `json:"refused,omitempty"`
	Seconds float64 `json:"-"` // not kept: two runs of one seed leave the same file
}

// rlFigures are kept of reward learning.
type rlFigures struct {
	Tokens int        `json:"tokens"` // drawn
	Curve  []Point    `json:"curve"`
	Steps  []StepLine `json:"steps"`
}

// String is the figures in words.
func (f rlFigures) String() string {
	first, last := f.Curve[0], f.Curve[len(f.Curve)-1]
	return fmt.Sprintf("%d steps, %.2fM tokens; validation pass@1 %.1f -> %.1f %% (+- %.1f), returns %.2f -> %.2f", last.Step, float64(f.Tokens)/1e6,
		100*first.Pass1, 100*last.Pass1, 100*last.SE, first.Returns, last.Returns)
}

// learning is reward learning of one arm under way.
type learning struct {
	*Pipeline
	arm      Stage
	from     Stage // whose model it begins with
	config   RL
	part     string
	rewards  *recipe.RewardProblems
	budget   int // tokens to draw; 0 = all steps are made
	journal  journal
	progress string
}

// learn teaches an arm by rewards: some steps, then a point of the learning curve, and so on. Each part of it is kept, so that it goes on
// from there.
func (p *Pipeline) learn(arm Stage) work {
	return func(ctx context.Context, part string) (func(string) error, any, error) {
		l := &learning{Pipeline: p, arm: arm, from: AstroSFT, config: p.Config.AstroRL, part: part}
		if arm == DirectRL {
			var astro rlFigures
			if err := p.figures(AstroRL, &astro); err != nil {
				return nil, nil, err
			}
			l.from, l.config, l.budget = DirectSFT, p.Config.DirectRL, astro.Tokens
		}
		if err := l.open(); err != nil {
			return nil, nil, err
		}
		fill, err := l.run(ctx)
		return fill, rlFigures{l.journal.tokens(l.config.Steps), l.journal.Curve, l.journal.Steps}, err
	}
}

// open draws the problems and reads what an earlier run has done.
func (l *learning) open() error {
	d := l.Config.domain()
	var lines []recipe.ProblemLine
	longest := 0
	for i, problem := range d.Sample(d.Split().Train, l.Config.RLProblems, random.New(l.Config.Seed, streamRL)) {
		lines = append(lines, recipe.ProblemLine{ID: problem.String(), Problem: problem.String(), Line: i + 1})
		longest = max(longest, len(countdown.Prompt(problem)))
	}
	l.rewards = recipe.CountdownRewards(d, lines)
	if len(l.rewards.Skipped) > 0 {
		return fmt.Errorf("a problem of the domain cannot be asked: %w", l.rewards.Skipped[0])
	}
	l.config.RowTokens = longest + l.config.MaxTokens
	l.config.Rows = max(1, l.config.BatchTokens/l.config.RowTokens)
	return l.journal.open(filepath.Join(l.part, "journal.json"))
}

// run learns until the end and gives what writes the model.
func (l *learning) run(ctx context.Context) (fill func(string) error, err error) {
	if len(l.journal.Curve) == 0 {
		w, err := l.load(l.from)
		if err != nil {
			return nil, err
		}
		if err := l.measure(ctx, grpo.Trained{Weights: w}, 0); err != nil {
			return nil, err
		}
	}
	for {
		step := l.journal.last()
		to := l.next(step)
		trained, err := l.advance(ctx, to)
		if err != nil {
			return nil, err
		}
		if to == step {
			return l.writer(trained.Weights), nil
		}
	}
}

// next is the step of the point after the one at step; step itself if that is the end. Towards the end of a budget it comes earlier, as
// the tokens of the steps so far say.
func (l *learning) next(step int) int {
	to := min(step+l.config.CurveSteps, l.config.Steps)
	if l.budget == 0 || step == 0 {
		return to
	}
	drawn := l.journal.tokens(step)
	each := max(1, drawn/step)
	return min(to, step+max(0, (l.budget-drawn+each-1)/each))
}

// advance makes steps up to the given one, and the point of the curve there if it is new. The weights of a new point are freed.
func (l *learning) advance(ctx context.Context, to int) (grpo.Trained, error) {
	w, err := l.load(l.from)
	if err != nil {
		return grpo.Trained{}, err
	}
	c := l.config.Config
	c.Steps = to
	trained, err := grpo.Run(ctx, l.Device, w, l.rewards.Problems, l.rewards.Grade, c,
		grpo.Work{Dir: filepath.Join(l.part, "checkpoints"), EverySteps: l.config.CurveSteps, Slots: l.Config.Slots}, l.step)
	if err != nil || to == l.journal.last() {
		return trained, err
	}
	return grpo.Trained{}, l.measure(ctx, trained, to)
}

// step notes what a step saw.
func (l *learning) step(r grpo.Report) {
	t := r.Tally
	s := StepLine{Step: r.Step, Reward: r.MeanReward(), Pass: r.PassRate(), Mixed: r.MixedFraction(), Tokens: t.Tokens, Length: float64(t.Tokens) / float64(max(1, t.Rollouts)),
		Cut: t.Truncated, Entropy: r.Entropy, Clipped: r.Clipped, KL: r.KL, Gap: r.Gap, Refused: r.Refused, Seconds: r.Time.Seconds()}
	l.journal.add(s)
	done, total := r.Step, l.config.Steps
	if l.budget > 0 {
		done, total = l.journal.tokens(r.Step), l.budget
	}
	l.tell(Event{Stage: l.arm, Done: min(done, total), Total: total, Note: fmt.Sprintf("step %d  reward %.3f  pass %.1f %%  mixed %.0f %%  length %.0f  %.1f s  %s",
		r.Step, s.Reward, 100*s.Pass, 100*s.Mixed, s.Length, s.Seconds, l.progress)})
}

// measure makes a point of the curve; it frees the weights. The steps up to it are kept with it.
func (l *learning) measure(ctx context.Context, trained grpo.Trained, step int) error {
	d, e := l.Config.domain(), l.Config.Eval
	q := quiz{problems: d.Sample(d.Split().Val, e.CurveProblems, random.New(0, streamCurve)), samples: e.CurveSamples, maxTokens: l.config.MaxTokens, seed: l.Config.Seed}
	answered, err := l.ask(ctx, trained.Weights, q, nil)
	if err != nil {
		return err
	}
	m := Measure(l.arm, answered)
	l.progress = fmt.Sprintf("validation %.1f %%", 100*m.Pass1.Mean)
	l.journal.Curve = append(l.journal.Curve, Point{Step: step, Tokens: l.journal.tokens(step), Pass1: m.Pass1.Mean, SE: m.Pass1.SE,
		Returns: m.Returns, Distinct: m.Distinct, Length: m.Tokens})
	return l.journal.save()
}
