package server

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
)

// feedbackOff is the answer of a server that keeps nothing.
func feedbackOff() *openai.Error {
	return openai.Off("feedback_off", "This server keeps no completions and takes no feedback. Start it with --store.")
}

// postFeedback is POST /v1/feedback. Every outcome is counted.
func (s *Server) postFeedback(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeFeedbackRequest(ctx.PostBody())
	if err != nil {
		return s.countFeedback(err)
	}
	if s.Store == nil {
		return feedbackOff()
	}
	caller := callerOf(ctx)
	f := feedback.Feedback{Completion: q.CompletionID, Choice: q.Choice, Tenant: caller.Tenant, Key: caller.ID, Rater: q.Rater, Source: feedback.App,
		Idempotency: q.Idempotency}
	if f.Rater == "" {
		f.Rater = nameOf(caller)
	}
	if caller.Granted != nil {
		return s.rateByToken(ctx, id, f, q)
	}
	if len(q.Metadata) > 0 {
		f.Metadata = openai.Encode(q.Metadata)
	}
	if q.Reward != nil {
		f.Reward = *q.Reward
	} else if err := s.gradeFeedback(&f, q, id); err != nil {
		return s.countFeedback(err)
	}
	return s.rate(ctx, id, f, q.Supersede)
}

// rate stores a feedback and answers with it.
func (s *Server) rate(ctx *fasthttp.RequestCtx, id string, f feedback.Feedback, supersede bool) *openai.Error {
	deadline, cancel := storeDeadline()
	defer cancel()
	stored, duplicate, bad := s.Store.Rate(deadline, f, supersede)
	if bad != nil {
		return s.countFeedback(s.storeError(id, bad))
	}
	s.Metrics.Feedback(map[bool]string{false: "stored", true: "duplicate"}[duplicate])
	answer := feedbackAnswer(&stored)
	answer.Duplicate = duplicate
	writeJSON(ctx, answer)
	return nil
}

// countFeedback counts a refusal; codes that do not concern the completion are "invalid".
func (s *Server) countFeedback(err *openai.Error) *openai.Error {
	switch err.Code {
	case "unknown_completion", "completion_aborted", "feedback_conflict", "completion_expired", "storage_unavailable", "grader_failed", "grader_url_refused", "unsupported_grader":
		s.Metrics.Feedback(err.Code)
	default:
		s.Metrics.Feedback("invalid")
	}
	return err
}

func feedbackAnswer(f *feedback.Feedback) openai.FeedbackAnswer {
	return openai.FeedbackAnswer{ID: f.ID, Object: "feedback", CompletionID: f.Completion, Choice: f.Choice, Reward: f.Reward, Rater: f.Rater, Source: string(f.Source),
		Grader: f.Grader, Evidence: f.Evidence, Metadata: f.Metadata, Superseded: f.Superseded, Created: f.Created.Unix()}
}

// getFeedback is GET /v1/feedback/{id}.
func (s *Server) getFeedback(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.Store == nil {
		return feedbackOff()
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	f, bad := s.Store.FeedbackByID(deadline, callerOf(ctx).Tenant, pathID(ctx))
	switch {
	case errors.Is(bad, feedback.ErrUnknown):
		return openai.UnknownFeedback()
	case bad != nil:
		return s.storeError(id, bad)
	}
	writeJSON(ctx, feedbackAnswer(&f))
	return nil
}

// getCompletion is GET /v1/completions/{id}: what is stored of an answer, whichever API gave it.
func (s *Server) getCompletion(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.Store == nil {
		return feedbackOff()
	}
	choices, said, err := s.stored(id, callerOf(ctx).Tenant, unescaped(pathID(ctx)))
	if err != nil {
		return err
	}
	first := choices[0]
	answer := openai.StoredCompletion{ID: first.ID, Object: "stored_completion", Created: first.Created.Unix(), Model: first.Model, State: string(feedback.Complete),
		Metadata: first.Metadata, Feedback: []openai.FeedbackAnswer{}}
	for _, c := range choices {
		if c.State == feedback.Aborted {
			answer.State = string(feedback.Aborted)
		}
		answer.Choices = append(answer.Choices, storedChoice(c))
	}
	for i := range said {
		answer.Feedback = append(answer.Feedback, feedbackAnswer(&said[i]))
	}
	writeJSON(ctx, answer)
	return nil
}

// stored reads a completion that has not expired, with what was said about it.
func (s *Server) stored(id, tenant, completion string) ([]*feedback.Completion, []feedback.Feedback, *openai.Error) {
	deadline, cancel := storeDeadline()
	defer cancel()
	choices, said, bad := s.Store.Completion(deadline, tenant, completion)
	if bad == nil && !choices[0].Expires.After(time.Now()) {
		bad = feedback.ErrExpired
	}
	return choices, said, s.storeErrorOrNil(id, bad)
}

func storedChoice(c *feedback.Completion) openai.StoredChoice {
	choice := openai.StoredChoice{Index: c.Choice, PromptTokenIDs: c.Prompt, TokenIDs: c.Output, Logprobs: make([]openai.Logprob, len(c.Logprobs)),
		Versions: []openai.VersionSpan{}, PromptText: c.PromptText, OutputText: c.OutputText}
	for i, p := range c.Logprobs {
		choice.Logprobs[i] = openai.Logprob(p)
	}
	for _, span := range c.Spans {
		choice.Versions = append(choice.Versions, openai.VersionSpan{Version: span.Version, Start: span.Start, End: span.End})
	}
	if c.Finish != "" {
		choice.FinishReason = &c.Finish
	}
	return choice
}

// storeError is the client's form of an error of the store.
func (s *Server) storeError(id string, err error) *openai.Error {
	switch {
	case errors.Is(err, feedback.ErrUnknown):
		return openai.UnknownCompletion()
	case errors.Is(err, feedback.ErrAborted):
		return openai.CompletionAborted()
	case errors.Is(err, feedback.ErrExpired):
		return openai.CompletionExpired()
	case errors.Is(err, feedback.ErrConflict):
		return openai.FeedbackConflict(clipReason(err))
	}
	s.reportTrouble("the store did not answer a request", id, err)
	return openai.StorageUnavailable()
}

func (s *Server) storeErrorOrNil(id string, err error) *openai.Error {
	if err == nil {
		return nil
	}
	return s.storeError(id, err)
}

// unescaped is a part of a path as it was meant; what is no escape stays as it is.
func unescaped(part string) string {
	if plain, err := url.PathUnescape(part); err == nil {
		return plain
	}
	return part
}

// textsOf reads a JSON object of texts, such as metadata; nil = none.
func textsOf(object json.RawMessage) map[string]string {
	var texts map[string]string
	if json.Unmarshal(object, &texts) != nil {
		return nil
	}
	return texts
}

// clipText bounds a text in bytes.
func clipText(text string, maxBytes int) string {
	return strings.ToValidUTF8(text[:min(len(text), maxBytes)], "")
}
