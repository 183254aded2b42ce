package training

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"astro/engine"
	"astro/feedback"
	"astro/internal/device"
	"astro/model"
	"astro/training/checkpoint"

	"github.com/gomlx/compute/dtypes"
)

// What changes of policies may answer.
var (
	ErrNoPolicy    = errors.New("there is no such policy version")
	ErrPolicyState = errors.New("the policy's state does not allow it")
)

// PoliciesConfig is what Policies needs. All fields without a default are required.
type PoliciesConfig struct {
	Engine *engine.Engine
	Store  *feedback.Store
	Device *device.Device // that serves
	DType  dtypes.DType   // of the weights that are served
	Int8   bool           // they are of 8 bits
	Dir    string         // of checkpoints, a folder for each version
	Base   string         // folder of the model that everything started from: version 1

	Extra      func(dir string) error // adds files, such as a tokenizer, to each checkpoint; nil = none
	OnHost     bool                   // weights are loaded into the host's memory, from where the engine puts its parts on several devices
	KeepLoaded int                    // versions on the device besides the served one, for requests that name them and the way back; 0 = 2
	KeepStored int                    // checkpoints on disk besides the best one, and as many of candidates; 0 = 5
	Manual     bool                   // a candidate that passed its checks waits until somebody promotes it
	Log        *slog.Logger           // nil = slog.Default()
}

// Policies are the versions of the weights: which there are, which one is served, which share of requests a canary gets.
type Policies struct {
	config PoliciesConfig

	mu      sync.Mutex // one change at a time
	changes int64      // promotions and rollbacks that took what learning went on from away
	loaded  []int64    // besides the served one, those that were served last at the end
	serving int64
	newest  int64 // version that was ever given out

	// line has the candidates that wait, with Manual: each was learned from the one before, the first from the served version.
	line []int64

	canary   atomic.Pointer[canary]
	requests atomic.Int64

	turn chan struct{} // holds one token while somebody learns: there is memory for one trainer

	checkpointBytes uint64 // about
}

// canary is a version that gets a share of the requests that name none.
type canary struct {
	version int64
	percent int
}

// learn waits for the turn to learn; done gives it back.
func (p *Policies) learn(ctx context.Context) (done func(), err error) {
	select {
	case p.turn <- struct{}{}:
		return func() { <-p.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Serving is the version that requests get.
func (p *Policies) Serving() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.serving
}

// Assign gives the version of a request that names none; 0 = the served one. Of each hundred requests a canary gets exactly its percent.
func (p *Policies) Assign() int64 {
	c := p.canary.Load()
	if c == nil {
		return 0
	}
	n := p.requests.Add(1)
	if n*int64(c.percent)/100 != (n-1)*int64(c.percent)/100 {
		return c.version
	}
	return 0
}

// Canary gives a version a share of requests; percent 0 ends it.
func (p *Policies) Canary(ctx context.Context, version int64, percent int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if percent < 0 || percent > 100 {
		return fmt.Errorf("%w: a canary of %d percent; want 0 to 100", ErrPolicyState, percent)
	}
	if percent == 0 {
		p.canary.Store(nil)
		return nil
	}
	if err := p.load(ctx, version); err != nil {
		return err
	}
	p.canary.Store(&canary{version, percent})
	return nil
}

// Promote serves a version. Candidates that were learned from it go on waiting.
func (p *Policies) Promote(ctx context.Context, version int64) error {
	return p.change(ctx, version, feedback.Published, "")
}

// Rollback serves a version in place of the present one, which is marked bad and not served again by itself, as are all candidates that
// wait. The served version itself stays; then it is they alone that are given up.
func (p *Policies) Rollback(ctx context.Context, version int64, reason string) error {
	return p.change(ctx, version, feedback.Bad, reason)
}

// change serves a version: it is on the device before the store says so, and the store says so before requests get it.
func (p *Policies) change(ctx context.Context, version int64, replaced feedback.PolicyState, reason string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	back := replaced == feedback.Bad
	if version == p.serving && !(back && len(p.line) > 0) {
		return fmt.Errorf("%w: version %d is served already", ErrPolicyState, version)
	}
	if err := p.load(ctx, version); err != nil {
		return err
	}
	t := feedback.Turn{Version: version, Replaced: p.serving, State: replaced, Reason: reason}
	at, left := slices.Index(p.line, version), []int64(nil)
	if back {
		t.Bad = without(slices.Clone(p.line), version)
	} else if at >= 0 && at < len(p.line)-1 {
		left = slices.Clone(p.line[at+1:])
		t.Training = left[len(left)-1]
	}
	if err := p.config.Store.Serve(context.WithoutCancel(ctx), t); err != nil {
		return err
	}
	if p.line = left; back || at < 0 {
		p.changes++
	}
	return p.follow(t)
}

// follow brings the engine to what the store says.
func (p *Policies) follow(t feedback.Turn) error {
	if c := p.canary.Load(); c != nil && slices.Contains(t.Bad, c.version) {
		p.canary.Store(nil)
	}
	if t.Version == p.serving {
		return p.dropOld()
	}
	return p.use(t.Version)
}

// use makes a loaded version current in the engine; the one before stays loaded.
func (p *Policies) use(version int64) error {
	if err := p.config.Engine.Hold(p.serving); err != nil {
		return err
	}
	if err := p.config.Engine.Use(version); err != nil {
		return err
	}
	p.loaded = append(without(without(p.loaded, version), p.serving), p.serving)
	p.serving = version
	if c := p.canary.Load(); c != nil && c.version == version {
		p.canary.Store(nil)
	}
	return p.dropOld()
}

// dropOld lets go of versions that are too many; a canary stays, and what learning goes on from.
func (p *Policies) dropOld() error {
	c := p.canary.Load()
	for _, old := range slices.Clone(p.loaded) {
		if len(p.loaded) <= p.config.KeepLoaded || c != nil && c.version == old || old == p.tip() {
			continue
		}
		p.loaded = without(p.loaded, old)
		if err := p.config.Engine.Drop(old); err != nil {
			return err
		}
	}
	return nil
}

// without removes a version from a list, in place.
func without(list []int64, v int64) []int64 {
	return slices.DeleteFunc(list, func(x int64) bool { return x == v })
}

// load brings a version onto the device if it is not there.
func (p *Policies) load(ctx context.Context, version int64) error {
	if version == p.serving || slices.Contains(p.loaded, version) {
		return nil
	}
	known, err := p.find(ctx, version)
	if err != nil {
		return err
	}
	if known.Path == "" {
		return fmt.Errorf("%w: the checkpoint of version %d was removed to save room", ErrPolicyState, version)
	}
	if known.State == feedback.Rejected {
		return fmt.Errorf("%w: version %d did not pass its checks: %s", ErrPolicyState, version, known.Reason)
	}
	if version != 1 {
		if _, err := checkpoint.Verify(known.Path); err != nil {
			return fmt.Errorf("%w: %w", ErrPolicyState, err)
		}
	}
	backend := p.config.Device.Backend()
	if p.config.OnHost {
		backend = nil
	}
	var w *model.Weights
	if p.config.Int8 {
		w, err = model.LoadInt8(known.Path, p.config.Device, p.config.DType, nil)
	} else {
		w, err = model.Load(known.Path, backend, p.config.DType, nil)
	}
	if err != nil {
		return err
	}
	return p.hold(version, w)
}

// hold gives the engine weights, which it owns from now on.
func (p *Policies) hold(version int64, w *model.Weights) error {
	policy := model.NewPolicy(version, w)
	defer policy.Release()
	if err := p.config.Engine.Load(policy); err != nil {
		return err
	}
	p.loaded = append(p.loaded, version)
	return nil
}

func (p *Policies) find(ctx context.Context, version int64) (feedback.Policy, error) {
	all, _, err := p.config.Store.Policies(ctx)
	if err != nil {
		return feedback.Policy{}, err
	}
	for _, known := range all {
		if known.Version == version {
			return known, nil
		}
	}
	return feedback.Policy{}, fmt.Errorf("%w: %d", ErrNoPolicy, version)
}

// Known is a policy and where it is.
type Known struct {
	feedback.Policy
	Serving, Loaded bool
	Waiting         bool // to be promoted
}

// List gives all versions, oldest first, the served one, and the canary's version and percent; 0 = none.
func (p *Policies) List(ctx context.Context) (all []Known, serving, canaryVersion int64, percent int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stored, _, err := p.config.Store.Policies(ctx)
	if err != nil {
		return nil, 0, 0, 0, err
	}
	for _, one := range stored {
		all = append(all, Known{one, one.Version == p.serving, one.Version == p.serving || slices.Contains(p.loaded, one.Version), slices.Contains(p.line, one.Version)})
	}
	if c := p.canary.Load(); c != nil {
		canaryVersion, percent = c.version, c.percent
	}
	return all, p.serving, canaryVersion, percent, nil
}
