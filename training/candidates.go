package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"astro/feedback"
	"astro/internal/device"
	"astro/internal/fault"
	"astro/model"
	"astro/training/checkpoint"

	"github.com/gomlx/compute/dtypes"
)

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
