package engine

import (
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
)

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

// Logits feeds one row and returns the logits of every token of it, [len(row.Tokens), vocab] f32.
func (r *DeviceRunner) Logits(row Row) ([]float32, error) {
	b, program, err := r.buckets.pick(r.bucket(1, len(row.Tokens), len(row.Pages), true), 1)
	if err != nil {
		return nil, err
	}
	made, err := r.step(b, program, r.policies[row.Version], []Row{row}, []int{0})
	if err != nil {
		return nil, err
	}
	defer freeAll(made)
	all, err := tensors.CopyFlatData[float32](made[1])
	return all[:len(row.Tokens)*made[1].Shape().Dim(1)], err
}

// FreePagesInUse gives back the pages of a running sample behind the Scheduler's back: a state that our own code excludes.
func (e *Engine) FreePagesInUse() error {
	return e.mailbox.post(func() { e.scheduler.cache.Close(e.scheduler.running[0].table) })
}

// GoesAhead says whether a program's name is that of a Bucket with Steps.
func GoesAhead(program string) bool { return strings.HasPrefix(program, "decode_") }

// PoolBytes is the size of one pool.
func (r *DeviceRunner) PoolBytes() int64 { return int64(r.forward.poolShape().Memory()) }

// Vocab is the model's.
func (r *DeviceRunner) Vocab() int { return r.forward.config.Vocab }
