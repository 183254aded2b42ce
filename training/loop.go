package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"astro/engine"
	"astro/feedback"
	"astro/internal/device"
	"astro/internal/fault"
	"astro/internal/telemetry"
	"astro/model"
	"astro/training/checkpoint"
	"astro/training/grpo"
	"astro/training/trainer"
)

// LoopConfig says what to learn from, when, and what is good enough to be served.
type LoopConfig struct {
	Name  string      // of the source, for people: "countdown", "feedback"
	Learn grpo.Config // Steps is the length of the learning-rate schedule; it may be exceeded

	Problems []grpo.Problem // that the engine answers; empty = learn from Served alone
	Grade    grpo.Grader    // of the answers
	Served   Served

	Every time.Duration // from the start of one update to that of the next, at least; 0 = at once

	EvalProblems []grpo.Problem // that a candidate must answer no worse than its parent; empty = there is no such check
	EvalSamples  int            // of each
	EvalEvery    int            // updates; 0 = 5

	GatherTimeout time.Duration // of an update's rollouts; 0 = 10 minutes
	Job           string        // that updates belong to; "" = none
	LockStep      bool          // rollouts are drawn in lock step on the device that trains, not by the engine beside requests: a background device
	// takes no processor that serves, and on the Go backend a run can be repeated bit for bit

	Returns func(output []int32) int // counts what a reasoner did about its own mistakes; nil = not counted

	// GapAlarm and MeanGapAlarm are what log-probabilities of engine and trainer may differ by, at most and in the mean; more is logged and
	// counted. 0 = 1e-4 and 1e-6, which hold where all is f32; where Learn's limits are those of one that rounds, half of its MeanGap alone.
	GapAlarm, MeanGapAlarm float64
	Tracer                 *telemetry.Tracer // nil = no traces
}

// Served says what to take of the completions that clients rated.
type Served struct {
	Learn        bool
	Completions  int           // of one update, at most; 0 = 256
	AtLeast      int           // that must wait before an update is made of them alone; 0 = 32
	MaxStaleness int64         // versions between the one that drew it and the one that learns, counted when it learns; 0 = 2
	Delay        time.Duration // between a rating and its use, so that a vote can be changed
	MaxKeyShare  float64       // of Completions that one API key may have rated, 0 to 1; 0 = all

	// MaxRaterShare is of Completions, too: what one rater may have rated. A key that names no rater is one itself.
	MaxRaterShare float64
}

// Loop learns beside an engine. Make it with NewLoop and run it with Run; the other methods may be called from anywhere.
type Loop struct {
	config   LoopConfig
	engine   *engine.Engine
	store    *feedback.Store
	policies *Policies
	device   *device.Device // that trains
	log      *slog.Logger
	status   status

	session *session // trainer and learner on the served version; nil = to be made
	last    made     // the update before
}

// NewLoop makes a Loop that trains on d, which may be a background device. Everything stays the caller's.
func NewLoop(c LoopConfig, p *Policies, d *device.Device) (*Loop, error) {
	if c.EvalEvery == 0 {
		c.EvalEvery = 5
	}
	if c.GatherTimeout == 0 {
		c.GatherTimeout = 10 * time.Minute
	}
	if c.Served.Completions == 0 {
		c.Served.Completions = 256
	}
	if c.Served.AtLeast == 0 {
		c.Served.AtLeast = 32
	}
	if c.Served.MaxStaleness == 0 {
		c.Served.MaxStaleness = 2
	}
	switch {
	case c.GapAlarm == 0 && c.Learn.Limits.Gap == 0:
		c.GapAlarm, c.MeanGapAlarm = math.Inf(1), c.Learn.Limits.MeanGap/2
	case c.GapAlarm == 0:
		c.GapAlarm, c.MeanGapAlarm = 1e-4, 1e-6
	}
	switch {
	case len(c.Problems) == 0 && !c.Served.Learn:
		return nil, errors.New("nothing to learn from: give prompts with a grader, or let it learn from feedback")
	case !isShare(c.Served.MaxKeyShare) || !isShare(c.Served.MaxRaterShare):
		return nil, fmt.Errorf("shares of %g for a key and %g for a rater; want 0 to 1, 0 = all", c.Served.MaxKeyShare, c.Served.MaxRaterShare)
	case len(c.EvalProblems) > 0 && c.EvalSamples < 1:
		return nil, fmt.Errorf("%d samples of each evaluation problem; want at least 1", c.EvalSamples)
	}
	l := &Loop{config: c, engine: p.config.Engine, store: p.config.Store, policies: p, device: d, log: p.config.Log}
	l.status.begin(c.Name)
	return l, c.Learn.Validate()
}

func isShare(x float64) bool { return x >= 0 && x <= 1 }

// made is what an update gave.
type made struct {
	published int64 // version; 0 = none
	numbers   Numbers
}

// session is what learns, on one line of versions. It ends when somebody promotes or rolls back, when a candidate is rejected, or when
// the Trainer breaks; the next one begins from the served checkpoint, or that of the newest candidate that waits.
type session struct {
	trainer *trainer.Trainer
	learner *grpo.Learner
	lock    *grpo.LockStep // with LockStep; else nil
	version int64          // whose weights the trainer began with, or published last
	updates int            // published
	parent  *Evaluated
}

func (s *session) close() {
	if s.learner != nil {
		s.learner.Free()
	}
	if s.lock != nil {
		s.lock.Close()
	}
	if s.trainer != nil {
		s.trainer.Close()
	}
}

// Run learns until ctx ends or an error that another try cannot mend; a failed update alone is none. Its error is ctx's at the end.
func (l *Loop) Run(ctx context.Context) error {
	defer l.end()
	failures := 0
	for ctx.Err() == nil {
		start, err := l.attempt(ctx)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			failures = 0
			l.rest(ctx, l.config.Every-time.Since(start))
		case errors.Is(err, errNothing), errors.Is(err, errAhead):
			l.rest(ctx, pollEvery)
		default:
			failures++
			l.fail(ctx, err, failures)
			sleep(ctx, backOff(failures))
		}
	}
	return ctx.Err()
}

// Make makes n updates and tells of each; version is 0 where nothing was published. An update that fails is tried again a few times.
func (l *Loop) Make(ctx context.Context, n int, tell func(version int64, n Numbers)) error {
	defer l.end()
	failures := 0
	for made := 0; made < n; {
		_, err := l.attempt(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			l.drop()
			if failures++; failures >= pauseFailures {
				return fmt.Errorf("%d updates in a row failed, the last: %w", failures, err)
			}
			sleep(ctx, backOff(failures))
			continue
		}
		made, failures = made+1, 0
		tell(l.last.published, l.last.numbers)
	}
	return nil
}

// attempt makes an update when one may begin, and again as long as only the disk hinders it: that is no failure, and no pause either,
// for nobody would think of ending it. start is when the last try began.
func (l *Loop) attempt(ctx context.Context) (start time.Time, err error) {
	for hindered := 1; ; hindered++ {
		start = time.Now()
		if !l.wait(ctx) {
			return start, ctx.Err()
		}
		err = l.update(ctx)
		if ctx.Err() != nil || !ofTheDisk(err) {
			break
		}
		l.hinder(err)
		l.rest(ctx, patience(err, hindered))
	}
	switch {
	case errors.Is(err, errAhead):
		l.ahead(err)
	case err == nil, errors.Is(err, errNothing):
		l.freed()
	}
	return start, err
}

// rest waits; who looks sees that nothing is done.
func (l *Loop) rest(ctx context.Context, d time.Duration) {
	if d > 0 {
		l.status.enter(phaseWait)
		sleep(ctx, d)
	}
}

// Bounds of the Loop's own patience.
const (
	pollEvery     = 200 * time.Millisecond
	maxBackOff    = time.Minute
	pauseFailures = 3 // in a row, after which learning pauses and says so; serving goes on
)

func backOff(failures int) time.Duration {
	return min(maxBackOff, time.Second<<min(failures, 6))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wait returns true when an update may begin: not paused, or asked for.
func (l *Loop) wait(ctx context.Context) bool {
	for !l.status.mayBegin() {
		if ctx.Err() != nil {
			return false
		}
		l.status.enter(phaseWait)
		sleep(ctx, pollEvery)
	}
	return ctx.Err() == nil
}

// fail records a failed update. The session is given up, so that the next one starts from what is on disk.
func (l *Loop) fail(ctx context.Context, err error, failures int) {
	l.drop()
	l.status.failed()
	l.log.Error("an update failed; serving goes on", "error", err, "failures", failures)
	data, _ := json.Marshal(map[string]any{"failures": failures})
	_ = l.store.Log(ctx, feedback.Event{Subject: "learning", Level: "error", Message: "an update failed: " + err.Error(), Data: data}) // the log has it too
	if failures >= pauseFailures {
		l.status.pause(fmt.Sprintf("%d updates in a row failed, the last one: %v", failures, err))
	}
}

func (l *Loop) end() {
	l.drop()
	l.status.stop()
}

func (l *Loop) drop() {
	if l.session != nil {
		l.session.close()
		l.session = nil
	}
}

// errNothing says that there is nothing to learn from yet.
var errNothing = errors.New("there is nothing to learn from")

// trace tells of an update as a span with its phases.
func (l *Loop) trace(u *update, err error) {
	if l.config.Tracer == nil || errors.Is(err, errNothing) {
		return
	}
	span := l.config.Tracer.Start("astro.learn update", "", "", u.began, telemetry.Attributes{"astro.learning.source": l.config.Name, "astro.learning.job": l.config.Job,
		"astro.policy.version": u.version, "astro.learning.reward": l.last.numbers.Reward, "astro.learning.served": len(u.rated)})
	span.Event("gathered", u.began.Add(u.gatherTook))
	span.Event("learned", u.began.Add(u.gatherTook+u.learnTook))
	code := ""
	if err != nil {
		code = "update_failed"
	}
	span.End(code)
}

// update makes one: gather, score, learn, check, publish.
func (l *Loop) update(ctx context.Context) error {
	done, err := l.policies.learn(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := l.policies.room(); err != nil {
		return err
	}
	if err := l.tooFar(); err != nil {
		return err
	}
	s, err := l.current(ctx)
	if err != nil {
		return err
	}
	u := newUpdate(l.config.Job, s.version)
	err = l.make(ctx, s, u)
	l.trace(u, err)
	return err
}

// make takes an update through its phases.
func (l *Loop) make(ctx context.Context, s *session, u *update) error {
	if err := l.gather(ctx, s, u); err != nil {
		return err
	}
	if len(u.groups) == 0 && len(u.dropped) == 0 {
		return l.without(ctx, s, u)
	}
	fault.Point(fault.LearnBefore)
	l.status.enter(phaseLearn)
	learn := time.Now()
	u.report.Step = s.updates + 1
	if err := l.device.InBackground(func() error { return s.learner.Learn(u.groups, &u.report) }); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	u.learnTook = time.Since(learn)
	fault.Point(fault.LearnAfter)
	l.alarm(u)
	if u.report.Updates == 0 || u.report.Refused != "" {
		return l.skip(ctx, s, u)
	}
	return l.publish(ctx, s, u)
}

// without ends an update that gathered nothing to learn from. Rollouts that are all right or all wrong are one all the same: their prompts
// have had their turn. Where no rollout could be judged something is broken.
func (l *Loop) without(ctx context.Context, s *session, u *update) error {
	switch t := &u.report.Tally; {
	case t.Tokens == 0 && t.Failed == 0:
		return errNothing
	case t.Judged() == 0 && t.Failed+t.Errors+t.Hung > 0:
		return errors.Join(fmt.Errorf("no rollout was judged: %d failed, the grader failed on %d and did not answer in time for %d", t.Failed, t.Errors, t.Hung), t.LastError)
	}
	return l.skip(ctx, s, u)
}

// alarm says when engine and trainer do not agree on what a token's probability was: then a ratio of 1 is none.
func (l *Loop) alarm(u *update) {
	r := &u.report
	if r.Compared == 0 || r.Gap <= l.config.GapAlarm && r.MeanGap <= l.config.MeanGapAlarm {
		return
	}
	l.status.alarm()
	l.log.Warn("log-probabilities of engine and trainer differ", "largest", r.Gap, "mean", r.MeanGap, "tokens", r.Compared, "largest_allowed", l.config.GapAlarm, "mean_allowed", l.config.MeanGapAlarm)
}

// skip records an update that was refused, or that had nothing to learn from what it gathered. Where a part of it was made before the
// refusal, the weights are of no policy, and the next update begins from the served ones.
func (l *Loop) skip(ctx context.Context, s *session, u *update) error {
	if u.report.Updates > 0 {
		l.drop()
	}
	l.last = made{0, u.numbers(l)}
	row := u.row(l.config.Problems, l.last.numbers)
	row.Parent, row.Reason = s.version, u.report.Refused
	if row.Reason == "" {
		row.Reason = "no group had contrast"
	}
	_, err := l.store.Commit(ctx, row)
	l.status.learned(u, l.last.numbers, row.Reason)
	return err
}

// publish checks a candidate and makes it public, or rejects it.
func (l *Loop) publish(ctx context.Context, s *session, u *update) error {
	l.status.enter(phaseCheck)
	c, err := l.propose(s)
	if err != nil {
		return err
	}
	var reason string
	u.eval, reason, err = l.check(ctx, s, c)
	l.last = made{0, u.numbers(l)}
	row := u.row(l.config.Problems, l.last.numbers)
	if err != nil {
		return errors.Join(err, l.policies.Reject(ctx, c, row, "its evaluation failed"))
	}
	if reason != "" {
		l.drop() // the weights are not those of any policy
		l.status.learned(u, l.last.numbers, reason)
		return l.policies.Reject(ctx, c, row, reason)
	}
	l.status.enter(phasePublish)
	if err := l.save(ctx, s, c, row, u.eval); err != nil {
		l.drop()
		if errors.Is(err, errOvertaken) {
			return l.policies.Reject(ctx, c, row, err.Error())
		}
		nothing := newUpdate(l.config.Job, s.version) // what the update read is read again by the next one
		return errors.Join(err, l.policies.Reject(ctx, c, nothing.row(nil, nothing.numbers(l)), "it could not be stored: "+err.Error()))
	}
	if u.eval != nil {
		s.parent = u.eval
	}
	l.status.published(u, l.last.numbers, c.Version)
	l.last.published = c.Version
	return s.advance(c.Version)
}

func (l *Loop) propose(s *session) (c Candidate, err error) {
	err = l.device.InBackground(func() error {
		w, err := s.trainer.SnapshotAs(l.policies.wants(l.device))
		if err == nil {
			c, err = l.policies.Propose(w, l.device)
		}
		return err
	})
	return c, err
}

// save makes a candidate durable and public.
func (l *Loop) save(ctx context.Context, s *session, c Candidate, row feedback.Update, e *Evaluated) error {
	var eval json.RawMessage
	if e != nil {
		eval, _ = json.Marshal(e)
	}
	owner, err := json.Marshal(map[string]any{"stage": "online", "version": c.Version, "parent": c.Parent, "compute": s.trainer.Compute().String()})
	if err != nil {
		return err
	}
	return l.policies.Publish(ctx, c, s.trainer.Content(owner), row, eval)
}

// current is the session on the version that learning goes on from.
func (l *Loop) current(ctx context.Context) (*session, error) {
	if tip := l.policies.Tip(); l.session != nil && l.session.version != tip {
		l.log.Info("somebody chose another version: learning goes on from it", "version", tip)
		l.drop()
	}
	if l.session != nil {
		return l.session, nil
	}
	l.status.enter(phaseOpen)
	known, err := l.policies.onward(ctx)
	if err != nil {
		return nil, err
	}
	made, err := l.store.CountUpdates(ctx, l.config.Job)
	if err != nil {
		return nil, err
	}
	s := &session{version: known.Version}
	if e, ok := EvaluatedOf(&known); ok {
		s.parent = &e
	}
	if err := l.device.InBackground(func() error { return l.open(s, known.Path) }); err != nil {
		s.close()
		return nil, fmt.Errorf("learn from version %d: %w", known.Version, err)
	}
	s.learner.Forward(made)
	l.session = s
	return s, nil
}

// open makes trainer and learner from a checkpoint, or from the base model, which has no moments.
func (l *Loop) open(s *session, path string) (err error) {
	loss, schedule := l.config.Learn.Objective.Loss(), l.config.Learn.Schedule()
	if s.version == 1 {
		s.trainer, err = fromModel(l.device, path, loss, schedule)
	} else {
		var content checkpoint.Content
		if content, err = checkpoint.Load(path, l.device.Backend(), schedule.DType()); err == nil {
			s.trainer, err = loss.Resume(l.device, content, schedule)
		}
	}
	if err != nil {
		return err
	}
	var sampler grpo.Sampler = &pinned{Live: grpo.NewLive(l.engine, maxInFlight), session: s}
	if l.config.LockStep {
		if err := l.lockStep(s); err != nil {
			return err
		}
		sampler = s.lock
	}
	s.learner, err = grpo.NewLiveLearner(l.config.Learn, s.trainer, sampler, l.config.Problems, l.config.Grade)
	return err
}

// lockStep gives a session rollouts of its own.
func (l *Loop) lockStep(s *session) error {
	policy, err := s.policy()
	if err != nil {
		return err
	}
	defer policy.Release()
	c := &l.config.Learn
	s.lock, err = grpo.OpenLockStep(l.device, policy, min(lockSlots, c.Prompts*c.Group), c.RowTokens+1)
	return err
}

// lockSlots are the rollouts that are drawn side by side in lock step.
const lockSlots = 32

// policy is a copy of what the session's trainer holds, as it computes with it.
func (s *session) policy() (*model.Policy, error) {
	w, err := s.trainer.SnapshotAs(s.trainer.Compute().DType())
	if err != nil {
		return nil, err
	}
	return model.NewPolicy(s.version, w), nil
}

// advance makes a published version the one that the session learns on.
func (s *session) advance(version int64) error {
	s.version, s.updates = version, s.updates+1
	if s.lock == nil {
		return nil
	}
	policy, err := s.policy()
	if err != nil {
		return err
	}
	defer policy.Release()
	return s.lock.Publish(policy)
}

// maxInFlight bounds the groups that are in the engine at one time, so that requests of others find room in its queue.
const maxInFlight = 16

// pinned samples with the version that the session learns on, which may be another one than the served.
type pinned struct {
	*grpo.Live
	session *session
}

// Version implements grpo.Sampler.
func (p *pinned) Version() int64 { return p.session.version }

// status is what the outside sees.
type status struct {
	mu       sync.Mutex
	now      Status
	since    time.Time
	paused   bool
	asked    int  // updates that were asked for while paused
	hindered bool // by the disk, or because nobody promotes
}

// Status says what the Loop does.
type Status struct {
	State        string // running, paused or stopped
	Source       string
	Phase        string // open, gather, score, learn, check, publish or wait
	PhaseSeconds float64
	Step         int // updates that made a version since the start
	Reason       string
	Version      int64
	Counters     Counters
}

// Counters count since the start.
type Counters struct {
	Applied, Rejected, Failed uint64
	Alarms                    uint64     // updates with a Gap above what it may be
	Stale                     uint64     // rated completions that were too old when their turn came
	KeyCapped, RaterCapped    uint64     // times that one had to wait because a key, a rater who rated it had its share
	Share                     float64    // of the last update's time that was spent on learning itself
	Last                      Numbers    // of the last update
	Eval                      *Evaluated // the last; nil = none yet
}

// The phases.
const (
	phaseOpen    = "open"
	phaseGather  = "gather"
	phaseScore   = "score"
	phaseLearn   = "learn"
	phaseCheck   = "check"
	phasePublish = "publish"
	phaseWait    = "wait"
)
