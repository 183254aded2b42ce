package feedback

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Tree is a search tree as its owner writes it.
type Tree struct {
	ID      string
	Version int64  // of the policy that searched
	Tree    []byte // JSON
	Created time.Time
}

// Bounds of a Tree; a line of an export holds one.
const (
	maxTreeIDBytes = 4 << 10
	maxTreeBytes   = maxLineBytes - lineStartBytes
)

// check says what is wrong with a tree that somebody wants to store.
func (t *Tree) check() error {
	switch {
	case t.ID == "" || len(t.ID) > maxTreeIDBytes:
		return fmt.Errorf("tree %.64q: its id has %d bytes; want 1 to %d", t.ID, len(t.ID), maxTreeIDBytes)
	case len(t.Tree) > maxTreeBytes:
		return fmt.Errorf("tree %.64q has %d bytes; want at most %d", t.ID, len(t.Tree), maxTreeBytes)
	case !json.Valid(t.Tree):
		return fmt.Errorf("tree %.64q is no JSON", t.ID)
	}
	return nil
}

// PutTree stores a tree. The same again changes nothing; another one of that id is ErrConflict, and what is there stays.
func (s *Store) PutTree(ctx context.Context, t Tree) error {
	if err := t.check(); err != nil {
		return err
	}
	text, now := string(t.Tree), s.options.Now()
	return s.change(ctx, func(tx *sql.Tx) error {
		was, err := readTree(tx.QueryRow(oneTree, t.ID))
		switch {
		case none(err):
			return insertTree(tx, t.ID, t.Version, text, now)
		case err == nil && (was.Version != t.Version || string(was.Tree) != text):
			return fmt.Errorf("%w: another tree has the id %.64q", ErrConflict, t.ID)
		}
		return err
	})
}

func insertTree(tx *sql.Tx, id string, version int64, text string, created time.Time) error {
	fields := []any{id, version, text, created.UnixMilli()}
	_, err := tx.Exec("INSERT INTO trees(id, version, tree, created_ms, crc) VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING", append(fields, sumRow(fields...))...)
	return err
}

const oneTree = "SELECT id, version, tree, created_ms, crc FROM trees WHERE id = ?"

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
		t, err = readTree(tx.QueryRow(oneTree, id))
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
