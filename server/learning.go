package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
)

// Learner is the loop that learns from rewards while this server serves. Methods may be called from any goroutine.
type Learner interface {
	Status(ctx context.Context) LearningStatus
	Pause(ctx context.Context, actor string) error  // after the step under way; ErrPolicyState
	Resume(ctx context.Context, actor string) error // ErrPolicyState
	Step(ctx context.Context, actor string) error   // asks for one step now; ErrPolicyState
}

// LearningStatus is the body of GET /learning.
type LearningStatus struct {
	State        string        `json:"state"`  // off, running, paused or failed
	Source       string        `json:"source"` // of problems: countdown, feedback, the name of a data set
	Step         int64         `json:"step"`
	Phase        string        `json:"phase"` // gather, score, learn, check, publish or wait
	PhaseSeconds float64       `json:"phase_seconds"`
	Serving      int64         `json:"serving"`    // version
	Publish      string        `json:"publish"`    // auto, or manual: candidates wait for POST /v1/policies/{v}/promote
	Candidates   []int64       `json:"candidates"` // versions that wait, oldest first
	Feedback     FeedbackCount `json:"feedback"`
	Reason       string        `json:"reason"` // of the state; "" = none
}

// FeedbackCount says how much there is to learn from.
type FeedbackCount struct {
	Stored  int `json:"stored"`
	Used    int `json:"used"`
	Waiting int `json:"waiting"`
}

// learningOff is the answer of a server that does not learn.
func learningOff() *openai.Error {
	return openai.Off("learning_off", "This server does not learn. Start it with --learn.")
}

// learning is GET /learning.
func (s *Server) learning(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	if s.Learner == nil {
		return learningOff()
	}
	deadline, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	status := s.Learner.Status(deadline)
	if status.Candidates == nil {
		status.Candidates = []int64{}
	}
	writeJSON(ctx, status)
	return nil
}

// The three calls that steer the loop; each answers with its state afterwards.
func (s *Server) learningPause(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.steer(ctx, id, "pause", Learner.Pause)
}
func (s *Server) learningResume(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.steer(ctx, id, "resume", Learner.Resume)
}
func (s *Server) learningStep(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.steer(ctx, id, "step", Learner.Step)
}

func (s *Server) steer(ctx *fasthttp.RequestCtx, id, what string, do func(l Learner, ctx context.Context, actor string) error) *openai.Error {
	if s.Learner == nil {
		return learningOff()
	}
	if err := s.administer(ctx, id, "learning", what, nil, func(ctx context.Context, actor string) error { return do(s.Learner, ctx, actor) }); err != nil {
		return err
	}
	return s.learning(ctx, id)
}

// Bounds of GET /learning/updates.
const (
	maxUpdates   = 500     // of a page
	maxUpdateSeq = 1 << 53 // of after: whole numbers that JSON readers keep
)

// learningUpdates is GET /learning/updates: what each update gave, for curves.
func (s *Server) learningUpdates(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.Store == nil {
		return feedbackOff()
	}
	after, err := queryNumber(ctx, "after", 0, 0, maxUpdateSeq)
	if err != nil {
		return err
	}
	limit, err := queryNumber(ctx, "limit", maxUpdates, 1, maxUpdates)
	if err != nil {
		return err
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	updates, bad := s.Store.Updates(deadline, after, int(limit))
	if bad != nil {
		return s.storeError(id, bad)
	}
	list := openai.ObjectList{Object: "list", Data: []any{}}
	for i := range updates {
		list.Data = append(list.Data, updateOf(&updates[i]))
	}
	writeJSON(ctx, list)
	return nil
}

// updateOf is an update's report with what the store knows of it.
func updateOf(u *feedback.Update) map[string]any {
	all := map[string]any{}
	if json.Unmarshal(u.Report, &all) != nil || all == nil {
		all = map[string]any{} // of another program: what the store knows is shown all the same
	}
	all["id"], all["at"], all["parent"], all["reason"], all["state"] = u.ID, u.Created.Unix(), u.Parent, u.Reason, "rejected"
	if u.Applied {
		all["state"] = "applied"
	}
	all["version"] = int64(0)
	if u.Policy != nil {
		all["version"] = u.Policy.Version
	}
	return all
}

// queryNumber reads a whole number from the query.
func queryNumber(ctx *fasthttp.RequestCtx, name string, otherwise, low, high int64) (int64, *openai.Error) {
	text := ctx.QueryArgs().Peek(name)
	if text == nil {
		return otherwise, nil
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || v < low || v > high {
		return 0, openai.Invalid(name, "invalid_value", "Invalid '%s' in the query: expected a whole number from %d to %d.", name, low, high)
	}
	return v, nil
}

// administer runs what only an administrator may do, and writes down who did it and what came of it.
func (s *Server) administer(ctx *fasthttp.RequestCtx, id, subject, what string, data json.RawMessage, do func(ctx context.Context, actor string) error) *openai.Error {
	actor := nameOf(callerOf(ctx))
	deadline, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	err := do(deadline, actor)
	event := feedback.Event{Subject: subject, Actor: actor, Level: "info", Message: what, Data: data}
	if err != nil {
		event.Level, event.Message = "warn", clipText(fmt.Sprintf("%s: %v", what, err), maxEvidenceBytes)
	}
	s.log.Info("an administrator's call", "request", id, "subject", subject, "actor", actor, "what", what, "error", err)
	s.writeEvent(id, event)
	return s.adminError(id, err)
}

// writeEvent stores an event; a store that cannot take it does not undo what was done.
func (s *Server) writeEvent(id string, e feedback.Event) {
	if s.Store == nil {
		return
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	if err := s.Store.Log(deadline, e); err != nil {
		s.log.Error("the store has not taken an event", "request", id, "subject", e.Subject, "error", err)
	}
}

// adminError is the client's form of an error of Learner or Policies.
func (s *Server) adminError(id string, err error) *openai.Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoPolicy):
		return openai.UnknownPolicy()
	case errors.Is(err, ErrPolicyState):
		return openai.PolicyState(clipReason(err))
	case errors.Is(err, context.DeadlineExceeded):
		return openai.Unavailable("The call did not end in time. It may still take effect; ask for the state.")
	}
	s.log.Error("an administrator's call failed", "request", id, "error", err)
	return openai.Internal(id)
}
