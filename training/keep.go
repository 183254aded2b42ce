package training

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"astro/feedback"
)

// Evaluated is what a small evaluation of a policy gave, as the store keeps it.
type Evaluated struct {
	PassRate float64 `json:"pass_rate"`
	Error    float64 `json:"error"` // standard error of PassRate
	Samples  int     `json:"samples"`
}

// EvaluatedOf reads what the store keeps; ok is false where there was none.
func EvaluatedOf(p *feedback.Policy) (e Evaluated, ok bool) {
	return e, p.Eval != nil && json.Unmarshal(p.Eval, &e) == nil
}

// removeStored removes checkpoints that are too many: the newest stay, the best one, those that are loaded, and the base. A candidate
// without one waits no more.
func (p *Policies) removeStored(ctx context.Context) error {
	all, _, err := p.config.Store.Policies(ctx)
	if err != nil {
		return err
	}
	for _, policy := range p.tooMany(all) {
		if err := p.config.Store.ForgetPath(ctx, policy.Version); err != nil { // first: a path that is known is a promise
			return err
		}
		if err := os.RemoveAll(policy.Path); err != nil {
			return fmt.Errorf("remove an old checkpoint: %w", err)
		}
		p.mu.Lock()
		p.line = without(p.line, policy.Version)
		p.mu.Unlock()
	}
	return nil
}

// tooMany are the policies whose checkpoints have to go. Candidates are counted apart: they must not take the place of the way back.
func (p *Policies) tooMany(all []feedback.Policy) (old []feedback.Policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := bestOf(all)
	stored := map[bool]int{} // by whether it is a candidate
	for i := len(all) - 1; i > 0; i-- {
		policy := all[i]
		if policy.Path == "" || policy.Version == best || policy.Version == p.serving || policy.Version == p.tip() || slices.Contains(p.loaded, policy.Version) {
			continue
		}
		candidate := policy.State == feedback.Candidate
		if stored[candidate]++; stored[candidate] > p.config.KeepStored {
			old = append(old, policy)
		}
	}
	return old
}

// bestOf is the published version with the best evaluation; 0 = none has one.
func bestOf(all []feedback.Policy) (version int64) {
	best := Evaluated{PassRate: -1}
	for i := range all {
		if e, ok := EvaluatedOf(&all[i]); ok && all[i].State == feedback.Published && e.PassRate > best.PassRate {
			best, version = e, all[i].Version
		}
	}
	return version
}
