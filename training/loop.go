package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"astro/engine"
	"astro/feedback"
	"astro/internal/device"
	"astro/internal/telemetry"
	"astro/training/grpo"
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
