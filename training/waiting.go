package training

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"astro/feedback"
	"astro/training/checkpoint"
)

// minLoadedManual is how many versions must stay on the device besides the served one where candidates wait: the one that learning goes
// on from draws rollouts, and a canary may be another one.
const minLoadedManual = 2

// tip is the version that learning goes on from: the newest candidate that waits, or the served one. mu is held.
func (p *Policies) tip() int64 {
	if n := len(p.line); n > 0 {
		return p.line[n-1]
	}
	return p.serving
}

// Tip is the version that learning goes on from: the newest candidate that waits, or the served one.
func (p *Policies) Tip() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tip()
}

// Candidates are the versions that wait to be promoted, oldest first.
func (p *Policies) Candidates() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.line)
}

// Manual says whether candidates wait until somebody promotes them.
func (p *Policies) Manual() bool { return p.config.Manual }

// onward is the policy that learning goes on from, which is on the device then, for rollouts and evaluations.
func (p *Policies) onward(ctx context.Context) (feedback.Policy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, err := p.find(ctx, p.tip())
	if err == nil {
		err = p.load(ctx, known.Version)
	}
	if err == nil {
		err = p.dropOld()
	}
	return known, err
}

// wait has a candidate that is on the device and in the store wait to be promoted; mu is held.
func (p *Policies) wait(version int64) error {
	p.line = append(p.line, version)
	return p.dropOld()
}

// tell notes that a candidate waits.
func (p *Policies) tell(ctx context.Context, version int64) {
	p.config.Log.Info("a candidate waits to be promoted", "version", version)
	event := feedback.Event{Subject: fmt.Sprintf("policy:%d", version), Level: "info", Message: "it passed its checks and waits to be promoted"}
	if err := p.config.Store.Log(ctx, event); err != nil && ctx.Err() == nil {
		p.config.Log.Warn("the store has not taken an event", "subject", event.Subject, "error", err)
	}
}

// waitingLine finds the candidates that waited when the store was closed. Newest ones whose checkpoints are damaged are passed
// over: learning cannot go on from them. Where the line does not begin at the served version, nobody waits for it any more.
func (p *Policies) waitingLine(ctx context.Context, all []feedback.Policy) ([]int64, error) {
	version, err := p.config.Store.Training(ctx)
	if err != nil {
		return nil, err
	}
	known := map[int64]*feedback.Policy{}
	for i := range all {
		known[all[i].Version] = &all[i]
	}
	var line []int64
	for version > p.serving {
		policy := known[version]
		if policy == nil || policy.State != feedback.Candidate {
			return nil, nil
		}
		if policy.Path != "" && (len(line) > 0 || p.whole(policy)) {
			line = append(line, version)
		}
		version = policy.Parent
	}
	if version != p.serving {
		return nil, nil
	}
	slices.Reverse(line)
	return line, nil
}

// whole says whether a candidate's checkpoint is.
func (p *Policies) whole(policy *feedback.Policy) bool {
	sum, err := checkpoint.Verify(policy.Path)
	if err == nil && string(sum) != string(policy.ManifestSHA256) {
		err = errors.New("it is not the checkpoint that was stored")
	}
	if err != nil {
		p.config.Log.Warn("a candidate is passed over", "version", policy.Version, "reason", err)
	}
	return err == nil
}

// errAhead says that learning waits for somebody to promote.
var errAhead = errors.New("learning waits for a promotion")

// tooFar is errAhead where rated completions are all there is to learn from, and those of the served version could only be dropped: they
// wait for a promotion, which brings fresh ones, or for a rollback, after which they are fresh themselves.
func (l *Loop) tooFar() error {
	if len(l.config.Problems) > 0 {
		return nil
	}
	tip, serving := l.policies.ahead()
	if tip-serving <= l.config.Served.MaxStaleness {
		return nil
	}
	return fmt.Errorf("%w: version %d waits, and rated completions of version %d, which is served, may be %d versions behind; promote version %d, or roll back to version %d to give up what waits",
		errAhead, tip, serving, l.config.Served.MaxStaleness, tip, serving)
}

func (p *Policies) ahead() (tip, serving int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tip(), p.serving
}

// ahead tells that learning waits for a promotion, once for each time that it does.
func (l *Loop) ahead(err error) {
	if l.status.hinder(err.Error()) {
		l.log.Info("learning waits; serving goes on", "reason", err)
	}
}
