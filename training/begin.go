package training

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"astro/feedback"
	"astro/model"
	"astro/training/checkpoint"
)

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
