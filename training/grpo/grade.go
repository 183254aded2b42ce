package grpo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Grade is a judgement on a rollout.
type Grade struct {
	Reward  float64 // finite, within MaxReward of 0; usually 1 or -1
	Correct bool    // what pass rates count
	Reason  string  // a stable word
}

// MaxReward bounds the absolute value of a Reward.
const MaxReward = 100

// Grader judges a rollout by its tokens, the end of sequence included if there is one. It is called from several goroutines and should
// return when ctx ends. An error is never a score: the rollout is left out and counted.
type Grader func(ctx context.Context, p Problem, rollout []int32) (Grade, error)

// errDeadline says that a Grader did not answer in time.
var errDeadline = errors.New("the grader did not answer before its deadline")

// Bounds of grading.
const (
	gradeWorkers = 8
	maxHung      = 64 // calls that were given up and have not returned; while there are so many, no other is made
)

// graders calls a Grader within its deadline.
type graders struct {
	grade   Grader
	timeout time.Duration
	hung    atomic.Int64
}

// graded is one call's answer.
type graded struct {
	grade Grade
	err   error
}

// all grades rollouts; problems[i] is that of rollouts[i]. The answers are in the same order.
func (g *graders) all(ctx context.Context, problems []Problem, rollouts [][]int32) []graded {
	answers := make([]graded, len(rollouts))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(gradeWorkers, len(rollouts)) {
		workers.Go(func() {
			for i := range next {
				answers[i] = g.one(ctx, problems[i], rollouts[i])
			}
		})
	}
	for i := range rollouts {
		next <- i
	}
	close(next)
	workers.Wait()
	return answers
}

// one calls the Grader in a goroutine of its own, which is given up at the deadline.
func (g *graders) one(ctx context.Context, p Problem, rollout []int32) graded {
	if n := g.hung.Load(); n >= maxHung {
		return graded{err: fmt.Errorf("%w: %d earlier calls have not returned", errDeadline, n)}
	}
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	answer := make(chan graded, 1)
	g.hung.Add(1)
	go func() {
		defer g.hung.Add(-1)
		answer <- g.guarded(ctx, p, rollout)
	}()
	select {
	case a := <-answer:
		if errors.Is(a.err, context.DeadlineExceeded) {
			a.err = errDeadline
		}
		return a
	case <-ctx.Done():
		return graded{err: errDeadline}
	}
}

// guarded makes a panic or a reward that is no number an error.
func (g *graders) guarded(ctx context.Context, p Problem, rollout []int32) (a graded) {
	defer func() {
		if r := recover(); r != nil {
			a = graded{err: fmt.Errorf("the grader panicked: %v\n%s", r, debug.Stack())}
		}
	}()
	a.grade, a.err = g.grade(ctx, p, rollout)
	if r := a.grade.Reward; a.err == nil && (math.IsNaN(r) || math.Abs(r) > MaxReward) {
		a.err = fmt.Errorf("the grader gave the reward %g; want at most %d either way", r, MaxReward)
	}
	return a
}
