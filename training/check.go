package training

import (
	"context"
	"fmt"
	"math"

	"astro/engine"
	"astro/sampler"
	"astro/training/eval"
	"astro/training/grpo"
	"astro/training/trainer"
)

// check evaluates a candidate where it is due, and says why it must not be published, or "".
func (l *Loop) check(ctx context.Context, s *session, c Candidate) (*Evaluated, string, error) {
	if len(l.config.EvalProblems) == 0 || s.updates%l.config.EvalEvery != 0 && s.parent != nil {
		return nil, "", nil
	}
	if s.parent == nil { // the first time there is nothing to compare with
		parent, err := l.evaluate(ctx, s.version)
		if err != nil {
			return nil, "", err
		}
		s.parent = &parent
	}
	e, err := l.evaluate(ctx, c.Version)
	if err != nil {
		return nil, "", err
	}
	return &e, worse(*s.parent, e), nil
}

// worse says by how much a candidate is worse than its parent beyond the error of both, or "".
func worse(parent, candidate Evaluated) string {
	const deviations = 2
	limit := deviations * math.Hypot(parent.Error, candidate.Error)
	if parent.PassRate-candidate.PassRate > limit {
		return fmt.Sprintf("its evaluation has a pass rate of %.3f, its parent's had %.3f; it may be lower by %.3f", candidate.PassRate, parent.PassRate, limit)
	}
	return ""
}

// evaluate has a version answer the held-out problems. All versions get the same seeds.
func (l *Loop) evaluate(ctx context.Context, version int64) (Evaluated, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.config.GatherTimeout, fmt.Errorf("an evaluation took longer than %v", l.config.GatherTimeout))
	defer cancel()
	var requests []engine.Request
	for i, p := range l.config.EvalProblems {
		params := sampler.Default()
		params.Seed = trainer.Mix(l.config.Learn.Seed ^ trainer.Mix(uint64(i)+1<<32))
		requests = append(requests, engine.Request{Prompt: p.Prompt, N: l.config.EvalSamples, Params: params, Seeded: true, MaxTokens: l.config.Learn.MaxTokens,
			Class: engine.Batch, Version: version})
	}
	samples, err := grpo.NewLive(l.engine, maxInFlight).Sample(ctx, requests)
	if err != nil {
		return Evaluated{}, fmt.Errorf("evaluate version %d: %w", version, err)
	}
	return l.gradeAll(ctx, samples)
}

// gradeAll gives the pass rate of samples, with its standard error over problems. What a grader fails on counts as wrong: a candidate
// must not be published because its grader hangs.
func (l *Loop) gradeAll(ctx context.Context, samples [][]grpo.Sample) (Evaluated, error) {
	correct := make([][]bool, len(samples))
	for i, group := range samples {
		for _, s := range group {
			grade, err := l.gradeOne(ctx, l.config.EvalProblems[i], s)
			if err != nil && ctx.Err() != nil {
				return Evaluated{}, err
			}
			correct[i] = append(correct[i], err == nil && grade.Correct)
		}
	}
	e := eval.AvgAtK(correct)
	return Evaluated{PassRate: e.Mean, Error: e.SE, Samples: len(samples) * l.config.EvalSamples}, nil
}

func (l *Loop) gradeOne(ctx context.Context, p grpo.Problem, s grpo.Sample) (grpo.Grade, error) {
	if s.Err != nil {
		return grpo.Grade{}, s.Err
	}
	ctx, cancel := context.WithTimeout(ctx, l.config.Learn.GradeTimeout)
	defer cancel()
	return l.config.Grade(ctx, p, s.Tokens)
}
