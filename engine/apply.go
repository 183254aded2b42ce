package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"astro/sampler"
)

// Apply takes what the Plan gave: tokens are appended, Sequences go on or finish. It returns the Events in row order; the
// slice is valid until the next call. The Result must have one row per row of the Plan.
func (s *Scheduler) Apply(result Result) []Event {
	rows := s.takePlan("Apply")
	if len(result.Rows) != len(rows) {
		panic(fmt.Sprintf("BUG: a result of %d rows; want %d", len(result.Rows), len(rows)))
	}
	for i, q := range s.planned {
		s.applyRow(q, &rows[i], &result.Rows[i])
	}
	s.check()
	return s.events
}

// Fail says that the Plan failed: its Sequences end with FinishError. If cause wraps ErrPoolsLost, all others start again
// from their tokens and no Prefix is left.
func (s *Scheduler) Fail(cause error) []Event {
	s.takePlan("Fail")
	s.counters.FailedSteps++
	for _, q := range s.planned {
		s.finish(q, FinishError, -1, cause)
	}
	if errors.Is(cause, ErrPoolsLost) {
		s.forgetPages()
	}
	s.check()
	return s.events
}

func (s *Scheduler) takePlan(operation string) []Row {
	if s.plan == nil {
		panic("BUG: " + operation + " was called without a plan")
	}
	rows := s.plan.Rows
	s.plan, s.events = nil, s.events[:0]
	s.counters.Steps++
	s.counters.Passes += uint64(max(1, stepsAhead(rows)))
	return rows
}

// forgetPages gives back every page, because their content is gone.
func (s *Scheduler) forgetPages() {
	for len(s.running) > 0 {
		s.preempt(s.running[len(s.running)-1])
	}
	for s.releaseKept(nil) {
	}
	s.cache.Swap(s.version)
}

func (s *Scheduler) applyRow(q *sequence, row *Row, result *RowResult) {
	choices, err := s.checkRow(row, result)
	if err != nil && len(choices) == 0 {
		s.fail(q, err)
		return
	}
	if decode := len(row.Tokens) == 1 && row.Start >= len(q.sub.request.Prompt); !decode {
		s.counters.PromptTokens += uint64(len(row.Tokens))
	}
	q.computed += len(row.Tokens)
	s.cache.Publish(q.table, q.tokens[:q.computed])
	s.forkPrompt(q)
	q.keepScores(row, result)
	if row.Embed {
		q.embedded = q.embedded.add(result.Embedding)
	}
	switch {
	case row.Sample != nil:
		s.appendTokens(q, choices, err)
	case q.pending() == 0: // nothing is to be drawn
		s.finish(q, FinishLength, -1, nil)
	}
}

// fail ends a sample because of its own row.
func (s *Scheduler) fail(q *sequence, err error) {
	if errors.Is(err, sampler.ErrNotFinite) {
		s.counters.NotFinite++
	}
	s.finish(q, FinishError, -1, err)
}

// checkRow refuses what must not reach a client, and gives the draws that may. The error belongs to this row alone, and what was drawn
// before it stands.
func (s *Scheduler) checkRow(row *Row, result *RowResult) ([]sampler.Choice, error) {
	switch {
	case row.Score != nil && len(result.Scores) != len(row.Tokens) && result.Err == nil:
		return nil, fmt.Errorf("the runner scored %d tokens of %d", len(result.Scores), len(row.Tokens))
	case row.Embed && result.Embedding == nil && result.Err == nil:
		return nil, errors.New("the runner gave no embedding")
	case row.Sample == nil || row.Score != nil && result.Err != nil:
		return nil, result.Err
	}
	choices := result.Choices
	if result.Err != nil {
		choices = choices[:min(row.Ahead, len(choices))]
	} else if want := 1 + row.Ahead; len(choices) != want {
		return nil, fmt.Errorf("the runner drew %d tokens; want %d", len(choices), want)
	}
	for i := range choices {
		if err := s.checkChoice(&choices[i]); err != nil {
			return choices[:i], err
		}
	}
	return choices, result.Err
}

func (s *Scheduler) checkChoice(c *sampler.Choice) error {
	if c.Token < 0 || int(c.Token) >= s.config.Vocab {
		return fmt.Errorf("the runner drew token %d of a vocabulary of %d", c.Token, s.config.Vocab)
	}
	if math.IsNaN(float64(c.Logprob)) {
		return fmt.Errorf("a log-probability is not a number: %w", sampler.ErrNotFinite)
	}
	return nil
}

// keepScores files the log-probabilities of prompt tokens: position p scores token p+1.
func (q *sequence) keepScores(row *Row, result *RowResult) {
	if q.scores == nil {
		return
	}
	if row.Score != nil {
		for i, target := range row.Score.Targets {
			if target >= 0 {
				q.scores[row.Start+i+1] = result.Scores[i]
			}
		}
	}
	q.scored = min(max(q.scored, q.computed), len(q.scores))
}

// appendToken adds a drawn token and emits it, with the finish if it is the last.
func (s *Scheduler) appendToken(q *sequence, choice sampler.Choice) {
	q.tokens = append(q.tokens, choice.Token)
	q.choices, q.versions = append(q.choices, choice), append(q.versions, q.sub.version)
	s.counters.OutputTokens++
	event := Event{Choice: choice, HasToken: true}
	over, err := q.constraint.take(choice.Token)
	switch {
	case err != nil:
		s.finish(q, FinishError, -1, err)
	case slices.Contains(q.sub.stops, choice.Token):
		s.finishWith(q, event, FinishStop, choice.Token, nil)
	case over:
		s.finishWith(q, event, FinishStop, -1, nil)
	case len(q.tokens) >= q.sub.limit:
		s.finishWith(q, event, FinishLength, -1, nil)
	default:
		event.StopID = -1
		s.emit(q, event)
	}
}

// finish ends a sample without a token.
func (s *Scheduler) finish(q *sequence, reason FinishReason, stopID int32, err error) {
	s.finishWith(q, Event{}, reason, stopID, err)
}

// finishWith ends a sample with its last Event. Its slot and pages are free at once.
func (s *Scheduler) finishWith(q *sequence, event Event, reason FinishReason, stopID int32, err error) {
	event.Finish, event.StopID, event.Err = reason, stopID, err
	if reason == FinishLength {
		event.Embedding = q.embedded
	}
	event.Preemptions = q.preempted
	event.completion = q.completion(reason, err)
	s.emit(q, event)
	s.counters.Finished[reason]++
	if q.state == running {
		s.stop(q)
	} else {
		s.waiting = remove(s.waiting, q)
		q.state = done
	}
	s.leave(q.sub)
}

// emit completes an Event and hands it out.
func (s *Scheduler) emit(q *sequence, event Event) {
	event.Request, event.Index, event.Version = q.sub.number, q.index, q.sub.version
	if !q.started {
		q.started = true
		event.CachedTokens = max(0, q.cached)
		if q.scored == len(q.scores) {
			event.PromptScores = q.scores
		}
	}
	s.events = append(s.events, event)
}

// leave ends the submission with its last sample.
func (s *Scheduler) leave(sub *submission) {
	sub.alive--
	s.dropKept(sub)
	if sub.alive > 0 {
		return
	}
	if sub.queued {
		s.leaveQueue(sub)
	}
	if sub.version != 0 {
		s.unpin(sub.version)
	}
	delete(s.subs, sub.number)
}
