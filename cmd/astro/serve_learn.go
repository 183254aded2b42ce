package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"astro/engine"
	"astro/feedback"
	"astro/internal/device"
	"astro/internal/telemetry"
	"astro/model"
	"astro/server"
	"astro/training"
	"astro/training/recipe"
	"astro/training/trainer"
)

// learnFlags say what a server keeps and whether it learns from it.
type learnFlags struct {
	store       string // folder; "" = nothing is kept
	learn       string // source; "" = nothing is learned
	paused      bool
	every       time.Duration
	evalEvery   int // updates between evaluations
	lr          float64
	prompts     int
	checkpoints bool // of layers
	loraRank    int
	compute     string // of training: auto, f32 or bf16
	publish     string // auto or manual
	keyShare    float64
	raterShare  float64
	staleness   int64
	served      int
	batchTokens int
	swapNow     bool
	keepStored  int
	keepLoaded  int
	retention   time.Duration
	history     time.Duration // of updates and events
	historyRows int64
	storeBytes  int64
	storeText   bool
	trees       string

	graderURLs    []string
	graderTimeout time.Duration
}

func defaultLearnFlags() learnFlags {
	return learnFlags{compute: device.Auto, publish: publishAuto, prompts: 16, staleness: 2, served: 128, keepStored: 5, keepLoaded: 2, batchTokens: 2, evalEvery: 5, retention: 7 * 24 * time.Hour, history: 90 * 24 * time.Hour, historyRows: 200_000, storeBytes: 16 << 30, graderTimeout: 10 * time.Second}
}

func (l *learnFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&l.store, "store", "", "folder that keeps completions, feedback and learned policies; \"\" = nothing is kept, unless --learn is given")
	f.StringVar(&l.learn, "learn", "", "learn while serving: countdown (the demo model's game), feedback (rated completions alone), jobs (fine-tuning jobs alone), or a JSONL file of problems with answers")
	f.BoolVar(&l.paused, "learn-paused", false, "begin with learning paused")
	f.DurationVar(&l.every, "learn-every", 0, "time from the start of one update to that of the next, at least")
	f.IntVar(&l.evalEvery, "learn-eval-every", l.evalEvery, "updates between two evaluations on held-out problems")
	f.Float64Var(&l.lr, "learn-rate", 0, "learning rate; 0 = 3e-4 for models of less than 10 million parameters, 1e-6 for others")
	f.StringVar(&l.publish, "learn-publish", l.publish, "auto: a candidate that passed its checks is served at once; manual: it waits until POST /v1/policies/{v}/promote, and learning goes on from it")
	f.IntVar(&l.prompts, "learn-prompts", l.prompts, "prompts that an update gathers rollouts of, 8 of each")
	f.BoolVar(&l.checkpoints, "learn-layer-checkpoints", false, "train with much less memory for a third more time")
	f.IntVar(&l.loraRank, "learn-lora-rank", 0, "train a change of this rank in each matrix, in place of the weights (LoRA); it wants about ten times the learning rate; 0 = all weights")
	f.StringVar(&l.compute, "learn-compute", l.compute, "what training computes products in: f32, bf16 (weights and optimizer stay f32), or auto, which is bf16 on xla:cuda alone")
	f.Float64Var(&l.keyShare, "learn-key-share", 0, "share of an update's rated completions that one API key may have rated, 0 to 1; 0 = all")
	f.Float64Var(&l.raterShare, "learn-rater-share", 0, "share of an update's rated completions that one rater may have rated, 0 to 1; a key that names no rater is one itself; 0 = all")
	f.Int64Var(&l.staleness, "learn-staleness", l.staleness, "policy versions that a rated completion may be behind when it is learned from")
	f.IntVar(&l.served, "learn-served", l.served, "rated completions that an update learns from, at most")
	f.IntVar(&l.batchTokens, "learn-batch-tokens", l.batchTokens, "tokens of rollouts in a step that serves somebody, too: more learns faster and makes tokens later")
	f.IntVar(&l.keepStored, "keep-checkpoints", l.keepStored, "policy versions whose checkpoints stay on disk, besides the best and those that are loaded")
	f.IntVar(&l.keepLoaded, "keep-loaded", l.keepLoaded, "policy versions that stay on the device besides the served one: for requests that name them, and the way back")
	f.BoolVar(&l.swapNow, "swap-now", false, "a new policy goes on with answers under way at once, each token marked with its version; else they finish on the old one")
	f.DurationVar(&l.retention, "store-retention", l.retention, "after which completions are erased; later feedback for them is refused")
	f.DurationVar(&l.history, "store-history-retention", l.history, "after which updates, with their rollouts, and events are removed; those of kept checkpoints and jobs that are not over stay")
	f.Int64Var(&l.historyRows, "store-history-rows", l.historyRows, "updates that are kept, and events; past it the oldest are removed")
	f.Int64Var(&l.storeBytes, "store-bytes", l.storeBytes, "size of the store; past it the oldest completions are erased")
	f.BoolVar(&l.storeText, "store-text", false, "keep the text of prompts and answers, not only their token ids")
	f.StringArrayVar(&l.graderURLs, "grader", nil, "a service that judges answers, as NAME=URL; requests name it {\"type\": \"http\", \"name\": NAME}")
	f.DurationVar(&l.graderTimeout, "grader-timeout", l.graderTimeout, "time that such a service gets for an answer")
	f.StringVar(&l.trees, "trees", "", "JSONL file of search trees to show on the page")
}

// When a candidate is served.
const (
	publishAuto   = "auto"
	publishManual = "manual"
)

// defaultStore is the folder of a server that learns and was given none.
const defaultStore = "astro-store"

// learning is what a server that keeps or learns has besides its backend.
type learning struct {
	flags    learnFlags
	store    *feedback.Store
	start    training.Start
	policies *training.Policies
	loop     *training.Loop
	jobs     *training.Jobs
	server   serverOf
	log      *slog.Logger

	life context.Context // of everything that works in the background
	stop context.CancelFunc
	work sync.WaitGroup
}

// openStore opens the store and chooses the policy to begin with; nil = nothing is kept.
func openStore(ctx context.Context, o *serveOptions, log *slog.Logger) (*learning, error) {
	if o.learnFlags.learn != "" && o.learnFlags.store == "" {
		o.learnFlags.store = defaultStore
	}
	if _, err := trainer.ParseCompute(o.learnFlags.compute, device.Go); err != nil {
		return nil, fmt.Errorf("--learn-%w", err)
	}
	if o.learnFlags.store == "" && o.learnFlags.trees != "" {
		return nil, errors.New("--trees: trees are shown from the store; give --store DIR, too")
	}
	if o.learnFlags.store == "" {
		return nil, nil
	}
	l := &learning{flags: o.learnFlags, log: log}
	if l.flags.publish != publishAuto && l.flags.publish != publishManual {
		return nil, fmt.Errorf("--learn-publish %q: want auto or manual", l.flags.publish)
	}
	var err error
	l.store, err = feedback.Open(filepath.Join(l.flags.store, "state.db"), feedback.Options{Retention: l.flags.retention, MaxBytes: l.flags.storeBytes, KeepText: l.flags.storeText,
		HistoryRetention: l.flags.history, MaxHistoryRows: l.flags.historyRows})
	if err != nil {
		return nil, err
	}
	if l.start, err = training.Begin(ctx, l.store, o.dir); err != nil {
		return nil, errors.Join(err, l.store.Close())
	}
	log.Info("the store is open", "file", l.store.Path(), "policy version", l.start.Version)
	return l, nil
}

// first is what to serve at the beginning; dir is the model that was named.
func (l *learning) first(dir string) training.Start {
	if l == nil {
		return training.Start{Path: dir, Version: 1}
	}
	return l.start
}

// begin starts policies and, where one is wanted, the loop; b must serve l.start.
func (l *learning) begin(ctx context.Context, b *backend, o serveOptions, tracer *telemetry.Tracer) error {
	if l == nil {
		return nil
	}
	dtype, err := model.ParseDType(o.dtype)
	if err != nil {
		return err
	}
	l.policies, err = training.OpenPolicies(ctx, training.PoliciesConfig{Engine: b.engine, Store: l.store, Device: b.device, DType: dtype, Int8: b.int8,
		Dir: filepath.Join(l.flags.store, "policies"), Base: o.dir, KeepStored: l.flags.keepStored, KeepLoaded: l.flags.keepLoaded, Manual: l.flags.publish == publishManual, OnHost: b.devices > 1, Extra: func(dir string) error { return recipe.CopyTexts(dir, o.dir) }, Log: l.log}, l.start)
	if err != nil {
		return err
	}
	b.metrics.Registry().MustRegister(telemetry.NewLoopCollector(func() telemetry.LoopState { return l.measure(b.engine) }))
	l.life, l.stop = context.WithCancel(context.Background())
	l.work.Go(func() { l.prune(l.life) })
	if err := l.loadTrees(ctx); err != nil || l.flags.learn == "" {
		return err
	}
	if l.jobs, err = l.newJobs(b, o.names[0]); err != nil || l.flags.learn == "jobs" {
		return err
	}
	c, err := l.source(b, o)
	if err != nil {
		return err
	}
	c.Tracer = tracer
	d, err := b.device.OpenBackground()
	if err != nil {
		return err
	}
	if l.loop, err = training.NewLoop(c, l.policies, d); err != nil {
		return err
	}
	if l.flags.paused {
		l.loop.Pause("started with --learn-paused")
	}
	l.work.Go(func() { l.run(l.life) })
	l.work.Go(func() { l.signals(l.life) })
	return nil
}

func (l *learning) run(ctx context.Context) {
	if err := l.loop.Run(ctx); err != nil && ctx.Err() == nil {
		l.log.Error("learning has ended; serving goes on", "error", err)
	}
}

// signals pause (SIGUSR1) and resume (SIGUSR2) learning.
func (l *learning) signals(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if s == syscall.SIGUSR1 {
				l.loop.Pause("paused by SIGUSR1")
			} else {
				l.loop.Resume()
			}
			l.log.Info("a signal changed learning", "state", l.loop.Status().State)
		}
	}
}

// pruneEvery is the time between two looks for what is too old.
const pruneEvery = time.Minute

func (l *learning) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for {
			p, err := l.store.Prune(ctx)
			if err != nil && ctx.Err() == nil {
				l.log.Warn("the store could not be pruned", "error", err)
			}
			if err != nil || !p.Any() {
				break
			}
			l.log.Info("the store was pruned", "expired", p.Expired, "removed", p.Removed, "evicted", p.Evicted, "updates_and_events", p.History)
		}
	}
}

// halt tells all that works in the background to stop.
func (l *learning) halt() {
	if l != nil && l.stop != nil {
		l.stop()
	}
}

// minStopTime is what an update gets to stop where requests took all of the drain's time.
const minStopTime = 2 * time.Second

// end waits until nothing works in the background, before the engine is closed. A program of the device cannot be stopped: false says
// that one outlasted the deadline. What it was to learn is not lost, since nothing of it is stored; but the device is in use.
func (l *learning) end(deadline time.Time) bool {
	if l == nil {
		return true
	}
	l.halt()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.work.Wait()
	}()
	timer := time.NewTimer(max(minStopTime, time.Until(deadline)))
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		l.log.Warn("an update outlasted the drain timeout and is given up: what it was to learn waits for the next one")
		return false
	}
}

// close closes the store; nothing may use it any more.
func (l *learning) close() {
	if l == nil {
		return
	}
	if err := l.store.Close(); err != nil {
		l.log.Error("the store could not be closed", "error", err)
	}
}

// wire gives the server what it needs of learning.
func (l *learning) wire(c *server.Config) {
	if l == nil {
		return
	}
	c.Store = l.store
	if l.policies != nil {
		c.Policies = servedPolicies{l.policies, c.ModelNames[0]}
	}
	if l.jobs != nil {
		c.Tuner = l.jobs
	}
	if l.loop != nil {
		c.Learner = servedLoop{l.loop, l.store, l.policies}
	}
}

// servedLoop is the loop as the server sees it.
type servedLoop struct {
	loop     *training.Loop
	store    *feedback.Store
	policies *training.Policies
}

// Status implements server.Learner.
func (s servedLoop) Status(ctx context.Context) server.LearningStatus {
	now := s.loop.Status()
	out := server.LearningStatus{State: now.State, Source: now.Source, Step: int64(now.Step), Phase: now.Phase, PhaseSeconds: now.PhaseSeconds, Serving: s.policies.Serving(), Publish: publishAuto, Candidates: s.policies.Candidates(), Reason: now.Reason}
	if s.policies.Manual() {
		out.Publish = publishManual
	}
	if n, err := s.store.Counts(ctx); err == nil {
		out.Feedback = server.FeedbackCount{Stored: n.Feedback, Used: n.Used, Waiting: n.Waiting}
	}
	return out
}

// Pause implements server.Learner.
func (s servedLoop) Pause(_ context.Context, actor string) error {
	s.loop.Pause("paused by " + actor)
	return nil
}

// Resume implements server.Learner.
func (s servedLoop) Resume(context.Context, string) error {
	s.loop.Resume()
	return nil
}

// Step implements server.Learner.
func (s servedLoop) Step(context.Context, string) error {
	s.loop.Step()
	return nil
}

// servedPolicies are the policies as the server sees them.
type servedPolicies struct {
	*training.Policies
	name string // of the model
}

// List implements server.Policies.
func (s servedPolicies) List(ctx context.Context) (server.PolicyList, error) {
	all, serving, canary, percent, err := s.Policies.List(ctx)
	if err != nil {
		return server.PolicyList{}, err
	}
	return policyList(s.name, all, serving, canary, percent), nil
}

// Promote implements server.Policies.
func (s servedPolicies) Promote(ctx context.Context, version int64, _ string) error {
	return policyError(s.Policies.Promote(ctx, version))
}

// Rollback implements server.Policies.
func (s servedPolicies) Rollback(ctx context.Context, version int64, actor string) error {
	return policyError(s.Policies.Rollback(ctx, version, "rolled back by "+actor))
}

// Canary implements server.Policies.
func (s servedPolicies) Canary(ctx context.Context, version int64, percent int, _ string) error {
	return policyError(s.Policies.Canary(ctx, version, percent))
}

// policyRefusal is why a policy cannot be had, in the words of training; to the server it is an ErrPolicyState.
type policyRefusal struct{ error }

// Is implements errors.Is.
func (policyRefusal) Is(target error) bool { return target == server.ErrPolicyState }

// policyError gives an error the server's name.
func policyError(err error) error {
	switch {
	case errors.Is(err, training.ErrNoPolicy):
		return server.ErrNoPolicy
	case errors.Is(err, training.ErrPolicyState), errors.Is(err, engine.ErrVersion):
		return policyRefusal{err}
	}
	return err
}
