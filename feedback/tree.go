package feedback

import (
	"context"
	"database/sql"
	"time"
)

// Tree is a search tree as its owner writes it.
type Tree struct {
	ID      string
	Version int64 // of the policy that searched
	Tree    []byte
	Created time.Time
}

// PutTree stores a tree; one that is there stays.
func (s *Store) PutTree(ctx context.Context, t Tree) error {
	now := s.options.Now().UnixMilli()
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO trees(id, version, tree, created_ms) VALUES(?,?,?,?) ON CONFLICT DO NOTHING", t.ID, t.Version, string(t.Tree), now)
		return err
	})
}

// Trees lists the newest, at most limit.
func (s *Store) Trees(ctx context.Context, limit int) (all []Tree, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, readTree, "SELECT id, version, tree, created_ms FROM trees ORDER BY created_ms DESC, id LIMIT ?", limit)
		return err
	})
	return all, err
}

// Tree finds one. ErrUnknown.
func (s *Store) Tree(ctx context.Context, id string) (t Tree, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		t, err = readTree(tx.QueryRow("SELECT id, version, tree, created_ms FROM trees WHERE id = ?", id))
		return err
	})
	if none(err) {
		err = ErrUnknown
	}
	return t, err
}

func readTree(r scanner) (Tree, error) {
	var t Tree
	var text string
	var created int64
	err := r.Scan(&t.ID, &t.Version, &text, &created)
	t.Tree, t.Created = []byte(text), time.UnixMilli(created)
	return t, err
}

// Prompt is something to learn from: token ids, what a grader needs to judge an answer, and its name.
type Prompt struct {
	ID, Tenant, Dataset string
	Tokens              []int32
	Item, Grader        string // JSON
}

// PutPrompts stores prompts, all or none; those that are there stay.
func (s *Store) PutPrompts(ctx context.Context, prompts []Prompt) error {
	now := s.options.Now().UnixMilli()
	return s.change(ctx, func(tx *sql.Tx) error {
		for _, p := range prompts {
			if _, err := tx.Exec("INSERT INTO prompts(id, tenant, dataset, prompt_ids, item, grader, created_ms) VALUES(?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
				p.ID, p.Tenant, p.Dataset, packIDs(p.Tokens), p.Item, p.Grader, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// Prompts lists those of a data set in a fixed order.
func (s *Store) Prompts(ctx context.Context, dataset string) (all []Prompt, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, func(r scanner) (Prompt, error) {
			var p Prompt
			var ids []byte
			err := r.Scan(&p.ID, &p.Tenant, &p.Dataset, &ids, &p.Item, &p.Grader)
			p.Tokens = unpackIDs(ids)
			return p, err
		}, "SELECT id, tenant, dataset, prompt_ids, item, grader FROM prompts WHERE dataset = ? ORDER BY id", dataset)
		return err
	})
	return all, err
}
