package engine

import (
	"fmt"
	"maps"
	"slices"

	"astro/engine/kvcache"
)

// Scheduler decides what each Step runs. It has no clock, no goroutine, no device and no log: the same calls give the same
// Plans. One Step is Next, then Apply or Fail; in between nothing else may be called.
//
// Next admits waiting Sequences (all Interactive before any Batch, each class in order of arrival, a large one is never
// overtaken), gives every running decode its one token, and what is left of Config.StepTokens to prompts in chunks. Where there are
// only decodes they may get Config.DecodeSteps tokens in one Step; see goAhead. A
// Sequence that is preempted loses its pages and keeps its output, which is computed again like a prompt; it then draws the
// same tokens, because draws are counter-based.
//
// It is not safe for concurrent use.
type Scheduler struct {
	config  Config
	cache   *kvcache.Cache
	subs    map[uint64]*submission
	numbers uint64 // Requests submitted so far

	waiting []*sequence // in order of before
	running []*sequence // in order of before; at most MaxSlots

	queued [Classes]Queue // what Config.MaxQueued* bounds

	version  int64         // current
	users    map[int64]int // live versions: submissions that need them, plus one for the current, plus one if held
	held     map[int64]bool
	retired  []int64     // versions that nobody needs any more, not yet taken
	plan     *Plan       // in flight; nil = none
	planned  []*sequence // by row of plan
	admitted []uint64    // Requests that left the queue in the last Next
	events   []Event     // made by the operation under way
	counters Counters
}

// Counters only grow.
type Counters struct {
	Steps         uint64 // plans that ran, failed ones too
	Passes        uint64 // of the model: one for each of Steps, and one for each token that its Rows went ahead at most
	FailedSteps   uint64
	PromptTokens  uint64 // fed to prefill, recomputed ones too
	CachedTokens  uint64 // prompt tokens that were found in the prefix cache instead, or inherited from a sibling
	OutputTokens  uint64
	AheadTokens   uint64 // of them, drawn in a Step that had drawn one for the Sequence before
	DroppedTokens uint64 // drawn ahead, behind the end of their Sequence
	Preemptions   uint64
	NotFinite     uint64 // samples that ended because of what the model computed: NaN, or no finite logit
	Evictions     uint64 // prefix pages
	Finished      map[FinishReason]uint64
}

// NewScheduler returns an idle Scheduler whose current Policy is version, at least 1. It panics if config is not valid.
func NewScheduler(config Config, version int64) *Scheduler {
	if err := config.Validate(); err != nil {
		panic("BUG: " + err.Error())
	}
	if version < 1 {
		panic(fmt.Sprintf("BUG: version %d; want at least 1", version))
	}
	return &Scheduler{
		config: config, cache: kvcache.New(config.cache(), version), subs: map[uint64]*submission{},
		version: version, users: map[int64]int{version: 1}, held: map[int64]bool{}, counters: Counters{Finished: map[FinishReason]uint64{}},
	}
}

// Submit queues a Request and returns its number. Errors: ErrInvalidRequest, ErrPromptTooLong, ErrQueueFull,
// ErrUnknownVersion.
func (s *Scheduler) Submit(r Request) (uint64, error) {
	s.mustBeIdle("Submit")
	if err := s.config.validate(&r); err != nil {
		return 0, err
	}
	if q := s.queued[r.Class]; q.Requests >= s.config.MaxQueuedRequests || q.Tokens+len(r.Prompt) > s.config.MaxQueuedTokens {
		return 0, fmt.Errorf("%w (%d requests with %d prompt tokens wait)", ErrQueueFull, q.Requests, q.Tokens)
	}
	if r.Version != 0 && s.users[r.Version] == 0 {
		return 0, fmt.Errorf("%w: version %d; the current one is %d", ErrUnknownVersion, r.Version, s.version)
	}
	sub := &submission{number: s.numbers + 1, request: r, alive: r.N, queued: true, stops: s.config.stops(&r)}
	sub.limit = min(s.config.contextTokens(), len(r.Prompt)+min(r.MaxTokens, s.config.contextTokens()))
	for i := range r.N {
		q, err := newSequence(sub, i, s.config.Vocab)
		if err != nil {
			return 0, invalid("its grammar: %v", err)
		}
		sub.samples = append(sub.samples, q)
	}
	s.numbers++
	s.enqueue(sub)
	s.check()
	return sub.number, nil
}

func (s *Scheduler) enqueue(sub *submission) {
	s.subs[sub.number] = sub
	s.queued[sub.request.Class].add(sub, 1)
	if v := sub.request.Version; v != 0 {
		s.pin(sub, v)
	}
	for _, q := range sub.samples {
		s.waiting = insert(s.waiting, q)
	}
}

// pin decides a submission's version, which then lives as long as the submission.
func (s *Scheduler) pin(sub *submission, version int64) {
	sub.version = version
	s.users[version]++
}

// unpin lets go of a version; the last one to do so retires it.
func (s *Scheduler) unpin(version int64) {
	if s.users[version]--; s.users[version] == 0 {
		delete(s.users, version)
		s.retired = append(s.retired, version)
	}
}

// Next returns the Plan of the next Step; it is empty when nothing can run. A Plan that is not empty must be answered by
// Apply or Fail.
func (s *Scheduler) Next() *Plan {
	s.mustBeIdle("Next")
	s.plan, s.planned, s.admitted = &Plan{}, s.planned[:0], s.admitted[:0]
	s.admit()
	left := s.budget()
	s.planDecodes(&left)
	s.planPrefills(&left)
	s.goAhead()
	plan := s.plan
	if plan.Empty() {
		s.plan = nil
	}
	s.check()
	return plan
}

// Admitted lists the Requests that the last Next took out of the queue; the slice is valid until the next one.
func (s *Scheduler) Admitted() []uint64 { return s.admitted }

// budget is what tokens a Step may still take: of all Rows, and of those of Batch among them.
type budget struct{ all, batch int }

// budget is a Step's. Beside Interactive Rows those of Batch are few, so that rollouts do not make the tokens that somebody waits for
// late.
func (s *Scheduler) budget() budget {
	b := budget{s.config.StepTokens, s.config.StepTokens}
	if s.config.BatchTokens > 0 && slices.ContainsFunc(s.running, func(q *sequence) bool { return q.class() == Interactive && q.runnable() }) {
		b.batch = s.config.BatchTokens
	}
	return b
}

// of is what a Sequence of the Class may take.
func (b *budget) of(c Class) int {
	if c == Batch {
		return min(b.all, b.batch)
	}
	return b.all
}

func (b *budget) spend(c Class, tokens int) {
	if b.all -= tokens; c == Batch {
		b.batch -= tokens
	}
}

// planDecodes gives each running Sequence that lacks one token its row, as far as the budget goes.
func (s *Scheduler) planDecodes(left *budget) {
	for _, q := range slices.Clone(s.running) {
		if q.runnable() && q.pending() == 1 && left.of(q.class()) > 0 && s.fund(q) {
			s.addRow(q, 1)
			left.spend(q.class(), 1)
		}
	}
}

// planPrefills spends the budget on longer rows. Their pages were reserved when they were admitted.
func (s *Scheduler) planPrefills(left *budget) {
	for _, q := range s.running {
		if room := left.of(q.class()); q.runnable() && q.pending() > 1 && room > 0 {
			n := min(q.pending(), s.config.ChunkTokens, room)
			s.addRow(q, n)
			left.spend(q.class(), n)
		}
	}
}

func (s *Scheduler) addRow(q *sequence, n int) {
	s.reserve(q, q.computed, q.computed+n)
	s.plan.Rows = append(s.plan.Rows, q.row(n))
	s.planned = append(s.planned, q)
}

// reserve makes positions start to end-1 of q writable in this Step.
func (s *Scheduler) reserve(q *sequence, start, end int) {
	for _, c := range s.cache.Reserve(q.table, start, end) {
		s.plan.Copies = append(s.plan.Copies, PageCopy(c))
	}
}

// Swap makes version the current one, for all Requests that have no version yet; those that have one keep it. Prefixes of
// other versions are dropped. It does nothing if version is the current one.
func (s *Scheduler) Swap(version int64) {
	s.mustBeIdle("Swap")
	if version == s.version {
		return
	}
	old := s.version
	s.version = version
	s.users[version]++
	s.cache.Swap(version)
	s.unpin(old)
	s.check()
}

// Move has what runs on version from go on with version to, which must be live: running Sequences give their pages back and recompute
// prompt and output under the other weights. Requests that named their version stay, as do those whose prompt is scored or embedded:
// their numbers are of one version.
func (s *Scheduler) Move(from, to int64) {
	s.mustBeIdle("Move")
	for _, number := range slices.Sorted(maps.Keys(s.subs)) {
		sub := s.subs[number]
		if r := &sub.request; sub.version != from || r.Version != 0 || r.Score || r.Embed {
			continue
		}
		for _, q := range sub.samples {
			if q.state == running {
				s.preempt(q)
			}
		}
		if sub.kept != nil {
			s.closeKept(sub)
		}
		s.unpin(from)
		s.pin(sub, to)
	}
	s.check()
}

// Hold keeps a live version, or a new one that is not current, for Requests that name it, until Drop.
func (s *Scheduler) Hold(version int64) {
	s.mustBeIdle("Hold")
	if !s.held[version] {
		s.held[version] = true
		s.users[version]++
	}
	s.check()
}

// Drop lets go of a version that was held; it retires when the last of its Sequences ends and it is not current.
func (s *Scheduler) Drop(version int64) {
	s.mustBeIdle("Drop")
	if s.held[version] {
		delete(s.held, version)
		s.unpin(version)
	}
	s.check()
}

// Live says whether Requests may name a version.
func (s *Scheduler) Live(version int64) bool { return s.users[version] > 0 }

// Version is the current one.
func (s *Scheduler) Version() int64 { return s.version }

// TakeRetired returns the versions that no Sequence needs any more since the last call, oldest first.
func (s *Scheduler) TakeRetired() []int64 {
	list := s.retired
	s.retired = nil
	return list
}

// Counters returns a copy.
func (s *Scheduler) Counters() Counters {
	c := s.counters
	c.Evictions = s.cache.Evictions()
	c.Finished = make(map[FinishReason]uint64, len(s.counters.Finished))
	for reason, n := range s.counters.Finished {
		c.Finished[reason] = n
	}
	return c
}

// Load is what a Scheduler holds now.
type Load struct {
	Queued  [Classes]Queue // by Class
	Waiting int            // Sequences without a slot, preempted ones too
	Running int            // Sequences with one
	Stalled int            // Sequences whose stream is full
	Pages   kvcache.Counts
}

// Queue is the Requests of a Class none of whose samples has had a slot yet.
type Queue struct {
	Requests int
	Tokens   int // of their prompts
}

func (q *Queue) add(sub *submission, n int) {
	q.Requests += n
	q.Tokens += n * len(sub.request.Prompt)
}

// QueuedRequests is their number, over all classes.
func (l *Load) QueuedRequests() int {
	n := 0
	for _, q := range l.Queued {
		n += q.Requests
	}
	return n
}

// Load returns the present state in numbers.
func (s *Scheduler) Load() Load {
	l := Load{Queued: s.queued, Waiting: len(s.waiting), Running: len(s.running)}
	for _, list := range [][]*sequence{s.waiting, s.running} {
		for _, q := range list {
			if q.stalled {
				l.Stalled++
			}
		}
	}
	l.Pages = s.cache.Counts()
	return l
}

// Idle says that there is nothing left to do for anybody.
func (s *Scheduler) Idle() bool { return len(s.waiting)+len(s.running) == 0 }

// Runnable says that some Sequence could go on: it is not stalled. Then Next is never empty.
func (s *Scheduler) Runnable() bool {
	return slices.ContainsFunc(s.waiting, ready) || slices.ContainsFunc(s.running, ready)
}

func ready(q *sequence) bool { return !q.stalled }

func (s *Scheduler) mustBeIdle(operation string) {
	if s.plan != nil {
		panic("BUG: " + operation + " was called between Next and Apply")
	}
}

// insert puts q in its place in a list ordered by before.
func insert(list []*sequence, q *sequence) []*sequence {
	i, _ := slices.BinarySearchFunc(list, q, compare)
	return slices.Insert(list, i, q)
}

// remove takes q out of an ordered list.
func remove(list []*sequence, q *sequence) []*sequence {
	i, found := slices.BinarySearchFunc(list, q, compare)
	if !found {
		panic("BUG: a sequence is not in the list that its state names")
	}
	return slices.Delete(list, i, i+1)
}

func compare(a, b *sequence) int {
	switch {
	case a == b:
		return 0
	case a.before(b):
		return -1
	}
	return 1
}
