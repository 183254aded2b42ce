package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"astro/feedback"
	"astro/training/tree"
)

// treeKeeper puts search trees into a store, under the ids of their problems. Two searches may have the same ids: problems without one
// are called by their lines. Of two different trees the later one is kept as ID#1a2b3c4d, by its content, so that it is stored once.
type treeKeeper struct {
	store *feedback.Store
	kept  int // trees that are in the store
}

// keep stores a tree.
func (k *treeKeeper) keep(ctx context.Context, t *tree.Tree) error {
	line, err := tree.Encode(t)
	if err != nil {
		return err
	}
	one := feedback.Tree{ID: t.ID, Version: t.Version, Tree: bytes.TrimSuffix(line, []byte("\n"))}
	if err = k.store.PutTree(ctx, one); errors.Is(err, feedback.ErrConflict) {
		sum := sha256.Sum256(one.Tree)
		one.ID = fmt.Sprintf("%s#%x", t.ID, sum[:4])
		err = k.store.PutTree(ctx, one)
	}
	if err != nil {
		return fmt.Errorf("store a tree in %s: %w", k.store.Path(), err)
	}
	k.kept++
	return nil
}

// loadTrees puts the trees of a file into the store, for the page.
func (l *learning) loadTrees(ctx context.Context) error {
	if l.flags.trees == "" {
		return nil
	}
	k := treeKeeper{store: l.store}
	for t, err := range tree.Read(l.flags.trees) {
		if err == nil {
			err = k.keep(ctx, t)
		}
		if err != nil {
			return fmt.Errorf("--trees: %w", err)
		}
	}
	return nil
}
