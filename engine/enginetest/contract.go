package enginetest

import (
	"fmt"

	"astro/engine"
)

// checkPlan says where a Plan breaks its contract, whatever is in the pages.
func (r *Runner) checkPlan(plan *engine.Plan) error {
	if len(plan.Rows) == 0 {
		return fmt.Errorf("a plan without rows")
	}
	if err := r.checkCopies(plan.Copies); err != nil {
		return err
	}
	readers := map[int32]int{} // page -> rows that have it in their table
	for i := range plan.Rows {
		if err := r.checkRow(&plan.Rows[i]); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
		for _, p := range plan.Rows[i].Pages {
			readers[p]++
		}
	}
	for i := range plan.Rows {
		row := &plan.Rows[i]
		for _, p := range row.Pages[row.Start/r.pageTokens : (row.Start+len(row.Tokens)+row.Ahead-1)/r.pageTokens+1] {
			if readers[p] > 1 {
				return fmt.Errorf("row %d writes page %d, which %d rows use", i, p, readers[p])
			}
		}
	}
	return nil
}

// checkCopies wants copies that mean the same one by one and all at once: no page is written twice or read after it is written.
func (r *Runner) checkCopies(copies []engine.PageCopy) error {
	written := map[int32]bool{}
	for _, c := range copies {
		if !r.hasPage(c.From) || !r.hasPage(c.To) || written[c.From] || written[c.To] {
			return fmt.Errorf("copies %v: %v is out of range or depends on an earlier one", copies, c)
		}
		written[c.To] = true
	}
	return nil
}

func (r *Runner) hasPage(p int32) bool { return p >= 0 && int(p) < len(r.pool)/r.pageTokens }

func (r *Runner) checkRow(row *engine.Row) error {
	r.mu.Lock()
	published := r.versions[row.Version]
	r.mu.Unlock()
	switch {
	case !published:
		return fmt.Errorf("version %d is not published", row.Version)
	case len(row.Tokens) == 0 || row.Start < 0:
		return fmt.Errorf("%d tokens from position %d", len(row.Tokens), row.Start)
	case row.Ahead < 0 || row.Ahead > 0 && (len(row.Tokens) != 1 || row.Sample == nil || !row.Sample.Plain() || row.Score != nil || row.Embed):
		return fmt.Errorf("%d tokens ahead of a row that is no plain decode", row.Ahead)
	case len(row.Pages)*r.pageTokens < row.Start+len(row.Tokens)+row.Ahead:
		return fmt.Errorf("%d pages for %d positions", len(row.Pages), row.Start+len(row.Tokens)+row.Ahead)
	case row.Score != nil && len(row.Score.Targets) != len(row.Tokens):
		return fmt.Errorf("%d targets for %d tokens", len(row.Score.Targets), len(row.Tokens))
	}
	seen := map[int32]bool{}
	for _, p := range row.Pages {
		if !r.hasPage(p) || seen[p] {
			return fmt.Errorf("page table %v: %d is out of range or there twice", row.Pages, p)
		}
		seen[p] = true
	}
	for _, token := range row.Tokens {
		if token < 0 || int(token) >= r.vocab {
			return fmt.Errorf("token %d of a vocabulary of %d", token, r.vocab)
		}
	}
	return nil
}
