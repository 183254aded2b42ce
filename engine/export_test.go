package engine

// Verify exposes the self-check to the package's tests, which call it after every operation.
func (s *Scheduler) Verify() error { return s.verify() }

// Preempt takes a running sample's slot and pages, as memory pressure would, and says whether there was one.
func (s *Scheduler) Preempt(number uint64, index int) bool {
	s.mustBeIdle("Preempt")
	q := s.sample(number, index)
	if q == nil || q.state != running {
		return false
	}
	s.preempt(q)
	return true
}
