package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
)

// jobs is GET /v1/fine_tuning/jobs, newest first; metadata[name]=value in the query shows only those that have it.
func (s *Server) jobs(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.Store == nil {
		return openai.TuningOff()
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	rows, bad := s.Store.Jobs(deadline, callerOf(ctx).Tenant)
	if bad != nil {
		return s.storeError(id, bad)
	}
	var all []*openai.FineTuneJob
	for i := range rows {
		job, err := s.jobObject(&rows[i], id)
		if err != nil {
			return err
		}
		if hasMetadata(ctx, job) {
			all = append(all, job)
		}
	}
	return writeList(ctx, all, func(j *openai.FineTuneJob) string { return j.ID }, listedDefault, maxListed)
}

// hasMetadata says whether a job has the metadata that the query asks for.
func hasMetadata(ctx *fasthttp.RequestCtx, job *openai.FineTuneJob) bool {
	for key, value := range ctx.QueryArgs().All() {
		name, ok := strings.CutPrefix(string(key), "metadata[")
		if name, closed := strings.CutSuffix(name, "]"); ok && closed && job.Metadata[name] != string(value) {
			return false
		}
	}
	return true
}

// job is GET /v1/fine_tuning/jobs/{id}.
func (s *Server) job(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.writeJob(ctx, pathID(ctx), id)
}

// Ids of events and checkpoints are their seq in the store.
const (
	eventPrefix      = "ftevent-"
	checkpointPrefix = "ftckpt_"
)

// jobEvents is GET /v1/fine_tuning/jobs/{id}/events, newest first.
func (s *Server) jobEvents(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	notes, more, err := s.notes(ctx, id, eventPrefix, func(*openai.TuneNote) bool { return true })
	if err != nil {
		return err
	}
	events := make([]openai.FineTuneEvent, len(notes))
	for i, n := range notes {
		e := openai.FineTuneEvent{ID: eventPrefix + strconv.FormatInt(n.Seq, 10), Object: "fine_tuning.job.event", CreatedAt: n.Created.Unix(), Level: n.Level,
			Message: n.Message, Type: openai.TuneMessage, Data: n.note.EventData()}
		if n.note.Type == openai.TuneMetrics {
			e.Type = openai.TuneMetrics
		}
		events[i] = e
	}
	writeJSON(ctx, openai.NewList(events, func(e openai.FineTuneEvent) string { return e.ID }, more))
	return nil
}

// jobCheckpoints is GET /v1/fine_tuning/jobs/{id}/checkpoints, newest first.
func (s *Server) jobCheckpoints(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	notes, more, err := s.notes(ctx, id, checkpointPrefix, func(n *openai.TuneNote) bool { return n.Type == openai.TuneCheckpoint })
	if err != nil {
		return err
	}
	checkpoints := make([]openai.FineTuneCheckpoint, len(notes))
	for i, n := range notes {
		checkpoints[i] = openai.FineTuneCheckpoint{ID: checkpointPrefix + strconv.FormatInt(n.Seq, 10), Object: "fine_tuning.job.checkpoint", CreatedAt: n.Created.Unix(),
			Model: n.note.Model, JobID: pathID(ctx), Step: n.note.Step, Metrics: n.note.WithStep()}
	}
	writeJSON(ctx, openai.NewList(checkpoints, func(c openai.FineTuneCheckpoint) string { return c.ID }, more))
	return nil
}

// noted is an event of a job with what its data says.
type noted struct {
	feedback.Event
	note openai.TuneNote
}

// notes are the events of the job in the path that keep wants, newest first, as the query's after and limit ask for them.
func (s *Server) notes(ctx *fasthttp.RequestCtx, id, prefix string, keep func(*openai.TuneNote) bool) (all []noted, more bool, err *openai.Error) {
	limit, err := queryNumber(ctx, "limit", listedDefault, 1, maxListed)
	if err != nil {
		return nil, false, err
	}
	before := int64(math.MaxInt64)
	if after := string(ctx.QueryArgs().Peek("after")); after != "" {
		if before, err = noteSeq(after, prefix); err != nil {
			return nil, false, err
		}
	}
	job, err := s.findJob(ctx, id)
	if err != nil {
		return nil, false, err
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	all, bad := s.newestNotes(deadline, job.ID, before, int(limit)+1, keep)
	if bad != nil {
		return nil, false, s.storeError(id, bad)
	}
	if more = len(all) > int(limit); more {
		all = all[:limit]
	}
	return all, more, nil
}

// maxSeqDigits bounds the number in an id, in digits; it is what fits into 64 bits.
const maxSeqDigits = 18

// noteSeq is the seq in an id of a list. One that belongs to no event is as good as another: the list goes on where it would stand.
func noteSeq(id, prefix string) (int64, *openai.Error) {
	digits, ok := strings.CutPrefix(id, prefix)
	seq, whole := versionNumber(digits)
	if !ok || !whole || len(digits) > maxSeqDigits {
		return 0, openai.Invalid("after", "invalid_value", "Invalid 'after' in the query: the list has no such id. Its ids are like '%s12'.", prefix)
	}
	return seq, nil
}

// eventsAtOnce is how many events of a job are in memory at one time.
const eventsAtOnce = 1000

// newestNotes are the last events before a seq that keep wants, newest first, at most so many. The store lists the oldest first, so
// that all of the job's are looked at.
func (s *Server) newestNotes(ctx context.Context, job string, before int64, atMost int, keep func(*openai.TuneNote) bool) ([]noted, error) {
	var last []noted
	for after := int64(0); ; {
		events, err := s.Store.Events(ctx, JobSubject(job), after, eventsAtOnce)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			n, err := readNote(&e)
			if err != nil {
				return nil, err
			}
			if after = e.Seq; e.Seq < before && keep(&n.note) {
				last = append(last, n)
			}
		}
		last = last[max(0, len(last)-atMost):]
		if len(events) < eventsAtOnce || after >= before {
			slices.Reverse(last)
			return last, nil
		}
	}
}

// readNote reads what an event's data says; one without data is a message.
func readNote(e *feedback.Event) (noted, error) {
	n := noted{Event: *e, note: openai.TuneNote{Type: openai.TuneMessage}}
	if e.Data == nil {
		return n, nil
	}
	if err := json.Unmarshal(e.Data, &n.note); err != nil {
		return n, fmt.Errorf("event %d of %s: its data cannot be read: %w", e.Seq, e.Subject, err)
	}
	return n, nil
}
