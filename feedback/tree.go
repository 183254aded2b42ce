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
	fields := []any{t.ID, t.Version, string(t.Tree), s.options.Now().UnixMilli()}
	fields = append(fields, sumRow(fields...))
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO trees(id, version, tree, created_ms, crc) VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING", fields...)
		return err
	})
}

const treesQuery = "SELECT id, version, tree, created_ms, crc FROM trees ORDER BY created_ms DESC, id LIMIT ?"

// Trees lists the newest, at most limit.
func (s *Store) Trees(ctx context.Context, limit int) (all []Tree, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, readTree, treesQuery, limit)
		return err
	})
	return all, err
}

// Tree finds one. ErrUnknown.
func (s *Store) Tree(ctx context.Context, id string) (t Tree, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		t, err = readTree(tx.QueryRow("SELECT id, version, tree, created_ms, crc FROM trees WHERE id = ?", id))
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
	var created, crc int64
	if err := r.Scan(&t.ID, &t.Version, &text, &created, &crc); err != nil {
		return t, err
	}
	t.Tree, t.Created = []byte(text), time.UnixMilli(created)
	return t, checkRow("tree "+t.ID, crc, t.ID, t.Version, text, created)
}

// Prompt is something to learn from: token ids, what a grader needs to judge an answer, and its name.
type Prompt struct {
	ID, Tenant, Dataset string
	Tokens              []int32
	Item, Grader        string // JSON
}

// PutPrompts stores prompts, all or none; those that are there stay.
func (s *Store) PutPrompts(ctx context.Context, prompts []Prompt) error {
	now, rows := s.options.Now().UnixMilli(), make([][]any, len(prompts))
	for i, p := range prompts {
		fields := []any{p.ID, p.Tenant, p.Dataset, packIDs(p.Tokens), p.Item, p.Grader, now}
		rows[i] = append(fields, sumRow(fields...))
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		for _, row := range rows {
			if _, err := tx.Exec("INSERT INTO prompts(id, tenant, dataset, prompt_ids, item, grader, created_ms, crc) VALUES(?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
				row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Prompts lists those of a data set in a fixed order.
func (s *Store) Prompts(ctx context.Context, dataset string) (all []Prompt, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		all, err = collect(tx, readPrompt, "SELECT "+promptColumns+" FROM prompts WHERE dataset = ? ORDER BY id", dataset)
		return err
	})
	return all, err
}

const promptColumns = "id, tenant, dataset, prompt_ids, item, grader, created_ms, crc"

func readPrompt(r scanner) (Prompt, error) {
	var p Prompt
	var ids []byte
	var created, crc int64
	if err := r.Scan(&p.ID, &p.Tenant, &p.Dataset, &ids, &p.Item, &p.Grader, &created, &crc); err != nil {
		return p, err
	}
	p.Tokens = unpackIDs(ids)
	return p, checkRow("prompt "+p.ID, crc, p.ID, p.Tenant, p.Dataset, orNone(ids), p.Item, p.Grader, created)
}
