package engine_test

import (
	"errors"
	"fmt"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/model"
)

// checkedRunner is a Runner that says what Plans did wrong, and which versions it holds. The fake is one.
type checkedRunner interface {
	engine.Runner
	Violations() []error
	Versions() []int64
}

// driver runs a Scheduler on a Runner step by step and checks after every operation what must always hold.
type driver struct {
	config    engine.Config
	scheduler *engine.Scheduler
	runner    checkedRunner
	plan      *engine.Plan // of the last step
	collected map[uint64]*collected
}

// collected is what one Request's Events said.
type collected struct {
	samples []sampleEvents
	scores  []engine.TokenScore

	embedding *engine.Embedding
}

type sampleEvents struct {
	tokens   []int32
	logprobs []float32
	sampled  []float32
	versions []int64
	finish   engine.FinishReason
	stopID   int32
	events   int
}

func newDriver(config engine.Config) *driver { return newDriverOn(enginetest.New(config), config, 1) }

// newDriverOn drives a Scheduler whose current version is given on any Runner.
func newDriverOn(runner checkedRunner, config engine.Config, version int64) *driver {
	return &driver{config: config, scheduler: engine.NewScheduler(config, version), runner: runner, collected: map[uint64]*collected{}}
}

// fake is the fake Runner of a newDriver.
func (d *driver) fake() *enginetest.Runner { return d.runner.(*enginetest.Runner) }

func (d *driver) submit(r engine.Request) (uint64, error) {
	number, err := d.scheduler.Submit(r)
	if err == nil {
		d.collected[number] = &collected{samples: make([]sampleEvents, r.N)}
	}
	return number, errors.Join(err, d.check())
}

// step runs one Step; the events are valid until the next operation. An empty plan gives none.
func (d *driver) step() ([]engine.Event, error) {
	runnable := d.scheduler.Runnable()
	d.plan = d.scheduler.Next()
	if d.plan.Empty() {
		if runnable {
			return nil, errors.New("nothing is planned though some sequence could go on")
		}
		return nil, d.check()
	}
	if err := d.checkBudget(); err != nil {
		return nil, err
	}
	result, err := d.runner.Run(d.plan)
	if broken := d.runner.Violations(); len(broken) > 0 {
		return nil, broken[0]
	}
	if err != nil {
		return d.collect(d.scheduler.Fail(err))
	}
	return d.collect(d.scheduler.Apply(result))
}

// checkBudget wants rows and tokens within the Config.
func (d *driver) checkBudget() error {
	tokens := 0
	for i, row := range d.plan.Rows {
		tokens += len(row.Tokens)
		if len(row.Tokens) > d.config.ChunkTokens {
			return fmt.Errorf("row %d feeds %d tokens; want at most %d", i, len(row.Tokens), d.config.ChunkTokens)
		}
	}
	if len(d.plan.Rows) > d.config.MaxSlots || tokens > d.config.StepTokens {
		return fmt.Errorf("%d rows, %d tokens; want at most %d and %d", len(d.plan.Rows), tokens, d.config.MaxSlots, d.config.StepTokens)
	}
	return nil
}

// collect files events by sample; a sample must not go on after its finish.
func (d *driver) collect(events []engine.Event) ([]engine.Event, error) {
	for _, e := range events {
		c := d.collected[e.Request]
		s := &c.samples[e.Index]
		if s.finish != "" {
			return nil, fmt.Errorf("request %d sample %d goes on after %q", e.Request, e.Index, s.finish)
		}
		s.events++
		if e.HasToken {
			s.tokens, s.versions = append(s.tokens, e.Choice.Token), append(s.versions, e.Version)
			s.logprobs, s.sampled = append(s.logprobs, e.Choice.Logprob), append(s.sampled, e.Choice.Sampled)
		}
		if e.PromptScores != nil {
			c.scores = e.PromptScores
		}
		if e.Embedding != nil {
			c.embedding = e.Embedding
		}
		s.finish, s.stopID = e.Finish, e.StopID
	}
	return events, d.check()
}

// check verifies the Scheduler and retires versions as the Engine does.
func (d *driver) check() error {
	for _, v := range d.scheduler.TakeRetired() {
		d.runner.Retire(v)
	}
	pages := d.scheduler.Load().Pages
	if sum := pages.Free + pages.Cached + pages.Held; sum != d.config.Pages {
		return fmt.Errorf("%+v is %d pages; want %d", pages, sum, d.config.Pages)
	}
	return d.scheduler.Verify()
}

func (d *driver) swap(version int64) error {
	if err := d.runner.Publish(model.NewPolicy(version, nil)); err != nil {
		return err
	}
	d.scheduler.Swap(version)
	return d.check()
}

// finish runs steps until nothing is left to do.
func (d *driver) finish() error {
	for steps := 0; !d.scheduler.Idle(); steps++ {
		if _, err := d.step(); err != nil {
			return err
		}
		if steps > 100_000 {
			return errors.New("no end after 100000 steps")
		}
	}
	return nil
}
