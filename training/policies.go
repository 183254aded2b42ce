package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gomlx/compute/dtypes"

	"astro/engine"
	"astro/feedback"
	"astro/internal/device"
	"astro/internal/fault"
	"astro/model"
	"astro/training/checkpoint"
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

// Start is what a server begins with.
type Start struct {
	Path    string // folder of the weights
	Version int64
	Notes   []string // what was passed over, and why
}

// Begin chooses what to serve: the version that was served last, or the newest one before it whose checkpoint is whole. base is the
// model's folder, which is version 1 of a new store.
func Begin(ctx context.Context, store *feedback.Store, base string) (Start, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return Start{}, err
	}
	all, serving, err := store.Policies(ctx)
	if err != nil {
		return Start{}, err
	}
	if len(all) == 0 {
		return Start{Path: base, Version: 1}, nil
	}
	if all[0].Path != base {
		return Start{}, fmt.Errorf("the store %s began with the model %s, not with %s: give it that model, or another --store", store.Path(), all[0].Path, base)
	}
	s := Start{}
	for i := len(all) - 1; i >= 0; i-- {
		p := all[i]
		if p.Version > serving || p.State != feedback.Published || p.Path == "" {
			continue
		}
		if p.Version == 1 {
			return Start{Path: base, Version: 1, Notes: s.Notes}, nil
		}
		sum, err := checkpoint.Verify(p.Path)
		if err == nil && string(sum) == string(p.ManifestSHA256) {
			return Start{Path: p.Path, Version: p.Version, Notes: s.Notes}, nil
		}
		if err == nil {
			err = errors.New("it is not the checkpoint that was published")
		}
		s.Notes = append(s.Notes, fmt.Sprintf("version %d is passed over: %v", p.Version, err))
	}
	return Start{Path: base, Version: 1, Notes: s.Notes}, nil
}

// OpenPolicies knows what the store knows. The engine must serve start. Checkpoints that the store does not know are of updates that
// never came to be; they are removed.
func OpenPolicies(ctx context.Context, c PoliciesConfig, start Start) (*Policies, error) {
	if c.KeepLoaded == 0 {
		c.KeepLoaded = 2
	}
	if c.KeepStored == 0 {
		c.KeepStored = 5
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Manual && c.KeepLoaded < minLoadedManual {
		return nil, fmt.Errorf("%d policy versions stay on the device: want at least %d where candidates wait, for the newest one and a canary", c.KeepLoaded, minLoadedManual)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of checkpoints: %w", err)
	}
	base, err := model.LoadConfig(c.Base)
	if err != nil {
		return nil, err
	}
	p := &Policies{config: c, serving: start.Version, newest: start.Version, turn: make(chan struct{}, 1), checkpointBytes: momentsOf * 4 * uint64(base.Params())}
	all, serving, err := c.Store.Policies(ctx)
	if err != nil {
		return nil, err
	}
	for _, known := range all {
		p.newest = max(p.newest, known.Version)
	}
	switch {
	case len(all) == 0:
		err = p.addBase(ctx)
	case serving != start.Version:
		err = c.Store.Serve(ctx, feedback.Turn{Version: start.Version, Replaced: serving, State: feedback.Bad, Reason: "its checkpoint is damaged"})
	}
	if err == nil && c.Manual {
		p.line, err = p.waitingLine(ctx, all)
	}
	if err != nil {
		return nil, fmt.Errorf("open the policies: %w", err)
	}
	for _, note := range start.Notes {
		c.Log.Warn("a policy cannot be served", "reason", note)
	}
	return p, p.removeOrphans(all)
}

// addBase makes the model that is served version 1.
func (p *Policies) addBase(ctx context.Context) error {
	base, err := filepath.Abs(p.config.Base)
	if err != nil {
		return err
	}
	return p.config.Store.AddPolicy(ctx, feedback.Policy{Version: 1, State: feedback.Published, Path: base, ManifestSHA256: []byte{}})
}

// removeOrphans removes folders of the checkpoint directory that no policy has, and those that were not written to their end. A folder
// whose store was moved is known by its name.
func (p *Policies) removeOrphans(all []feedback.Policy) error {
	known := map[string]bool{}
	for _, policy := range all {
		known[filepath.Base(policy.Path)] = true
	}
	dirs, err := os.ReadDir(p.config.Dir)
	if err != nil {
		return fmt.Errorf("look for orphans: %w", err)
	}
	for _, dir := range dirs {
		name := dir.Name()
		if half := strings.HasPrefix(name, checkpoint.HalfPrefix); !half && (!strings.HasPrefix(name, "v") || known[name]) {
			continue
		}
		p.config.Log.Info("a checkpoint that was never published is removed", "folder", filepath.Join(p.config.Dir, name))
		if err := os.RemoveAll(filepath.Join(p.config.Dir, name)); err != nil {
			return fmt.Errorf("remove an orphan: %w", err)
		}
	}
	return nil
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

// Candidate is a policy that was learned and is on the device, for those who name its version; it is not in the store yet.
type Candidate struct {
	Version, Parent int64
	changes         int64
}

// wants is the dtype that weights on a device should have for Propose: that which is served, or rounded there, where they need not be copied, else f32.
func (p *Policies) wants(from *device.Device) dtypes.DType {
	if from == p.config.Device {
		return p.config.DType
	}
	return dtypes.Float32
}

// Propose puts weights, which it owns from now on, onto the device that serves, under a new version. from is where they are. They are f32,
// or there as they are served already.
func (p *Policies) Propose(w *model.Weights, from *device.Device) (Candidate, error) {
	w, err := p.toServed(w, from)
	if err != nil {
		return Candidate{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Candidate{Version: p.newest + 1, Parent: p.tip(), changes: p.changes}
	if err := p.hold(c.Version, w); err != nil {
		return Candidate{}, fmt.Errorf("propose version %d: %w", c.Version, err)
	}
	p.newest = c.Version
	return c, nil
}

// toServed gives weights, which are gone then, as they are served, on the device that serves. The engine goes on meanwhile.
func (p *Policies) toServed(w *model.Weights, from *device.Device) (*model.Weights, error) {
	d, dtype := p.config.Device, p.config.DType
	switch {
	case from == d && p.config.Int8:
		return w.ToInt8(d)
	case from == d && dtype == w.DType():
		return w, nil
	}
	defer w.Free()
	if p.config.Int8 {
		return w.CopyInt8(d, dtype)
	}
	return w.Copy(d.Backend(), dtype)
}

// errOvertaken says that somebody promoted or rolled back while an update was made.
var errOvertaken = errors.New("another version was made the served one meanwhile")

// Publish makes a candidate the served policy, or with Manual one that waits to be promoted: its checkpoint is durable first, then the store's transaction makes it true together
// with what it was learned from, then the engine swaps. content must be the trainer's that proposed it. Nobody waits for the disk: a
// rollback meanwhile goes first, and Publish gives errOvertaken. After an error nothing of the checkpoint is left.
func (p *Policies) Publish(ctx context.Context, c Candidate, content checkpoint.Content, u feedback.Update, eval json.RawMessage) error {
	path, err := filepath.Abs(filepath.Join(p.config.Dir, fmt.Sprintf("v%09d", c.Version)))
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // from here on it goes to its end
	}
	err = checkpoint.SaveAt(path, content, p.config.Extra)
	var sum []byte
	if err == nil {
		sum, err = checkpoint.Verify(path)
	}
	if err == nil {
		fault.Point(fault.PublishBefore)
		u.Parent, u.Applied, u.Serve = c.Parent, true, !p.config.Manual
		u.Policy = &feedback.Policy{Version: c.Version, Parent: c.Parent, State: feedback.Published, Path: path, ManifestSHA256: sum, Eval: eval}
		if p.config.Manual {
			u.Policy.State = feedback.Candidate
		}
		err = p.commit(ctx, c, u)
	}
	switch {
	case errors.Is(err, feedback.ErrBroken):
		return err // it may be true after the restart; a folder that is not is removed then
	case err != nil:
		return errors.Join(err, os.RemoveAll(path))
	}
	if err := p.removeStored(ctx); err != nil && ctx.Err() == nil { // the policy is served all the same; the next one tries again
		p.config.Log.Warn("old checkpoints could not be removed", "error", err)
	}
	if p.config.Manual {
		p.tell(ctx, c.Version)
	}
	return nil
}

// commit is the moment at which a candidate becomes the served policy, or begins to wait. An error says that it did not.
func (p *Policies) commit(ctx context.Context, c Candidate, u feedback.Update) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.changes != p.changes {
		return errOvertaken
	}
	if _, err := p.config.Store.Commit(context.WithoutCancel(ctx), u); err != nil { // who stops waiting does not know what is true
		return err
	}
	fault.Point(fault.PublishAfter)
	become := p.use
	if p.config.Manual {
		become = p.wait
	}
	if err := become(c.Version); err != nil { // the engine is closing: what is stored is served after the restart
		p.config.Log.Error("a published policy could not be made current", "version", c.Version, "error", err)
	}
	fault.Point(fault.SwapAfter)
	return nil
}

// Reject forgets a candidate; the store keeps why, and that what it was learned from is used up.
func (p *Policies) Reject(ctx context.Context, c Candidate, u feedback.Update, reason string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loaded = without(p.loaded, c.Version)
	err := p.config.Engine.Drop(c.Version)
	u.Parent, u.Applied, u.Reason = c.Parent, false, reason
	_, failed := p.config.Store.Commit(ctx, u)
	return errors.Join(err, failed)
}
