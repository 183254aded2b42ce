package training

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"astro/feedback"
	"astro/internal/device"
	"astro/model"
	"astro/training/grpo"
	"astro/training/trainer"
)

// fromModel makes a Trainer of a model's folder, with moments of zero.
func fromModel(d *device.Device, path string, loss trainer.Loss, schedule trainer.Config) (*trainer.Trainer, error) {
	w, err := model.Load(path, d.Backend(), schedule.DType(), nil)
	if err != nil {
		return nil, err
	}
	t, err := loss.NewTrainer(d, w, schedule)
	if err != nil {
		w.Free()
	}
	return t, err
}

// update is one on its way through the Loop.
type update struct {
	job     string
	version int64 // whose rollouts these are
	began   time.Time
	groups  []grpo.Group
	own     int // the first of groups, whose rollouts the Loop gathered itself; the others were served
	report  grpo.Report

	rated   []served        // by Rollout.Source
	dropped []feedback.Used // rated completions that cannot be learned from any more
	stale   float64         // sum of versions that the served rollouts are behind

	keyCapped, raterCapped uint64 // rated completions that wait because who rated them has its share

	gatherTook, learnTook time.Duration
	eval                  *Evaluated
}

func newUpdate(job string, version int64) *update {
	return &update{job: job, version: version, began: time.Now()}
}

// gather collects what an update learns from: rollouts of the Loop's own prompts, and completions that were rated.
func (l *Loop) gather(ctx context.Context, s *session, u *update) error {
	l.status.enter(phaseGather)
	ctx, cancel := context.WithTimeoutCause(ctx, l.config.GatherTimeout, fmt.Errorf("rollouts took longer than %v", l.config.GatherTimeout))
	defer cancel()
	start := time.Now()
	if len(l.config.Problems) > 0 {
		groups, tally, err := l.roll(ctx, s)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = fmt.Errorf("%w: %w", cause, err)
			}
			return err
		}
		u.groups, u.own, u.report.Tally = groups, len(groups), tally
	}
	u.gatherTook = time.Since(start)
	if !l.config.Served.Learn {
		return nil
	}
	l.status.enter(phaseScore)
	return l.takeServed(ctx, u)
}

// roll draws and grades rollouts.
func (l *Loop) roll(ctx context.Context, s *session) (groups []grpo.Group, tally grpo.Tally, err error) {
	draw := func() error {
		groups, tally, err = s.learner.Gather(ctx)
		return err
	}
	if s.lock != nil {
		err = l.device.InBackground(draw)
	} else {
		err = draw()
	}
	return groups, tally, err
}

// row is the update as the store keeps it, with its numbers.
func (u *update) row(problems []grpo.Problem, n Numbers) feedback.Update {
	row := feedback.Update{Job: u.job, Parent: u.version, Used: append([]feedback.Used{}, u.dropped...)}
	for gi := range u.groups {
		for ri := range u.groups[gi].Rollouts {
			r := &u.groups[gi].Rollouts[ri]
			if gi >= u.own {
				used := u.rated[r.Source].Used
				used.Weight = r.Advantage
				row.Used = append(row.Used, used)
				continue
			}
			row.Rollouts = append(row.Rollouts, u.rollout(problems[u.groups[gi].Problem], r, gi, ri))
		}
	}
	report, err := json.Marshal(n)
	if err != nil {
		report = []byte(fmt.Sprintf(`{"error":%q}`, err)) // a number that is none: the reason of the update says so
	}
	row.Report = report
	return row
}

// rollout is one of the Loop's own as the store keeps it. Its id follows from what drew it, so that it cannot enter twice.
func (u *update) rollout(problem grpo.Problem, r *grpo.Rollout, group, sample int) feedback.Rollout {
	sum := sha256.Sum256([]byte(fmt.Sprint(u.job, "\x00", problem.ID, "\x00", u.version, "\x00", group, "\x00", sample, "\x00", r.Tokens, "\x00", u.began.UnixNano())))
	return feedback.Rollout{ID: hex.EncodeToString(sum[:16]), Problem: problem.ID, Version: u.version, Prompt: problem.Prompt, Output: r.Tokens, Logprobs: r.Logprobs,
		Reward: r.Grade.Reward, Advantage: r.Advantage, Reason: r.Grade.Reason}
}

// Numbers are those of an update that curves are drawn of.
type Numbers struct {
	Reward    float64 `json:"reward"` // mean over what was learned from and its groups without contrast
	PassRate  float64 `json:"pass_rate"`
	Rollouts  int     `json:"rollouts"`
	Served    int     `json:"served"`  // rated completions among what was learned from
	Dropped   int     `json:"dropped"` // rated completions that were too old or unfit
	Length    float64 `json:"length"`  // mean output tokens
	Backs     float64 `json:"backtracks"`
	Entropy   float64 `json:"entropy"`
	Clipped   float64 `json:"clipped"`
	KL        float64 `json:"kl"`
	Gap       float64 `json:"gap"`      // largest |difference| of log-probabilities between engine and trainer
	MeanGap   float64 `json:"mean_gap"` // its mean
	GapKL     float64 `json:"gap_kl"`   // KL divergence between the two, nats per token
	Compared  int     `json:"compared"` // tokens that the three are of
	Ratio     float64 `json:"ratio"`
	GradNorm  float64 `json:"grad_norm"`
	Loss      float64 `json:"loss"`
	LR        float64 `json:"lr"`
	Staleness float64 `json:"staleness"` // mean versions between drawing and learning
	Mixed     float64 `json:"mixed"`     // share of groups with contrast
	Hung      int     `json:"hung"`      // graders that did not answer in time
	Errors    int     `json:"errors"`    // graders and samples that failed
	Learned   int     `json:"learned"`   // tokens that had a weight

	GatherSeconds   float64    `json:"gather_seconds"`
	LearnSeconds    float64    `json:"learn_seconds"`
	Seconds         float64    `json:"seconds"` // of the whole update so far
	SwapMillis      float64    `json:"swap_ms"` // that the engine stood still for the update before this one
	TokensPerSecond float64    `json:"tokens_per_second"`
	Eval            *Evaluated `json:"eval"`
}

func (u *update) numbers(l *Loop) Numbers {
	r := &u.report
	n := Numbers{Rollouts: r.Tally.Rollouts, Reward: r.Tally.Reward, PassRate: float64(r.Tally.Correct), Served: len(u.rated), Dropped: len(u.dropped),
		Entropy: r.Entropy, Clipped: r.Clipped, KL: r.KL, Gap: r.Gap, MeanGap: r.MeanGap, GapKL: r.GapKL, Compared: r.Compared, Ratio: r.Ratio, GradNorm: r.GradNorm, Loss: r.Loss, LR: r.LR,
		Mixed: r.MixedFraction(), Hung: r.Tally.Hung, Errors: r.Tally.Errors + r.Tally.Failed, Learned: r.Learned,
		GatherSeconds: u.gatherTook.Seconds(), LearnSeconds: u.learnTook.Seconds(), Seconds: time.Since(u.began).Seconds(),
		SwapMillis: float64(l.engine.Stats().LastSwap.Microseconds()) / 1000, Eval: u.eval}
	for _, s := range u.rated {
		n.Rollouts++
		n.Reward += s.reward
		n.PassRate += one(s.reward > 0)
	}
	outputs, tokens, backs := 0, 0, 0
	for _, g := range u.groups {
		for _, rollout := range g.Rollouts {
			outputs, tokens = outputs+1, tokens+len(rollout.Tokens)
			if l.config.Returns != nil {
				backs += l.config.Returns(rollout.Tokens)
			}
		}
	}
	of := func(sum float64, n int) float64 { return sum / float64(max(1, n)) }
	n.Reward, n.PassRate = of(n.Reward, n.Rollouts), of(n.PassRate, n.Rollouts)
	n.Length, n.Backs = of(float64(tokens), outputs), of(float64(backs), outputs)
	n.Staleness = of(u.stale, outputs)
	n.TokensPerSecond = float64(r.Tally.Tokens) / max(n.GatherSeconds, 1e-3)
	return n
}

func count(b bool) uint64 { return uint64(one(b)) }

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
