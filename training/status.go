package training

import (
	"sync"
	"time"
)

// status is what the outside sees.
type status struct {
	mu       sync.Mutex
	now      Status
	since    time.Time
	paused   bool
	asked    int  // updates that were asked for while paused
	hindered bool // by the disk, or because nobody promotes
}

// Status says what the Loop does.
type Status struct {
	State        string // running, paused or stopped
	Source       string
	Phase        string // open, gather, score, learn, check, publish or wait
	PhaseSeconds float64
	Step         int // updates that made a version since the start
	Reason       string
	Version      int64
	Counters     Counters
}

// Counters count since the start.
type Counters struct {
	Applied, Rejected, Failed uint64
	Alarms                    uint64     // updates with a Gap above what it may be
	Stale                     uint64     // rated completions that were too old when their turn came
	KeyCapped, RaterCapped    uint64     // times that one had to wait because a key, a rater who rated it had its share
	Share                     float64    // of the last update's time that was spent on learning itself
	Last                      Numbers    // of the last update
	Eval                      *Evaluated // the last; nil = none yet
}

// The phases.
const (
	phaseOpen    = "open"
	phaseGather  = "gather"
	phaseScore   = "score"
	phaseLearn   = "learn"
	phaseCheck   = "check"
	phasePublish = "publish"
	phaseWait    = "wait"
)

func (s *status) begin(source string) {
	s.now, s.since = Status{State: "running", Source: source, Phase: phaseWait}, time.Now()
}

// enter stamps a phase: who looks sees for how long it has been going on.
func (s *status) enter(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Phase != phase {
		s.now.Phase, s.since = phase, time.Now()
	}
}

// mayBegin says whether an update may begin, and takes one that was asked for.
func (s *status) mayBegin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused && s.asked > 0 {
		s.asked--
		return true
	}
	return !s.paused
}

func (s *status) pause(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused, s.now.State, s.now.Reason = true, "paused", reason
}

func (s *status) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused, s.asked, s.now.State, s.now.Reason = false, 0, "running", ""
}

// hinder shows that something stops learning, which ends without Resume; news says that nothing did before.
func (s *status) hinder(reason string) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news, s.hindered = !s.hindered, true
	if !s.paused {
		s.now.State, s.now.Reason = "paused", reason
	}
	return news
}

// freed is the end of hinder; news says that there was one.
func (s *status) freed() (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news, s.hindered = s.hindered, false
	if news && !s.paused {
		s.now.State, s.now.Reason = "running", ""
	}
	return news
}

func (s *status) ask() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = min(s.asked+1, 100)
}

func (s *status) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.State, s.now.Phase = "stopped", phaseWait
}

func (s *status) alarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Counters.Alarms++
}

func (s *status) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Counters.Failed++
}

// learned notes an update that was not published.
func (s *status) learned(u *update, n Numbers, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Reason = reason
	s.now.Counters.Rejected++
	s.note(u, n)
}

func (s *status) published(u *update, n Numbers, version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Counters.Applied++
	s.note(u, n)
	s.now.Step, s.now.Version, s.now.Reason = s.now.Step+1, version, ""
}

// note keeps what an update gave; mu is held.
func (s *status) note(u *update, n Numbers) {
	c := &s.now.Counters
	c.Stale += uint64(len(u.dropped))
	c.KeyCapped, c.RaterCapped = c.KeyCapped+u.keyCapped, c.RaterCapped+u.raterCapped
	if c.Last = n; n.Eval != nil {
		c.Eval = n.Eval
	}
	if total := time.Since(u.began); total > 0 {
		c.Share = u.learnTook.Seconds() / total.Seconds()
	}
}

// Status is the present one.
func (l *Loop) Status() Status {
	l.status.mu.Lock()
	defer l.status.mu.Unlock()
	now := l.status.now
	now.PhaseSeconds = time.Since(l.status.since).Seconds()
	return now
}

// Pause lets the update under way end and begins no other.
func (l *Loop) Pause(reason string) { l.status.pause(reason) }

// Resume goes on.
func (l *Loop) Resume() { l.status.resume() }

// Step makes one update although the Loop is paused.
func (l *Loop) Step() { l.status.ask() }
