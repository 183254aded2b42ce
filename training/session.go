package training

import (
	"context"
	"fmt"

	"astro/internal/device"
	"astro/model"
	"astro/training/checkpoint"
	"astro/training/grpo"
	"astro/training/trainer"
)

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
