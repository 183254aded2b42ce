package engine

import "astro/engine/kvcache"

// admit gives slots to waiting Sequences in order, until the first that does not fit. Stalled ones are passed over, and those of
// Batch whose prompt a sibling computes: they would only wait in the slot.
func (s *Scheduler) admit() {
	for {
		q := s.first()
		if q == nil || !s.freeSlot(q) || !s.start(q) {
			return
		}
		if q.sub.queued {
			s.leaveQueue(q.sub)
			s.admitted = append(s.admitted, q.sub.number)
		}
	}
}

// first is the waiting Sequence that is admitted next; nil = none.
func (s *Scheduler) first() *sequence {
	for _, q := range s.waiting {
		if !q.stalled && !q.awaitsPrompt() {
			return q
		}
	}
	return nil
}

// leaveQueue takes a Request out of what Config.MaxQueued* bounds.
func (s *Scheduler) leaveQueue(sub *submission) {
	sub.queued = false
	s.queued[sub.request.Class].add(sub, -1)
}

// start moves q to running with what it needs: pages of its own, a fork of its sibling's, or a place behind its lead.
// It changes nothing and returns false if there is not enough memory.
func (s *Scheduler) start(q *sequence) bool {
	sub := q.sub
	switch {
	case q.inherits() && sub.lead != nil:
		s.run(q)
	case q.inherits() && sub.kept != nil:
		s.run(q)
		s.inherit(q, sub.kept)
	default:
		return s.open(q)
	}
	s.dropKept(sub)
	return true
}

// run gives q a slot.
func (s *Scheduler) run(q *sequence) {
	s.waiting = remove(s.waiting, q)
	s.running = insert(s.running, q)
	q.state = running
}

// inherit forks the prompt's pages from a table that holds them.
func (s *Scheduler) inherit(q *sequence, from *kvcache.Table) {
	q.table = s.cache.Fork(from, q.sub.shared())
	q.chain, q.computed = q.table.Chain(), q.sub.shared()
	s.countCached(q)
}

// open matches the longest Prefix of q's tokens and reserves pages for the rest of them.
func (s *Scheduler) open(q *sequence) bool {
	version := q.sub.version
	if version == 0 {
		version = s.version
	}
	q.chain = s.chain(q, version)
	table, found := s.cache.Open(q.chain, q.tokens, q.reuse())
	for s.cache.Missing(table, found, len(q.tokens))+s.headroom() > s.cache.Available() {
		if !s.makeRoom(q) {
			s.cache.Close(table)
			return false
		}
	}
	if q.sub.version == 0 {
		s.pin(q.sub, version)
	}
	s.run(q)
	s.cache.Reserve(table, found, len(q.tokens))
	q.table, q.computed = table, found
	s.countCached(q)
	if q.leads() && q.sub.lead == nil && q.sub.kept == nil {
		q.sub.lead = q
		s.forkPrompt(q)
	}
	return true
}

// countCached notes what a sample does not have to compute, once: what it finds again after a preemption is its own.
func (s *Scheduler) countCached(q *sequence) {
	if q.cached < 0 {
		q.cached = q.computed
		s.counters.CachedTokens += uint64(q.cached)
	}
}

// chain keeps the keys that q has already, unless they belong to another version.
func (s *Scheduler) chain(q *sequence, version int64) *kvcache.Chain {
	space := kvcache.Space{Version: version, Salt: q.sub.request.Salt}
	if q.chain != nil && q.chain.Space() == space {
		return q.chain
	}
	return s.cache.Chain(space)
}

// headroom is what admission leaves free: every running Sequence may need one more page in this step, and a newcomer that
// takes it would be preempted at once.
func (s *Scheduler) headroom() int { return len(s.running) }

// forkPrompt ends the lead once it has computed what samples share: its followers fork, and if others wait, the pages are
// kept for them.
func (s *Scheduler) forkPrompt(lead *sequence) {
	sub := lead.sub
	if sub.lead != lead || lead.computed < sub.shared() {
		return
	}
	sub.lead = nil
	for _, q := range sub.samples {
		if q.follows() {
			s.inherit(q, lead.table)
		}
	}
	if sub.heir() {
		sub.kept = s.cache.Fork(lead.table, sub.shared())
	}
}

// dropKept lets go of the pages that are kept for samples that wait, when none does.
func (s *Scheduler) dropKept(sub *submission) {
	if sub.kept != nil && !sub.heir() {
		s.closeKept(sub)
	}
}

func (s *Scheduler) closeKept(sub *submission) {
	s.cache.Close(sub.kept)
	sub.kept = nil
}
