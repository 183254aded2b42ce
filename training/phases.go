package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"astro/feedback"
	"astro/internal/fault"
	"astro/internal/telemetry"
)

// errNothing says that there is nothing to learn from yet.
var errNothing = errors.New("there is nothing to learn from")

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
