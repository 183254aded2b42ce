package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
)

// Tuner runs fine-tuning jobs. A job is a row of the store whose body is an openai.FineTuneJob; the Tuner updates both there, and writes
// the job's events with an openai.TuneNote as data, under JobSubject. The routes read all of that from the store alone. Methods may be
// called from any goroutine; when one returns without an error, the store has the job's new state. An *openai.Error goes to the client,
// any other error into the log.
type Tuner interface {
	// Create takes over a job that was just stored as validating_files. What its files hold was not checked: openai.ReadTuneFile does, and the
	// job fails if they are wrong. After a restart of the process, jobs that are not final are the Tuner's to go on with.
	Create(ctx context.Context, job openai.TuneJob) error
	Cancel(ctx context.Context, id string) error // a job that is not final; what it has published stays
	Pause(ctx context.Context, id string) error  // a job that is neither final nor paused; a step under way may end
	Resume(ctx context.Context, id string) error // a paused job, where it was
}

// JobSubject is the subject of a job's events in the store.
func JobSubject(id string) string { return "job:" + id }

// Making and steering jobs needs the scope admin, since a job changes the weights that every tenant is served. Reading them needs
// feedback, as files do. A server without keys lets everybody on its machine do all of it.

// createJob is POST /v1/fine_tuning/jobs.
func (s *Server) createJob(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeTuneRequest(ctx.PostBody())
	if err == nil {
		err = s.canTune()
	}
	if err == nil {
		err = s.checkTuning(callerOf(ctx).Tenant, q, id)
	}
	if err != nil {
		return err
	}
	drawn := randomHex()
	const seedDigits = 7 // of 4 bits, so that it is below 2^31
	seed, bad := strconv.ParseInt(drawn[:seedDigits], 16, 64)
	if bad != nil {
		panic("BUG: random digits are no number: " + drawn)
	}
	tenant := callerOf(ctx).Tenant
	job := openai.TuneJob{Tenant: tenant, FineTuneJob: q.Job("ftjob-"+drawn, tenant, seed)}
	if err := s.startJob(ctx, &job, id); err != nil {
		return err
	}
	return s.writeJob(ctx, job.ID, id)
}

// canTune says why there are no jobs.
func (s *Server) canTune() *openai.Error {
	switch {
	case s.Store == nil || s.Tuner == nil:
		return openai.TuningOff()
	case s.isDraining():
		return openai.Unavailable("The server is shutting down. Please send the request again later.")
	}
	return nil
}

// checkTuning checks what depends on the server: names, files, the grader.
func (s *Server) checkTuning(tenant string, q *openai.TuneRequest, id string) *openai.Error {
	if !slices.Contains(s.ModelNames, q.Model) { // not a version of one: a job begins with the weights of the moment
		return openai.ModelNotFound(q.Model, s.ModelNames)
	}
	for _, file := range []struct{ id, param string }{{q.TrainingFile, "training_file"}, {q.ValidationFile, "validation_file"}} {
		if file.id == "" {
			continue
		}
		f, err := s.findFile(tenant, file.id, file.param, id)
		if err != nil {
			return err
		}
		if f.Purpose != openai.PurposeFineTune {
			return openai.Invalid(file.param, "wrong_purpose", "Invalid '%s': the purpose of the file is '%s'; upload it with '%s'.", file.param, f.Purpose, openai.PurposeFineTune)
		}
	}
	if m := q.Method.Reinforcement; m != nil {
		_, err := s.grader(m.Grader)
		return at(err, "method.reinforcement.grader")
	}
	return nil
}

// at says where in a request the parameter of an error stood.
func at(err *openai.Error, param string) *openai.Error {
	if err != nil {
		err.Param = param
	}
	return err
}

// startJob stores a job and gives it to the Tuner.
func (s *Server) startJob(ctx *fasthttp.RequestCtx, job *openai.TuneJob, id string) *openai.Error {
	deadline, cancel := storeDeadline()
	defer cancel()
	if bad := s.putJob(deadline, job); errors.Is(bad, feedback.ErrFull) {
		return openai.TooManyKept("jobs")
	} else if bad != nil {
		return s.storeError(id, bad)
	}
	s.noteJob(ctx, job.ID, "Created fine-tuning job: "+job.ID, id)
	patience, stop := within(adminTimeout)
	defer stop()
	bad := s.Tuner.Create(patience, *job)
	if bad == nil {
		return nil
	}
	err := s.tunerError(id, bad)
	job.Status, job.Error = openai.TuneFailed, openai.NewTuneFailure(err, "")
	if bad := s.putJob(patience, job); bad != nil {
		s.log.Error("a job that could not begin is not marked as failed", "request", id, "job", job.ID, "error", bad)
	}
	return err
}

func (s *Server) putJob(ctx context.Context, job *openai.TuneJob) error {
	return s.Store.PutJob(ctx, feedback.Job{ID: job.ID, Tenant: job.Tenant, State: string(job.Status), Body: openai.Encode(job.FineTuneJob)})
}

// noteJob writes into a job's events what a client did.
func (s *Server) noteJob(ctx *fasthttp.RequestCtx, job, message, id string) {
	s.writeEvent(id, feedback.Event{Subject: JobSubject(job), Actor: nameOf(callerOf(ctx)), Level: "info", Message: message, Data: openai.Encode(openai.TuneNote{Type: openai.TuneMessage})})
}

// The three calls that steer a job; each answers with the job afterwards.
func (s *Server) cancelJob(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.steerJob(ctx, id, openai.TuneCancel, Tuner.Cancel)
}
func (s *Server) pauseJob(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.steerJob(ctx, id, openai.TunePause, Tuner.Pause)
}
func (s *Server) resumeJob(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.steerJob(ctx, id, openai.TuneResume, Tuner.Resume)
}

func (s *Server) steerJob(ctx *fasthttp.RequestCtx, id, action string, do func(t Tuner, ctx context.Context, job string) error) *openai.Error {
	if s.Store == nil || s.Tuner == nil {
		return openai.TuningOff()
	}
	job, err := s.findJob(ctx, id)
	if err != nil {
		return err
	}
	if !job.Status.Allows(action) {
		return openai.TuneConflict(job.ID, job.Status, action)
	}
	deadline, cancel := within(adminTimeout)
	defer cancel()
	if bad := do(s.Tuner, deadline, job.ID); bad != nil {
		return s.tunerError(id, bad)
	}
	s.noteJob(ctx, job.ID, "A client asked to "+action+" the job", id)
	return s.writeJob(ctx, job.ID, id)
}

// tunerError is the client's form of an error of the Tuner.
func (s *Server) tunerError(id string, bad error) *openai.Error {
	var told *openai.Error
	switch {
	case errors.As(bad, &told):
		return told
	case errors.Is(bad, context.DeadlineExceeded):
		return openai.Unavailable("The call did not end in time. It may still take effect; ask for the job's state.")
	}
	s.log.Error("a fine-tuning job could not be steered", "request", id, "error", bad)
	return openai.Internal(id)
}

// findJob is a job of the caller's tenant as the store has it now.
func (s *Server) findJob(ctx *fasthttp.RequestCtx, id string) (*openai.FineTuneJob, *openai.Error) {
	return s.loadJob(callerOf(ctx).Tenant, pathID(ctx), id)
}

func (s *Server) loadJob(tenant, job, id string) (*openai.FineTuneJob, *openai.Error) {
	if s.Store == nil {
		return nil, openai.TuningOff()
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	row, bad := s.Store.Job(deadline, tenant, job)
	if errors.Is(bad, feedback.ErrUnknown) {
		return nil, openai.JobNotFound(job)
	}
	if bad != nil {
		return nil, s.storeError(id, bad)
	}
	return s.jobObject(&row, id)
}

// jobObject is a row as the API shows it: what the row itself says goes before its body.
func (s *Server) jobObject(row *feedback.Job, id string) (*openai.FineTuneJob, *openai.Error) {
	job := &openai.FineTuneJob{}
	if bad := json.Unmarshal(row.Body, job); bad != nil {
		s.log.Error("a fine-tuning job in the store cannot be read", "request", id, "job", row.ID, "error", bad)
		return nil, openai.Internal(id)
	}
	job.ID, job.Object, job.OrganizationID = row.ID, "fine_tuning.job", row.Tenant
	job.Status, job.CreatedAt = openai.TuneState(row.State), row.Created.Unix()
	return job, nil
}

func (s *Server) writeJob(ctx *fasthttp.RequestCtx, job, id string) *openai.Error {
	o, err := s.loadJob(callerOf(ctx).Tenant, job, id)
	if err == nil {
		writeJSON(ctx, o)
	}
	return err
}
