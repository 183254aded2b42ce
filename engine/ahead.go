package engine

import "astro/sampler"

// goAhead has the Rows of a Plan draw Config.DecodeSteps tokens each, if all of them can. If one cannot, none does, so that nobody waits for
// what others draw ahead. There are Plans of one token and of DecodeSteps, and no other number, for each is a program.
//
// Positions ahead take pages that are there: nobody is preempted for them. All of them are kept or their Sequence ends, so that no page is
// reserved in vain for longer than a Step.
func (s *Scheduler) goAhead() {
	steps := s.config.DecodeSteps
	if steps < 2 || !s.mayGoAhead(steps) {
		return
	}
	missing := 0
	for _, q := range s.planned {
		missing += s.cache.Missing(q.table, q.computed+1, q.computed+1+q.ahead(steps))
	}
	if missing > s.cache.Available() {
		return
	}
	for i, q := range s.planned {
		row := &s.plan.Rows[i]
		row.Ahead = q.ahead(steps)
		if row.Ahead > 0 {
			s.reserve(q, q.computed+1, q.computed+1+row.Ahead)
			row.Pages = q.table.Pages()
		}
	}
}

// mayGoAhead says whether every Row can, and one of them all the way.
func (s *Scheduler) mayGoAhead(steps int) bool {
	far := false
	for i, q := range s.planned {
		row := &s.plan.Rows[i]
		if q.class() == Interactive && !s.config.InteractiveAhead || !row.decodes() {
			return false
		}
		far = far || q.ahead(steps) == steps-1
	}
	return far
}

// ahead is the number of tokens, besides the next one, that a Step of so many may draw.
func (q *sequence) ahead(steps int) int { return min(steps, q.sub.limit-len(q.tokens)) - 1 }

// decodes says that a Row feeds one token and draws one in a way that can be repeated on the device.
func (r *Row) decodes() bool {
	return len(r.Tokens) == 1 && r.Sample != nil && r.Sample.Plain() && r.Score == nil && !r.Embed
}

// appendTokens takes in what was drawn for a Row, one by one until the Sequence ends, and then err if that is why there are no more. What
// was drawn behind an end is dropped; its keys and values are in pages that are freed, beyond what is computed.
func (s *Scheduler) appendTokens(q *sequence, choices []sampler.Choice, err error) {
	for i, choice := range choices {
		if i > 0 { // the token before was fed
			q.computed++
			s.cache.Publish(q.table, q.tokens[:q.computed])
			s.counters.AheadTokens++
		}
		s.appendToken(q, choice)
		if q.state == done {
			s.counters.DroppedTokens += uint64(len(choices) - i - 1)
			return
		}
	}
	if err != nil {
		s.fail(q, err)
	}
}
