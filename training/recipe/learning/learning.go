// Package learning teaches a model by rewards until its steps are made or its tokens are drawn, and keeps the curve of what it could do on
// the way. What it keeps lets it go on after a stop as if there had been none.
package learning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"astro/internal/device"
	"astro/model"
	"astro/training/grpo"
	"astro/training/recipe"
)

// Config is how a model learns.
type Config struct {
	grpo.Config     // Rows and RowTokens follow from the problems
	CurveSteps  int // steps between two points of the learning curve, and between two checkpoints
	BatchTokens int // tokens of a micro-batch, about: what memory must hold
	Slots       int // rollouts that are drawn side by side; 0 = as many as other answers. An eighth of a step's keeps 90 % of the slots busy
}

// Validate says what is wrong with a Config, or nil.
func (c Config) Validate() error {
	if c.CurveSteps < 1 || c.BatchTokens < 1 {
		return errors.New("a learning curve needs at least 1 step between two points, and a batch at least 1 token")
	}
	if c.Slots < 0 {
		return fmt.Errorf("%d rollouts side by side: want at least 1, or 0 for as many as other answers", c.Slots)
	}
	return c.Config.Validate()
}

// fit chooses rows that the longest problem with its answer fits in, and as many of them as a micro-batch holds.
func (c Config) fit(problems []grpo.Problem) Config {
	longest := 0
	for _, p := range problems {
		longest = max(longest, len(p.Prompt))
	}
	c.RowTokens = longest + c.MaxTokens
	c.Rows = max(1, c.BatchTokens/c.RowTokens)
	return c
}

// Point is a point of a learning curve: the model after so many steps, on problems that it does not learn from.
type Point struct {
	Step     int     `json:"step"`
	Tokens   int     `json:"tokens"` // drawn for learning so far
	Pass1    float64 `json:"pass1"`
	SE       float64 `json:"se"`
	Returns  float64 `json:"returns"`  // per answer
	Distinct float64 `json:"distinct"` // finished legal attempts per answer, where the domain knows them
	Length   float64 `json:"length"`   // tokens per answer
}

// Step is what one step of learning saw.
type Step struct {
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

// Figures are kept of a learning.
type Figures struct {
	Tokens int     `json:"tokens"` // drawn
	Curve  []Point `json:"curve"`
	Steps  []Step  `json:"steps"`
}

// String is the figures in words.
func (f Figures) String() string {
	first, last := f.Curve[0], f.Curve[len(f.Curve)-1]
	return fmt.Sprintf("%d steps, %.2fM tokens; validation pass@1 %.1f -> %.1f %% (+- %.1f), returns %.2f -> %.2f", last.Step, float64(f.Tokens)/1e6,
		100*first.Pass1, 100*last.Pass1, 100*last.SE, first.Returns, last.Returns)
}

// Teacher makes steps of a learning up to the given one, from weights that it owns, and tells each. What it keeps in dir lets it go on from
// the last checkpoint, one in every steps.
type Teacher func(ctx context.Context, w *model.Weights, dir string, every, to int, tell func(Step)) (*model.Weights, error)

// Learning is reward learning of one model.
type Learning struct {
	Config  Config
	Dir     string // where it keeps what it needs to go on
	Device  *device.Device
	Slots   int // answers that are drawn side by side
	Rewards *recipe.RewardProblems
	Grade   grpo.Grader // nil = that of Rewards
	Teach   Teacher     // nil = GRPO with the Config
	Budget  int         // tokens to draw; 0 = all steps are made

	Load    func() (*model.Weights, error)                             // the model that it begins with
	Measure func(ctx context.Context, w *model.Weights) (Point, error) // makes a Point without Step and Tokens; frees the weights
	Tell    func(done, total int, note string)                         // in steps, or in tokens of a Budget

	journal  journal
	progress string
}

// Run learns until the end. The weights are the caller's to free.
func (l *Learning) Run(ctx context.Context) (*model.Weights, Figures, error) {
	l.Config = l.Config.fit(l.Rewards.Problems)
	if err := l.journal.open(filepath.Join(l.Dir, "journal.json")); err != nil {
		return nil, Figures{}, err
	}
	w, err := l.run(ctx)
	return w, Figures{l.journal.tokens(l.Config.Steps), l.journal.Curve, l.journal.Steps}, err
}

func (l *Learning) run(ctx context.Context) (*model.Weights, error) {
	if len(l.journal.Curve) == 0 {
		w, err := l.Load()
		if err != nil {
			return nil, err
		}
		if err := l.measure(ctx, w, 0); err != nil {
			return nil, err
		}
	}
	for {
		step := l.journal.last()
		to := l.next(step)
		w, err := l.advance(ctx, to)
		if err != nil {
			return nil, err
		}
		if to == step {
			return w, nil
		}
	}
}

// next is the step of the point after the one at step; step itself if that is the end. Towards the end of a budget it comes earlier, as
// the tokens of the steps so far say.
func (l *Learning) next(step int) int {
	to := min(step+l.Config.CurveSteps, l.Config.Steps)
	if l.Budget == 0 || step == 0 {
		return to
	}
	drawn := l.journal.tokens(step)
	each := max(1, drawn/step)
	return min(to, step+max(0, (l.Budget-drawn+each-1)/each))
}

// advance makes steps up to the given one, and the point of the curve there if it is new. The weights of a new point are freed.
func (l *Learning) advance(ctx context.Context, to int) (*model.Weights, error) {
	w, err := l.Load()
	if err != nil {
		return nil, err
	}
	teach := l.Teach
	if teach == nil {
		teach = l.reinforce
	}
	w, err = teach(ctx, w, filepath.Join(l.Dir, "checkpoints"), l.Config.CurveSteps, to, l.step)
	if err != nil || to == l.journal.last() {
		return w, err
	}
	return nil, l.measure(ctx, w, to)
}

// reinforce is the Teacher by GRPO.
func (l *Learning) reinforce(ctx context.Context, w *model.Weights, dir string, every, to int, tell func(Step)) (*model.Weights, error) {
	c, grade := l.Config.Config, l.Grade
	if c.Steps = to; grade == nil {
		grade = l.Rewards.Grade
	}
	trained, err := grpo.Run(ctx, l.Device, w, l.Rewards.Problems, grade, c, grpo.Work{Dir: dir, EverySteps: every, Slots: cmp.Or(l.Config.Slots, l.Slots)}, func(r grpo.Report) { tell(stepOf(r)) })
	return trained.Weights, err
}

// stepOf is what a step of GRPO saw.
func stepOf(r grpo.Report) Step {
	t := r.Tally
	return Step{Step: r.Step, Reward: r.MeanReward(), Pass: r.PassRate(), Mixed: r.MixedFraction(), Tokens: t.Tokens, Length: float64(t.Tokens) / float64(max(1, t.Rollouts)),
		Cut: t.Truncated, Entropy: r.Entropy, Clipped: r.Clipped, KL: r.KL, Gap: r.Gap, Refused: r.Refused, Seconds: r.Time.Seconds()}
}

// step notes what a step saw.
func (l *Learning) step(s Step) {
	l.journal.add(s)
	done, total := s.Step, l.Config.Steps
	if l.Budget > 0 {
		done, total = l.journal.tokens(s.Step), l.Budget
	}
	l.Tell(min(done, total), total, fmt.Sprintf("step %d  reward %.3f  pass %.1f %%  mixed %.0f %%  length %.0f  %.1f s  %s",
		s.Step, s.Reward, 100*s.Pass, 100*s.Mixed, s.Length, s.Seconds, l.progress))
}

// measure makes a point of the curve; it frees the weights. The steps up to it are kept with it.
func (l *Learning) measure(ctx context.Context, w *model.Weights, step int) error {
	p, err := l.Measure(ctx, w)
	if err != nil {
		return err
	}
	l.progress = fmt.Sprintf("validation %.1f %%", 100*p.Pass1)
	p.Step, p.Tokens = step, l.journal.tokens(step)
	l.journal.Curve = append(l.journal.Curve, p)
	return l.journal.save()
}
