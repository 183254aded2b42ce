package recipe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"astro/training/search"
	"astro/training/tree"
)

// Search fills a file of trees, docs/formats/tree.md. A run that was stopped goes on where it was: trees that are in the file are not
// searched again.
type Search struct {
	Config   search.Config
	Settings string // what else decides about the trees: the domain, the model
	Out      string // file of the trees
	Problems []search.Problem
	Parallel int // trees that grow at a time

	// Keep, which may be nil, gets every tree of the file, those of an earlier run too. Its error ends the run.
	Keep func(*tree.Tree) error

	// Policy is made once, or in LockStep before each block of Parallel problems; see search.Blocks.
	Policy   func() search.Policy
	LockStep bool
}

// SearchSummary is where a Search stands.
type SearchSummary struct {
	Problems int // asked for
	Resumed  int // trees that were in the file
	Grown    int // trees of this run
	Solved   int // of both, those with a correct terminal
	Right    int // correct terminals
	Wrong    int // terminals that state a wrong answer
	Tokens   int // drawn for all trees
	CutBytes int64

	GrownTokens int // of Tokens, those of this run
	Failed      map[string]int
	FirstError  error // of the first failure
	Elapsed     time.Duration
}

// Rate is the tokens per second that this run drew.
func (s SearchSummary) Rate() float64 {
	return float64(s.GrownTokens) / max(s.Elapsed.Seconds(), 1e-3)
}

// Trees is how many there are.
func (s SearchSummary) Trees() int { return s.Resumed + s.Grown }

// Failures is how many problems have no tree.
func (s SearchSummary) Failures() (n int) {
	for _, k := range s.Failed {
		n += k
	}
	return n
}

// Run searches what is missing. progress, which may be nil, is called after each problem. When it ends with an error the file holds
// every tree that was finished; problems that failed are counted and are no error: to run again tries them again.
func (s Search) Run(ctx context.Context, progress func(SearchSummary)) (SearchSummary, error) {
	r := &searchRun{Search: s, summary: SearchSummary{Problems: len(s.Problems), Failed: map[string]int{}}, begin: time.Now(), progress: progress}
	if s.LockStep {
		r.Settings += fmt.Sprintf(", lock step of %d", s.Parallel)
	}
	r.Settings = r.Config.String() + ", " + r.Settings
	ids, known := make([]string, len(s.Problems)), map[string]bool{}
	for i, p := range s.Problems {
		if ids[i] = p.ID; p.ID == "" || known[p.ID] {
			return r.summary, fmt.Errorf("problem %d has the id %q, which is empty or there twice", i+1, p.ID)
		}
		known[p.ID] = true
	}
	var err error
	if r.file, r.summary.CutBytes, err = tree.Open(s.Out, r.resume); err != nil {
		return r.summary, err
	}
	defer r.file.Close() // what was appended is there already
	r.report()
	if err := r.grow(ctx); err != nil {
		return r.summary, fmt.Errorf("search stopped after %d of %d trees: %w", r.summary.Trees(), len(ids), err)
	}
	return r.summary, r.file.Finish(ids)
}

// searchRun is a Search under way.
type searchRun struct {
	Search
	file     *tree.File
	summary  SearchSummary
	begin    time.Time
	progress func(SearchSummary)
}

// resume counts a tree that is in the file, if it is one of this search.
func (r *searchRun) resume(t *tree.Tree) error {
	if t.Settings != r.Settings || t.Seed != r.Config.Seed {
		return fmt.Errorf("the tree %q is of another search (%s, seed %d); this one is (%s, seed %d): choose another file, or the same settings",
			t.ID, t.Settings, t.Seed, r.Settings, r.Config.Seed)
	}
	r.summary.Resumed++
	r.count(t)
	return r.keep(t)
}

// keep gives a tree of the file to whoever keeps them elsewhere, too.
func (r *searchRun) keep(t *tree.Tree) error {
	if r.Keep == nil {
		return nil
	}
	if err := r.Keep(t); err != nil {
		return fmt.Errorf("keep the tree %q: %w", t.ID, err)
	}
	return nil
}

func (r *searchRun) count(t *tree.Tree) {
	s := &r.summary
	s.Tokens += t.Tokens
	s.Solved += btoi(t.Solved())
	for i := range t.Nodes {
		n := &t.Nodes[i]
		s.Right += btoi(n.Correct)
		s.Wrong += btoi(n.Terminal && !n.Correct && n.Answer != "")
	}
}

func (r *searchRun) report() {
	if r.summary.Elapsed = time.Since(r.begin); r.progress != nil {
		r.progress(r.summary)
	}
}

// grow searches the problems that have no tree. In lock step that is whole blocks, for what a tree is may depend, in its last bits, on
// what grew beside it.
func (r *searchRun) grow(ctx context.Context) error {
	unit := 1
	if r.LockStep {
		unit = max(1, r.Parallel)
	}
	var missing []search.Problem
	for first := 0; first < len(r.Problems); first += unit {
		block := r.Problems[first:min(first+unit, len(r.Problems))]
		for _, p := range block {
			if !r.file.Has(p.ID) {
				missing = append(missing, block...)
				break
			}
		}
	}
	take := func(o search.Outcome) error { return r.take(missing[o.Index].ID, o) }
	if r.LockStep {
		return search.Blocks(ctx, r.Config, r.Settings, r.Policy, missing, r.Parallel, take)
	}
	return search.Run(ctx, r.Config, r.Settings, r.Policy(), missing, r.Parallel, take)
}

// take keeps an outcome.
func (r *searchRun) take(id string, o search.Outcome) error {
	defer r.report()
	if r.file.Has(id) {
		return nil // it was searched again for the sake of its block
	}
	if o.Failure == nil {
		if _, err := tree.Encode(o.Tree); err != nil {
			o.Failure = &search.Failure{Reason: search.FailedTree, Err: err}
		}
	}
	if o.Failure != nil {
		r.summary.Failed[o.Failure.Reason]++
		if r.summary.FirstError == nil {
			r.summary.FirstError = fmt.Errorf("problem %s: %w", id, o.Failure)
		}
		return nil
	}
	if err := r.file.Append(o.Tree); err != nil {
		return errors.Join(errors.New("cannot keep a tree"), err)
	}
	r.summary.Grown++
	r.summary.GrownTokens += o.Tree.Tokens
	r.count(o.Tree)
	return r.keep(o.Tree)
}
