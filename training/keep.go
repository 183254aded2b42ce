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

// removeStored removes checkpoints that are too many: the newest stay, the best one, those that are loaded, and the base.
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
	}
	return nil
}

// tooMany are the policies whose checkpoints have to go.
func (p *Policies) tooMany(all []feedback.Policy) (old []feedback.Policy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := bestOf(all)
	stored := 0
	for i := len(all) - 1; i > 0; i-- {
		policy := all[i]
		if policy.Path == "" || policy.Version == best || policy.Version == p.serving || slices.Contains(p.loaded, policy.Version) {
			continue
		}
		if stored++; stored > p.config.KeepStored {
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
