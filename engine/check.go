package engine

import (
	"fmt"
	"slices"

	"astro/engine/kvcache"
	"astro/internal/invariant"
)

// check runs at the end of every operation under -tags invariants; the package's tests call verify themselves.
func (s *Scheduler) check() { invariant.Check(s.verify) }

// verify walks the whole state and says what contradicts itself: lists and states, tables and pages, queue counts, versions.
func (s *Scheduler) verify() error {
	if !slices.IsSortedFunc(s.waiting, compare) || !slices.IsSortedFunc(s.running, compare) {
		return fmt.Errorf("scheduler: a list is out of order")
	}
	if len(s.running) > s.config.MaxSlots {
		return fmt.Errorf("scheduler: %d sequences run in %d slots", len(s.running), s.config.MaxSlots)
	}
	tables := []*kvcache.Table{}
	found, queued := 0, [Classes]Queue{}
	users := map[int64]int{s.version: 1}
	for v := range s.held {
		users[v]++
	}
	for _, sub := range s.subs {
		n, err := s.verifySubmission(sub, &tables)
		if err != nil {
			return err
		}
		found += n
		if sub.version != 0 {
			users[sub.version]++
		}
		if sub.queued {
			queued[sub.request.Class].add(sub, 1)
		}
	}
	if found != len(s.waiting)+len(s.running) || queued != s.queued {
		return fmt.Errorf("scheduler: %d live sequences, %d+%d in lists; queued %+v, counted %+v",
			found, len(s.waiting), len(s.running), queued, s.queued)
	}
	if len(users) != len(s.users) {
		return fmt.Errorf("scheduler: versions in use %v; want %v", s.users, users)
	}
	for v, n := range users {
		if s.users[v] != n {
			return fmt.Errorf("scheduler: version %d has %d users; want %d", v, s.users[v], n)
		}
	}
	return s.cache.Check(tables)
}

// verifySubmission checks one Request's samples, appends their tables and returns how many are alive.
func (s *Scheduler) verifySubmission(sub *submission, tables *[]*kvcache.Table) (alive int, err error) {
	if sub.kept != nil {
		*tables = append(*tables, sub.kept)
		if !sub.heir() {
			return 0, fmt.Errorf("scheduler: request %d keeps pages for nobody", sub.number)
		}
	}
	if sub.lead != nil && (sub.lead.state != running || sub.lead.table == nil) {
		return 0, fmt.Errorf("scheduler: request %d has a lead that does not run", sub.number)
	}
	for _, q := range sub.samples {
		if q.state == done {
			continue
		}
		alive++
		if err := s.verifySequence(q); err != nil {
			return 0, fmt.Errorf("scheduler: request %d sample %d: %w", sub.number, q.index, err)
		}
		if q.table != nil {
			*tables = append(*tables, q.table)
		}
	}
	if alive != sub.alive || alive == 0 {
		return 0, fmt.Errorf("scheduler: request %d has %d live samples; counted %d", sub.number, alive, sub.alive)
	}
	return alive, nil
}

func (s *Scheduler) verifySequence(q *sequence) error {
	list := s.waiting
	if q.state == running {
		list = s.running
	}
	_, listed := slices.BinarySearchFunc(list, q, compare)
	switch {
	case !listed:
		return fmt.Errorf("it is not in the list of its state %d", q.state)
	case q.state == waiting && (q.table != nil || q.computed != 0):
		return fmt.Errorf("it waits with %d tokens computed", q.computed)
	case q.state == running && q.sub.version == 0:
		return fmt.Errorf("it runs without a version")
	case q.follows() && q.sub.lead == nil:
		return fmt.Errorf("it follows nobody")
	case q.computed >= len(q.tokens) || len(q.tokens) > q.sub.limit && q.sub.request.MaxTokens > 0:
		return fmt.Errorf("%d of %d tokens computed, limit %d", q.computed, len(q.tokens), q.sub.limit)
	case q.table != nil && len(q.table.Pages()) < s.cache.PagesFor(q.computed):
		return fmt.Errorf("%d tokens computed in %d pages", q.computed, len(q.table.Pages()))
	}
	return nil
}
