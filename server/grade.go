package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"astro/feedback"
	"astro/openai"
	"astro/server/auth"
	"astro/training/reward"
)

// Bounds of graders that run for requests.
const (
	defaultGraderTimeout = 10 * time.Second
	maxGraders           = 32  // at one time; one that hangs keeps its place
	maxScoring           = 256 // answers that wait to be scored by the server itself
	maxEvidenceBytes     = 512
)

func (s *Server) graderTimeout() time.Duration {
	if s.limits.GraderTimeout > 0 {
		return s.limits.GraderTimeout
	}
	return defaultGraderTimeout
}

// gradeFeedback has the grader of a request judge the completion. Nothing is stored unless it does.
func (s *Server) gradeFeedback(f *feedback.Feedback, q *openai.FeedbackRequest, id string) *openai.Error {
	g, err := s.grader(q.Grader)
	if err != nil {
		return err
	}
	c, err := s.rateable(id, f.Tenant, f.Completion, f.Choice)
	if err != nil {
		return err
	}
	f.Source, f.Grader = feedback.Verifier, graderName(q.Grader)
	if bad := s.judge(f, g, c, q.Answer); bad != nil {
		s.logGrader(id, f.Grader, bad)
		return openai.GraderFailed(graderReason(bad))
	}
	return nil
}

// grader makes one from JSON, or says what is wrong with it.
func (s *Server) grader(text json.RawMessage) (reward.Grader, *openai.Error) {
	g, bad := reward.ParseGrader(text, s.Graders)
	switch {
	case errors.Is(bad, reward.ErrGraderURL):
		return nil, openai.GraderURLRefused()
	case errors.Is(bad, reward.ErrUnsupportedGrader):
		return nil, openai.UnsupportedGrader(clipReason(bad))
	case bad != nil:
		return nil, openai.InvalidGrader("grader", clipReason(bad))
	}
	return g, nil
}

// rateable finds the choice that a feedback is about, before anything is computed for it.
func (s *Server) rateable(id, tenant, completion string, choice int) (*feedback.Completion, *openai.Error) {
	choices, _, err := s.stored(id, tenant, completion)
	if err != nil {
		return nil, err
	}
	for _, c := range choices {
		if c.Choice == choice && c.State == feedback.Aborted {
			return nil, openai.CompletionAborted()
		}
		if c.Choice == choice {
			return c, nil
		}
	}
	return nil, openai.UnknownCompletion()
}

// graderName is how a grader is called in what is stored.
func graderName(text json.RawMessage) string {
	name := ""
	if json.Unmarshal(text, &name) == nil {
		return name
	}
	var spec struct{ Type, Name string }
	json.Unmarshal(text, &spec) // it was parsed before
	if spec.Type == "http" {
		return spec.Name
	}
	return spec.Type
}

// judge fills in the reward that a grader gives: a score of 0 to 1 becomes -1 to 1.
func (s *Server) judge(f *feedback.Feedback, g reward.Grader, c *feedback.Completion, answer string) error {
	fields := textsOf(c.Metadata)
	if answer == "" {
		answer = fields["answer"]
	}
	item := reward.Item{Problem: fields["problem"], Gold: answer, Response: s.PlainText(c.Output)}
	if item.Problem == "" {
		item.Problem = s.PlainText(c.Prompt)
	}
	grade, err := s.grade(reward.WithFields(g, fields), item)
	if err != nil {
		return err
	}
	f.Reward, f.Evidence = 2*grade.Score-1, string(grade.Reason)
	if grade.Answer != "" {
		f.Evidence += ": " + grade.Answer
	}
	f.Evidence = clipText(f.Evidence, maxEvidenceBytes)
	return nil
}

// errSlow is a grader that has not judged in time, or has not begun to.
var errSlow = errors.New("it has not judged in time")

// graderReason is what a client may know of a failure: what an item lacks, never an address.
func graderReason(err error) string {
	switch {
	case errors.Is(err, reward.ErrRemote):
		return "the configured service has failed"
	case errors.Is(err, errPanic):
		return "it has failed; the server's log says why"
	}
	return clipReason(err)
}

// logGrader says why a grader has given no verdict, without what it was asked about: only what a service of the operator's did is quoted.
func (s *Server) logGrader(id, name string, err error) {
	if skipped, ok := s.trouble.turn(time.Now()); ok {
		kind := any("it cannot judge this item")
		if errors.Is(err, reward.ErrRemote) || errors.Is(err, errSlow) || errors.Is(err, errPanic) {
			kind = err
		}
		s.log.Warn("a grader has given no verdict", "request", id, "grader", name, "error", kind, "more of these", skipped)
	}
}

// grade runs a grader within the time that there is. One that hangs is left behind and keeps its place among those that may run.
func (s *Server) grade(g reward.Grader, item reward.Item) (reward.Grade, error) {
	deadline, cancel := within(s.graderTimeout())
	defer cancel()
	select {
	case s.grading <- struct{}{}:
	case <-deadline.Done():
		return reward.Grade{}, errSlow
	}
	type judgement struct {
		grade reward.Grade
		err   error
	}
	answer := make(chan judgement, 1)
	go func() {
		defer func() { <-s.grading }()
		grade, err := s.graded(g, item)
		answer <- judgement{grade, err}
	}()
	select {
	case j := <-answer:
		return j.grade, j.err
	case <-deadline.Done():
		return reward.Grade{}, errSlow
	}
}

var errPanic = errors.New("the grader panicked")

// graded makes a panic, and a score that is none, an error.
func (s *Server) graded(g reward.Grader, item reward.Item) (grade reward.Grade, err error) {
	defer func() {
		if what := recover(); what != nil {
			s.log.Error("a grader panicked; nothing else is affected", "panic", what, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	grade, err = g.Grade(item)
	if err == nil && !(grade.Score >= 0 && grade.Score <= 1) {
		err = fmt.Errorf("its score is %v; want 0 to 1", grade.Score)
	}
	return grade, err
}

// scoreItself has the server judge a completion that came with a known answer and the name of a grader, if its key may give feedback.
// It never delays an answer: what waits is bounded, and what is past that is left out and counted.
func (c *call) scoreItself(rows []*feedback.Completion) {
	name, answer := c.options.Metadata["grader"], c.options.Metadata["answer"]
	caller := c.visit.caller
	if name == "" || answer == "" || !caller.Scopes.Has(auth.Inference|auth.Feedback) {
		return
	}
	g, bad := reward.ParseGrader(openai.Encode(name), c.server.Graders)
	for _, row := range rows {
		switch {
		case row.State == feedback.Aborted:
		case bad != nil:
			c.server.Metrics.SelfScored("failed") // the client asks for a grader that there is not
		default:
			c.server.scoreLater(c.id, name, g, row, caller)
		}
	}
}

func (s *Server) scoreLater(id, name string, g reward.Grader, row *feedback.Completion, caller *auth.Key) {
	select {
	case s.scoring <- struct{}{}:
	default:
		s.Metrics.SelfScored("full")
		return
	}
	go func() {
		defer func() { <-s.scoring }()
		if err := s.scoreNow(id, name, g, row, caller); err != nil {
			s.Metrics.SelfScored("failed")
			return
		}
		s.Metrics.SelfScored("stored")
	}()
}

func (s *Server) scoreNow(id, name string, g reward.Grader, row *feedback.Completion, caller *auth.Key) error {
	f := feedback.Feedback{Completion: row.ID, Choice: row.Choice, Tenant: row.Tenant, Key: caller.ID, Rater: nameOf(caller), Source: feedback.Verifier, Grader: clipText(name, maxNameBytes)}
	if err := s.judge(&f, g, row, ""); err != nil {
		s.logGrader(id, f.Grader, err)
		return err
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	_, _, err := s.Store.Rate(deadline, f, false)
	if err != nil {
		s.reportTrouble("the score of an answer was not stored", id, err)
	}
	return err
}

// maxNameBytes bounds the name of a grader in what is stored.
const maxNameBytes = 64
