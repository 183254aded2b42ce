package engine

// Cancel ends all samples of a Request with FinishCancel; their pages are free at once. A number that is not known (any
// more) is no error: the Request has finished.
func (s *Scheduler) Cancel(number uint64) []Event {
	s.begin("Cancel")
	if sub := s.subs[number]; sub != nil {
		for _, q := range sub.samples {
			if q.state != done {
				s.finish(q, FinishCancel, -1, nil)
			}
		}
	}
	s.check()
	return s.events
}

// Stop ends one sample with FinishStop, because its caller has seen what it waited for. Its Completion keeps the first
// tokens output tokens; tokens < 0 keeps all.
func (s *Scheduler) Stop(number uint64, index, tokens int) []Event {
	s.begin("Stop")
	if q := s.sample(number, index); q != nil {
		if tokens >= 0 && tokens < len(q.choices) {
			q.choices, q.versions = q.choices[:tokens], q.versions[:tokens]
			q.tokens = q.tokens[:len(q.sub.request.Prompt)+tokens]
		}
		s.finish(q, FinishStop, -1, nil)
	}
	s.check()
	return s.events
}

// Stall says that a sample's stream is full (its Sequence is not scheduled, and gives way first when slots or pages are
// short) or has room again.
func (s *Scheduler) Stall(number uint64, index int, stalled bool) {
	s.mustBeIdle("Stall")
	if q := s.sample(number, index); q != nil {
		q.stalled = stalled && q.started
	}
	s.check()
}

// CancelAll ends everything with FinishCancel.
func (s *Scheduler) CancelAll() []Event {
	s.begin("CancelAll")
	for len(s.waiting) > 0 {
		s.finish(s.waiting[len(s.waiting)-1], FinishCancel, -1, nil)
	}
	for len(s.running) > 0 {
		s.finish(s.running[len(s.running)-1], FinishCancel, -1, nil)
	}
	for len(s.waiting) > 0 { // followers of a lead that was cancelled
		s.finish(s.waiting[len(s.waiting)-1], FinishCancel, -1, nil)
	}
	s.check()
	return s.events
}

func (s *Scheduler) begin(operation string) {
	s.mustBeIdle(operation)
	s.events = s.events[:0]
}

// sample finds a sample that has not finished; nil = none.
func (s *Scheduler) sample(number uint64, index int) *sequence {
	sub := s.subs[number]
	if sub == nil || index < 0 || index >= len(sub.samples) || sub.samples[index].state == done {
		return nil
	}
	return sub.samples[index]
}
