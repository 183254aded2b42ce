package main

import (
	"context"
	"time"

	"astro/engine"
	"astro/internal/telemetry"
	"astro/server"
)

// countTimeout bounds how long somebody who reads metrics waits for the store.
const countTimeout = time.Second

// measure tells of the engine and its programs in numbers.
func (b *backend) measure(dtype string) telemetry.EngineState {
	s, p := server.EngineState(b.engine, dtype), b.runner.Programs()
	s.ProgramsReady, s.ProgramsPending = p.Ready, p.Pending
	cache, _ := b.device.CacheStats()
	s.ExecutablesCompiled, s.ExecutablesLoaded = cache.Misses+cache.Damaged, cache.Hits
	return s
}

// measure tells of learning in numbers.
func (l *learning) measure(e *engine.Engine) telemetry.LoopState {
	now, store := e.Stats(), l.store.Stats()
	s := telemetry.LoopState{State: "off", Phase: "wait", EvalPassRate: -1, Swaps: now.Swaps, LastSwap: now.LastSwap.Seconds(), LongestSwap: now.LongestSwap.Seconds(),
		StoreCommits: store.Commits, StoreOperations: store.Operations, StoreFailures: store.Failures, StoreWaiting: store.Waiting, StoreBytes: store.Bytes, StoreBroken: store.Broken}
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	if n, err := l.store.Counts(ctx); err == nil {
		s.Completions, s.Feedback, s.Used, s.Waiting = n.Completions, n.Feedback, n.Used, n.Waiting
	}
	s.Candidates = len(l.policies.Candidates())
	if l.loop == nil {
		return s
	}
	status := l.loop.Status()
	c, last := &status.Counters, &status.Counters.Last
	s.State, s.Phase, s.PhaseSeconds = status.State, status.Phase, status.PhaseSeconds
	s.Applied, s.Rejected, s.Failed, s.Stale, s.Alarms, s.Share = c.Applied, c.Rejected, c.Failed, c.Stale, c.Alarms, c.Share
	s.KeyCapped, s.RaterCapped = c.KeyCapped, c.RaterCapped
	s.Reward, s.PassRate, s.Length, s.Returns, s.Entropy, s.Clipped, s.KL = last.Reward, last.PassRate, last.Length, last.Backs, last.Entropy, last.Clipped, last.KL
	s.Ratio, s.GradNorm, s.LR, s.Gap, s.MeanGap, s.GapKL, s.Staleness, s.Mixed = last.Ratio, last.GradNorm, last.LR, last.Gap, last.MeanGap, last.GapKL, last.Staleness, last.Mixed
	if c.Eval != nil {
		s.EvalPassRate = c.Eval.PassRate
	}
	return s
}
