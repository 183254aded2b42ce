package grpo

import (
	"context"
	"fmt"
	"math"
	"time"

	"astro/model"
	"astro/training/trainer"
)

// Learner improves a Policy step by step. It is not safe for concurrent use.
type Learner struct {
	config   Config
	trainer  *trainer.Trainer
	loss     trainer.Loss
	sampler  Sampler
	graders  graders
	problems []Problem
	// reference is what the KL part compares with; nil without it.
	reference *model.Weights

	steps    int // made
	refusals int // of the last steps in a row
	prompts  *prompts
}

// NewLearner makes a Learner at its first step. The trainer must be one for config.Objective.Loss() whose weights are the Sampler's
// current Policy's; reference is needed if the Objective has a KL part. All stay the caller's.
func NewLearner(c Config, t *trainer.Trainer, s Sampler, problems []Problem, grade Grader, reference *model.Weights) (*Learner, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("cannot learn: %w", err)
	}
	if err := c.checkProblems(problems, t.Model().Vocab, t.Model().MaxPositions); err != nil {
		return nil, fmt.Errorf("cannot learn: %w", err)
	}
	if c.Objective.KL > 0 && reference == nil {
		return nil, fmt.Errorf("cannot learn: a KL weight of %g needs a reference policy", c.Objective.KL)
	}
	return &Learner{config: c, trainer: t, loss: c.Objective.Loss(), sampler: s, graders: graders{grade: grade, timeout: c.GradeTimeout},
		problems: problems, reference: reference, prompts: newPrompts(len(problems), c.Seed, c.Band)}, nil
}

// Report is what one step did.
type Report struct {
	Step  int // the first is 1
	Tally Tally

	Updates      int     // made
	Loss         float64 // of the last update, as are the norms
	GradNorm     float64
	LR           float64
	Learned      int // tokens that had a weight in an update
	Entropy      float64
	Clipped      float64 // share of tokens
	KL           float64 // to the behaviour policy; with Staleness, to that before the step, as the ratio
	ReferenceKL  float64
	Ratio        float64 // largest
	Gap          float64 // largest |difference| of a log-probability between engine and trainer under the same weights; of the first update
	MeanGap      float64 // mean of what Gap is the largest of; with Staleness
	GapKL        float64 // k3 estimate of KL(engine || trainer) from the same tokens, in nats per token; with Staleness
	Compared     int     // tokens of those three; with Staleness
	Weight       float64 // mean weight of tokens by Staleness; 0 without
	Capped       float64 // share of tokens whose weight was truncated
	Version      int64   // published by this step, or still current
	Refused      string  // why an update was refused; "" = none was
	Gather, Time time.Duration
}

// MixedFraction is the share of groups with contrast.
func (r Report) MixedFraction() float64 {
	return float64(r.Tally.Mixed) / float64(max(1, r.Tally.Groups))
}

// PassRate is the share of correct rollouts.
func (r Report) PassRate() float64 {
	return float64(r.Tally.Correct) / float64(max(1, r.Tally.Rollouts))
}

// MeanReward is that of all graded rollouts.
func (r Report) MeanReward() float64 { return r.Tally.Reward / float64(max(1, r.Tally.Rollouts)) }

// Step gathers, scores, learns, checks and publishes. If ctx ends before it has gathered, nothing has changed and its error is returned.
// Errors that come later leave the Learner unusable: go on from a checkpoint.
func (l *Learner) Step(ctx context.Context) (Report, error) {
	start := time.Now()
	p := l.prompts.copy()
	groups, tally, err := l.gather(ctx, p)
	if err != nil {
		return Report{}, err
	}
	report := Report{Step: l.steps + 1, Tally: tally, Gather: time.Since(start)}
	if err := l.learn(groups, &report); err != nil {
		return report, fmt.Errorf("step %d: %w", report.Step, err)
	}
	if report.Updates > 0 {
		if err := l.publish(); err != nil {
			return report, fmt.Errorf("step %d: %w", report.Step, err)
		}
	}
	report.Version, report.Time = l.sampler.Version(), time.Since(start)
	l.prompts, l.steps = p, report.Step
	return report, l.countRefusal(report)
}

// countRefusal ends a run whose updates are refused again and again.
func (l *Learner) countRefusal(r Report) error {
	if r.Refused == "" {
		l.refusals = 0
		return nil
	}
	if l.refusals++; l.refusals > l.config.Limits.Refusals {
		return fmt.Errorf("%d steps in a row were refused, the last because %s; lower the learning rate, or go on from an earlier checkpoint", l.refusals, r.Refused)
	}
	return nil
}

// learn makes the updates of a step.
func (l *Learner) learn(groups []Group, r *Report) error {
	groups = contrasting(groups)
	l.setAdvantages(groups)
	shares, err := l.shares(groups, r)
	if err != nil {
		return err
	}
	for _, s := range shares {
		if err := l.update(s, r); err != nil || r.Refused != "" {
			return err
		}
	}
	return nil
}

// update makes one update, unless its numbers say that it should not be made.
func (l *Learner) update(s share, r *Report) error {
	pending, err := l.trainer.Gradient(s.norm, s.batches...)
	if err != nil {
		return err
	}
	defer pending.Free()
	r.read(pending.Stats)
	if r.Updates == 0 && l.config.Objective.Staleness.TIS == 0 { // else anchor knows it: ratios are not to the behaviour policy
		r.Gap = pending.Stats.Values[statGap]
	}
	if r.Refused = l.config.Limits.refuse(r, r.Updates == 0); r.Refused != "" {
		return nil
	}
	if err := l.trainer.Apply(pending); err != nil {
		return err
	}
	r.Updates++
	return nil
}

// read takes the numbers of an update; means are over all updates of the step, by tokens.
func (r *Report) read(s trainer.Stats) {
	r.Loss, r.GradNorm, r.LR = s.Loss, s.GradNorm, s.LR
	before, now := float64(r.Learned), float64(s.Counted)
	r.Learned += s.Counted
	blend := func(dst *float64, x float64) { *dst = (*dst*before + x*now) / (before + now) }
	blend(&r.Entropy, s.Values[statEntropy])
	blend(&r.Clipped, s.Values[statClipped])
	blend(&r.KL, s.Values[statKL])
	if len(s.Values) > statReference {
		blend(&r.ReferenceKL, s.Values[statReference])
	}
	r.Ratio = max(r.Ratio, s.Values[statRatio])
}

// refuse says why an update with these numbers must not be made, or "".
func (m Limits) refuse(r *Report, first bool) string {
	switch sum := r.Loss + r.GradNorm + r.Ratio + r.KL; {
	case math.IsNaN(sum) || math.IsInf(sum, 0):
		return fmt.Sprintf("the loss is %g, the norm of its gradient %g, the largest ratio %g", r.Loss, r.GradNorm, r.Ratio)
	case first && m.apart(r) != "":
		return m.apart(r)
	case r.Ratio > m.Ratio:
		return fmt.Sprintf("the largest probability ratio is %.3g; the limit is %g", r.Ratio, m.Ratio)
	case r.KL > m.KL:
		return fmt.Sprintf("the KL divergence to the behaviour policy is %.3g; the limit is %g", r.KL, m.KL)
	}
	return ""
}

// apart says where engine and trainer differ by more than they may, or "".
func (m Limits) apart(r *Report) string {
	switch {
	case m.Gap > 0 && r.Gap > m.Gap:
		return fmt.Sprintf("engine and trainer differ by %.3g in a log-probability; the limit is %g", r.Gap, m.Gap)
	case m.MeanGap > 0 && r.MeanGap > m.MeanGap:
		return fmt.Sprintf("log-probabilities of engine and trainer differ by %.3g in the mean; the limit is %g", r.MeanGap, m.MeanGap)
	case m.GapKL > 0 && r.GapKL > m.GapKL:
		return fmt.Sprintf("the KL divergence between engine and trainer is %.3g; the limit is %g", r.GapKL, m.GapKL)
	}
	return ""
}

// publish makes a copy of the weights the current Policy: the trainer goes on changing its own in place.
func (l *Learner) publish() error {
	w, err := l.trainer.SnapshotAs(l.config.Optimizer.Compute.DType())
	if err != nil {
		return err
	}
	policy := model.NewPolicy(l.sampler.Version()+1, w)
	defer policy.Release()
	return l.sampler.Publish(policy)
}
