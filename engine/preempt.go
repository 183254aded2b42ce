package engine

import "slices"

// freeSlot makes sure that there is a slot for q, if need be by preempting who uses one for nothing (a stalled Sequence) or,
// for an Interactive q, the youngest Batch Sequence. Running Sequences of q's own class are never preempted for it.
func (s *Scheduler) freeSlot(q *sequence) bool {
	if len(s.running) < s.config.MaxSlots {
		return true
	}
	victim := s.lastStalled()
	if victim == nil {
		victim = s.lastBatch(q)
	}
	if victim == nil {
		return false
	}
	s.preempt(victim)
	return true
}

// makeRoom gives back some pages so that q may be admitted, or returns false. What is kept for q's own siblings goes last.
func (s *Scheduler) makeRoom(q *sequence) bool {
	if s.releaseKept(q.sub) {
		return true
	}
	victim := s.lastStalled()
	if victim == nil {
		victim = s.lastBatch(q)
	}
	if victim == nil {
		return s.releaseKept(nil)
	}
	s.preempt(victim)
	return true
}

// fund makes sure that q's next token has a page of its own. What must give way is, in this order: pages kept for samples
// that wait, stalled Sequences, the youngest of the lowest class. If that is q itself, it is preempted and fund is false.
// Sequences that have a row in the plan already are all before q, so none of them is touched.
func (s *Scheduler) fund(q *sequence) bool {
	for s.cache.Missing(q.table, q.computed, q.computed+1) > s.cache.Available() {
		if s.releaseKept(nil) {
			continue
		}
		victim := s.lastStalled()
		if victim == nil {
			victim = s.running[len(s.running)-1]
		}
		s.preempt(victim)
		if victim == q {
			return false
		}
	}
	return true
}

// releaseKept drops the pages kept for the last Request that has some, other than not.
func (s *Scheduler) releaseKept(not *submission) bool {
	for _, q := range slices.Backward(s.waiting) {
		if q.sub.kept != nil && q.sub != not {
			s.closeKept(q.sub)
			return true
		}
	}
	return false
}

// lastStalled is the youngest running Sequence of the lowest class whose stream is full; nil = none.
func (s *Scheduler) lastStalled() *sequence {
	for _, q := range slices.Backward(s.running) {
		if q.stalled {
			return q
		}
	}
	return nil
}

// lastBatch is the running Sequence that an Interactive q displaces; nil = none.
func (s *Scheduler) lastBatch(q *sequence) *sequence {
	last := len(s.running) - 1
	if last < 0 || q.sub.request.Class != Interactive || s.running[last].sub.request.Class != Batch {
		return nil
	}
	return s.running[last]
}

// preempt sends a running Sequence back to its place among the waiting. Its pages are released (those of its Prefix stay
// cached while there is room), its output is kept.
func (s *Scheduler) preempt(q *sequence) {
	s.counters.Preemptions++
	q.preempted++
	s.stop(q)
	q.state = waiting
	s.waiting = insert(s.waiting, q)
}

// stop takes a running Sequence's slot and pages. A lead's followers have nobody to follow then and wait again.
func (s *Scheduler) stop(q *sequence) {
	s.running = remove(s.running, q)
	q.state = done
	if q.table != nil {
		s.cache.Close(q.table)
		q.table = nil
	}
	q.computed, q.embedded = 0, nil
	if q.sub.lead != q {
		return
	}
	q.sub.lead = nil
	for _, follower := range q.sub.samples {
		if follower.follows() {
			s.preempt(follower)
		}
	}
}
