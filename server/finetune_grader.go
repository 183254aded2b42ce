package server

import (
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/training/reward"
)

// Trying a grader needs the scope feedback, as sending one with a feedback does.

// validateGrader is POST /v1/fine_tuning/alpha/graders/validate.
func (s *Server) validateGrader(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	q, err := openai.DecodeGraderValidate(ctx.PostBody())
	if err == nil {
		_, err = s.grader(q.Grader)
	}
	if err == nil {
		writeJSON(ctx, openai.GraderValid{Grader: q.Grader})
	}
	return err
}

// runGrader is POST /v1/fine_tuning/alpha/graders/run: the grader is tried on a sample.
func (s *Server) runGrader(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeGraderRun(ctx.PostBody())
	if err != nil {
		return err
	}
	g, err := s.grader(q.Grader)
	if err != nil {
		return err
	}
	fields := openai.ItemFields(q.Item)
	begin := time.Now()
	problem := fields["problem"]
	if problem == "" {
		problem = fields["prompt"]
	}
	grade, bad := s.grade(reward.WithFields(g, fields), reward.Item{Problem: problem, Gold: fields["answer"], Response: q.Sample})
	run := openai.NewGraderRun(q.Grader, grade.Score, time.Since(begin).Seconds())
	if errors.Is(bad, reward.ErrRemote) {
		s.log.Warn("a configured service has given no score", "request", id, "error", bad)
	}
	if bad != nil {
		run.Fail(graderReason(bad))
	}
	writeJSON(ctx, run)
	return nil
}
