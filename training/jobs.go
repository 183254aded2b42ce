package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"astro/feedback"
	"astro/internal/device"
	"astro/openai"
	"astro/training/grpo"
	"astro/training/reward"
	"astro/training/sft"
)

// JobsConfig is what fine-tuning jobs need. All fields are required.
type JobsConfig struct {
	Policies *Policies
	Device   *device.Device // that trains
	Name     string         // of the served model
	Dir      string         // of the work of supervised jobs
	Learn    grpo.Config    // of reinforcement, where a job says "auto"
	Imitate  sft.Config     // of supervised jobs, where a job says "auto"
	Context  int            // tokens of prompt and answer together

	Tokens func(e *openai.TuneExample) (prompt, completion []int32, err error) // completion: of supervised examples, with its end
	Text   func(ids []int32) string                                            // of an answer, without special tokens
	Grader func(spec json.RawMessage) (reward.Grader, error)
	Log    *slog.Logger
}

// Jobs runs fine-tuning jobs, one after the other, each from the weights that are served when it begins. What it does is in the store:
// after a restart it goes on with what is not final.
type Jobs struct {
	config JobsConfig
	store  *feedback.Store
	wake   chan struct{}

	mu      sync.Mutex
	current string             // id of the job that runs; "" = none
	stop    context.CancelFunc // ends it
}

// NewJobs makes Jobs; Run works.
func NewJobs(c JobsConfig) *Jobs {
	return &Jobs{config: c, store: c.Policies.config.Store, wake: make(chan struct{}, 1)}
}

// Create takes over a job that is in the store.
func (j *Jobs) Create(ctx context.Context, job openai.TuneJob) error {
	if err := j.move(ctx, job.ID, openai.TuneQueued, nil); err != nil {
		return err
	}
	j.ring()
	return nil
}

// Cancel ends a job; what it has published stays.
func (j *Jobs) Cancel(ctx context.Context, id string) error {
	return j.halt(ctx, id, openai.TuneCancelled, func(job *openai.FineTuneJob) { finish(job) })
}

// Pause halts a job until Resume.
func (j *Jobs) Pause(ctx context.Context, id string) error {
	return j.halt(ctx, id, openai.TunePaused, nil)
}

// Resume goes on with a job that was paused.
func (j *Jobs) Resume(ctx context.Context, id string) error {
	if err := j.move(ctx, id, openai.TuneQueued, nil); err != nil {
		return err
	}
	j.ring()
	return nil
}

// halt gives a job a state in which it does not run, and stops it if it does.
func (j *Jobs) halt(ctx context.Context, id string, state openai.TuneState, change func(*openai.FineTuneJob)) error {
	if err := j.move(ctx, id, state, change); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.current == id {
		j.stop()
	}
	return nil
}

func (j *Jobs) ring() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends.
func (j *Jobs) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := j.tidy(ctx); err != nil && ctx.Err() == nil {
			j.config.Log.Warn("the work of finished jobs could not be removed", "error", err)
		}
		row, err := j.next(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			j.config.Log.Error("the jobs could not be read", "error", err)
			sleep(ctx, time.Second)
		case row == nil:
			select {
			case <-j.wake:
			case <-ctx.Done():
			}
		default:
			j.run(ctx, row)
		}
	}
	return ctx.Err()
}

// tidy removes the work of jobs that will not go on.
func (j *Jobs) tidy(ctx context.Context) error {
	dirs, err := os.ReadDir(j.config.Dir)
	if len(dirs) == 0 || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := j.store.Jobs(ctx, "")
	if err != nil {
		return err
	}
	working := map[string]bool{}
	for i := range all {
		working[all[i].ID] = !openai.TuneState(all[i].State).Final()
	}
	for _, dir := range dirs {
		if !working[dir.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(j.config.Dir, dir.Name())))
		}
	}
	return err
}

// next is the oldest job that wants to run; nil = none.
func (j *Jobs) next(ctx context.Context) (*feedback.Job, error) {
	all, err := j.store.Jobs(ctx, "")
	if err != nil {
		return nil, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if state := openai.TuneState(all[i].State); state == openai.TuneQueued || state == openai.TuneRunning {
			return &all[i], nil
		}
	}
	return nil, nil
}

// run works on one job until it is done, halted, or ctx ends: then it stays as it is and goes on after a restart.
func (j *Jobs) run(ctx context.Context, row *feedback.Job) {
	life, stop := context.WithCancel(ctx)
	defer stop()
	j.mu.Lock()
	j.current, j.stop = row.ID, stop
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		j.current = ""
		j.mu.Unlock()
	}()
	err := j.work(life, row)
	switch {
	case err == nil, life.Err() != nil: // done, or halted by a call that has set the state
	case ofTheDisk(err): // it goes on with what it has when the disk can be written
		j.config.Log.Warn("a fine-tuning job waits for the disk", "job", row.ID, "error", err)
		sleep(life, maxBackOff/6)
	default:
		j.config.Log.Error("a fine-tuning job failed", "job", row.ID, "error", err)
		j.fail(ctx, row.ID, err)
	}
}

// work does a job.
func (j *Jobs) work(ctx context.Context, row *feedback.Job) error {
	var job openai.FineTuneJob
	if err := json.Unmarshal(row.Body, &job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	t, err := j.prepare(ctx, row.Tenant, &job)
	if err != nil {
		return err
	}
	if openai.TuneState(row.State) == openai.TuneQueued {
		if err := j.advance(ctx, row.ID, openai.TuneRunning, nil); err != nil {
			return err
		}
		j.note(ctx, row.ID, fmt.Sprintf("The job runs: %d examples.", t.examples), openai.TuneNote{Type: openai.TuneMessage})
	}
	done, err := t.learn(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s@v%d", j.config.Name, done.version)
	if err := j.advance(ctx, row.ID, openai.TuneSucceeded, func(job *openai.FineTuneJob) {
		job.FineTunedModel, job.TrainedTokens = &name, &done.tokens
		finish(job)
	}); err != nil {
		return err
	}
	j.note(ctx, row.ID, "The job has successfully completed; the model is "+name+".", openai.TuneNote{Type: openai.TuneMessage})
	return nil
}

// finish stamps a job's end.
func finish(job *openai.FineTuneJob) {
	now := time.Now().Unix()
	job.FinishedAt = &now
}

// errHalted says that a job was moved to another state meanwhile.
var errHalted = errors.New("the job was cancelled or paused meanwhile")

// move gives a job a state, as a client wants it. A job that is final is left alone.
func (j *Jobs) move(ctx context.Context, id string, state openai.TuneState, change func(*openai.FineTuneJob)) error {
	return j.moveFrom(ctx, id, state, change, func(was openai.TuneState) bool { return !was.Final() })
}

// advance gives the job that runs a state, unless it was halted meanwhile.
func (j *Jobs) advance(ctx context.Context, id string, state openai.TuneState, change func(*openai.FineTuneJob)) error {
	return j.moveFrom(ctx, id, state, change, func(was openai.TuneState) bool { return was == openai.TuneQueued || was == openai.TuneRunning })
}

func (j *Jobs) moveFrom(ctx context.Context, id string, state openai.TuneState, change func(*openai.FineTuneJob), from func(was openai.TuneState) bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	row, err := j.find(ctx, id)
	if err != nil {
		return err
	}
	if !from(openai.TuneState(row.State)) {
		return errHalted
	}
	var job openai.FineTuneJob
	if err := json.Unmarshal(row.Body, &job); err != nil {
		return fmt.Errorf("read job %s: %w", id, err)
	}
	if job.Status = state; change != nil {
		change(&job)
	}
	if row.Body, err = json.Marshal(job); err != nil {
		return fmt.Errorf("write job %s: %w", id, err)
	}
	row.State = string(state)
	return j.store.PutJob(ctx, *row)
}

func (j *Jobs) find(ctx context.Context, id string) (*feedback.Job, error) {
	all, err := j.store.Jobs(ctx, "")
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("job %s: %w", id, feedback.ErrUnknown)
}

// fail ends a job with a reason for its owner.
func (j *Jobs) fail(ctx context.Context, id string, cause error) {
	failure := &openai.TuneFailure{Code: "job_failed", Message: cause.Error()}
	var refused *openai.Error
	if errors.As(cause, &refused) {
		failure = openai.NewTuneFailure(refused, refused.Param)
	}
	if err := j.advance(ctx, id, openai.TuneFailed, func(job *openai.FineTuneJob) {
		job.Error = failure
		finish(job)
	}); err != nil {
		j.config.Log.Error("a failed job could not be marked", "job", id, "error", err)
	}
	j.note(ctx, id, "The job failed: "+failure.Message, openai.TuneNote{Type: openai.TuneMessage})
}

// note writes an event of a job. Numbers that are none are left out.
func (j *Jobs) note(ctx context.Context, id, message string, n openai.TuneNote) {
	for name, v := range n.Metrics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			delete(n.Metrics, name)
		}
	}
	data, err := json.Marshal(n)
	if err == nil {
		err = j.store.Log(ctx, feedback.Event{Subject: "job:" + id, Level: "info", Message: message, Data: data})
	}
	if err != nil && ctx.Err() == nil {
		j.config.Log.Warn("an event of a job could not be stored", "job", id, "error", err)
	}
}
