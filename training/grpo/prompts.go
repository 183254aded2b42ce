package grpo

import (
	"slices"

	"astro/training/trainer"
)

// Bounds of the difficulty band's memory.
const (
	rateShare  = .5 // of the newest group in a prompt's pass rate
	retryAfter = 3  // times that a prompt outside the band is passed over before it is tried again
)

// rate is what is known of a prompt.
type rate struct {
	Seen    int     `json:"seen"`    // groups of it
	Pass    float64 `json:"pass"`    // moving mean of their shares of correct rollouts
	Skipped int     `json:"skipped"` // times in a row that it was passed over
}

// prompts hands out problems by their index: every one once in each epoch, in an order of that epoch, but for those outside the band.
// All of it follows from the seed and what was graded.
type prompts struct {
	Passed int    `json:"passed"` // prompts gone by in all epochs, handed out or passed over
	Groups int    `json:"groups"` // handed out
	Rates  []rate `json:"rates"`  // by problem

	seed  uint64
	band  Band
	epoch int
	order []int // of epoch; nil = not made yet
}

func newPrompts(n int, seed uint64, band Band) *prompts {
	return &prompts{Rates: make([]rate, n), seed: seed, band: band}
}

// copy is an independent continuation: a step that fails leaves the original as it was.
func (p *prompts) copy() *prompts {
	q := *p
	q.Rates = slices.Clone(p.Rates)
	return &q
}

// next hands out a problem and the seed of its rollouts, which no other group shares.
func (p *prompts) next() (problem int, seed uint64) {
	for {
		i := p.at(p.Passed)
		p.Passed++
		if p.outside(i) && p.Rates[i].Skipped < retryAfter {
			p.Rates[i].Skipped++
			continue
		}
		p.Rates[i].Skipped = 0
		p.Groups++
		return i, trainer.Mix(p.seed ^ trainer.Mix(uint64(p.Groups)))
	}
}

// at is the problem in a place of the endless row of epochs.
func (p *prompts) at(place int) int {
	n := len(p.Rates)
	if epoch := place / n; p.order == nil || epoch != p.epoch {
		p.epoch, p.order = epoch, trainer.Order(p.seed, uint64(epoch), n)
	}
	return p.order[place%n]
}

func (p *prompts) outside(i int) bool {
	r := p.Rates[i]
	return r.Seen > 0 && (r.Pass < p.band.Low || r.Pass > p.band.High)
}

// saw keeps the share of correct rollouts of a group.
func (p *prompts) saw(i int, pass float64) {
	r := &p.Rates[i]
	if r.Seen++; r.Seen == 1 {
		r.Pass = pass
	} else {
		r.Pass += rateShare * (pass - r.Pass)
	}
}
