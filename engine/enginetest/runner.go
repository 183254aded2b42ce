// Package enginetest has a deterministic fake Runner and what tests above the engine need to start an Engine on it.
//
// The fake keeps a pool of pages as a device would and computes every token from what it reads back through the page
// table. It finds out when the Scheduler gives it a wrong page: each position remembers the token, the position and the
// version it was written with, and a hash of everything before it.
package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"astro/engine"
	"astro/model"
	"astro/sampler"
)

// slot is one token position in the pool.
type slot struct {
	written  bool
	version  int64
	position int
	token    int32
	hash     hash // of the context that ends here
}

// Runner is the fake. Its exported fields may be set before the first step.
type Runner struct {
	// OnRun is called before each step with its number, from 0. It may sleep, panic, or return an error, which fails the step;
	// an error that wraps engine.ErrPoolsLost empties the pool.
	OnRun func(step int, plan *engine.Plan) error
	// OnRow may fail one row alone. For a row that goes ahead it is called before each draw, with what a Plan of one token would have.
	OnRow func(row *engine.Row) error
	// Reply may choose the token itself: -1 = draw it as usual. Log-probabilities are those of the fake model all the same.
	Reply func(row *sampler.Row) int32

	vocab, pageTokens int
	pool              []slot // page p is pool[p*pageTokens : (p+1)*pageTokens]
	steps             int

	mu         sync.Mutex
	versions   map[int64]bool
	violations []error
}

// New returns a Runner with the pools that config describes and a first Policy, version 1.
func New(config engine.Config) *Runner {
	return &Runner{vocab: config.Vocab, pageTokens: config.PageTokens, pool: make([]slot, config.Pages*config.PageTokens),
		versions: map[int64]bool{1: true}}
}

// Violations lists what Plans asked for against their contract. Each failed its step; all are bugs of the engine.
func (r *Runner) Violations() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.violations)
}

// Versions lists the published versions, in order.
func (r *Runner) Versions() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []int64
	for v := range r.versions {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

// Prepare implements engine.Runner.
func (r *Runner) Prepare(*model.Policy) error { return nil }

// Publish implements engine.Runner; the Policy needs no weights.
func (r *Runner) Publish(p *model.Policy) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.versions[p.Version] {
		return fmt.Errorf("version %d is published already", p.Version)
	}
	r.versions[p.Version] = true
	return nil
}

// Retire implements engine.Runner.
func (r *Runner) Retire(version int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.versions[version] {
		r.violations = append(r.violations, fmt.Errorf("version %d was retired and is not published", version))
	}
	delete(r.versions, version)
}

// Run implements engine.Runner.
func (r *Runner) Run(plan *engine.Plan) (engine.Result, error) {
	step := r.steps
	r.steps++
	if r.OnRun != nil {
		if err := r.OnRun(step, plan); err != nil {
			r.spoil(plan, errors.Is(err, engine.ErrPoolsLost))
			return engine.Result{}, err
		}
	}
	result, err := r.run(plan)
	if err != nil {
		err = fmt.Errorf("enginetest: step %d: %w", step, err)
		r.mu.Lock()
		r.violations = append(r.violations, err)
		r.mu.Unlock()
	}
	return result, err
}

// spoil leaves nothing usable where a failed step would have written.
func (r *Runner) spoil(plan *engine.Plan, everything bool) {
	if everything {
		clear(r.pool)
	}
	for _, c := range plan.Copies {
		clear(r.page(c.To))
	}
	for i := range plan.Rows {
		row := &plan.Rows[i]
		for p := row.Start; p < row.Start+len(row.Tokens)+row.Ahead; p++ {
			*r.at(row, p) = slot{}
		}
	}
}

func (r *Runner) run(plan *engine.Plan) (engine.Result, error) {
	if err := r.checkPlan(plan); err != nil {
		return engine.Result{}, err
	}
	for _, c := range plan.Copies {
		copy(r.page(c.To), r.page(c.From))
	}
	var result engine.Result
	for i := range plan.Rows {
		row, err := r.rowAndAhead(&plan.Rows[i])
		if err != nil {
			return engine.Result{}, fmt.Errorf("row %d: %w", i, err)
		}
		result.Rows = append(result.Rows, row)
	}
	return result, nil
}

func (r *Runner) page(p int32) []slot {
	return r.pool[int(p)*r.pageTokens : (int(p)+1)*r.pageTokens]
}

func (r *Runner) at(row *engine.Row, position int) *slot {
	return &r.page(row.Pages[position/r.pageTokens])[position%r.pageTokens]
}

// rowAndAhead is row, and then row again for each token that is drawn ahead.
func (r *Runner) rowAndAhead(row *engine.Row) (engine.RowResult, error) {
	all, err := r.row(row)
	for next := *row; row.Sample != nil && err == nil && all.Err == nil && len(all.Choices) <= row.Ahead; {
		next = next.After(all.Choices[len(all.Choices)-1].Token)
		var one engine.RowResult
		one, err = r.row(&next)
		all.Choices, all.Err = append(all.Choices, one.Choices...), one.Err
	}
	return all, err
}

// row reads the context back, writes the new tokens and computes what the Row asks for.
func (r *Runner) row(row *engine.Row) (engine.RowResult, error) {
	context, h, err := r.read(row)
	if err != nil {
		return engine.RowResult{}, err
	}
	var result engine.RowResult
	for i, token := range row.Tokens {
		h = h.after(token)
		*r.at(row, row.Start+i) = slot{written: true, version: row.Version, position: row.Start + i, token: token, hash: h}
		if row.Score != nil {
			result.Scores = append(result.Scores, score(h, row.Score.Targets[i], r.vocab, row.Score.TopN))
		}
	}
	if row.Embed {
		result.Embedding = embed(row)
	}
	if r.OnRow != nil {
		result.Err = r.OnRow(row)
	}
	if row.Sample == nil || result.Err != nil {
		return result, nil
	}
	want := slices.Concat(row.Sample.Prompt, row.Sample.Output)
	if got := append(context, row.Tokens...); !slices.Equal(got, want) {
		return result, fmt.Errorf("the pages hold tokens %v; want %v", got, want)
	}
	result.Choices = []sampler.Choice{r.choose(row.Sample, h)}
	return result, nil
}

func (r *Runner) choose(row *sampler.Row, h hash) sampler.Choice {
	if r.Reply != nil {
		if token := r.Reply(row); token >= 0 {
			raw := h.logits(r.vocab)
			return choice(row, token, raw, raw)
		}
	}
	return draw(row, h, r.vocab)
}

// read returns the tokens before Start and the hash of that context, checking every position.
func (r *Runner) read(row *engine.Row) ([]int32, hash, error) {
	var context []int32
	h := begin(row.Version)
	for p := range row.Start {
		s := r.at(row, p)
		h = h.after(s.token)
		if want := (slot{true, row.Version, p, s.token, h}); *s != want {
			return nil, 0, fmt.Errorf("position %d in page %d holds %+v; want %+v", p, row.Pages[p/r.pageTokens], *s, want)
		}
		context = append(context, s.token)
	}
	return context, h, nil
}

// embed makes an Embedding of two numbers: the sum of the token ids, and how many they are.
func embed(row *engine.Row) *engine.Embedding {
	e := &engine.Embedding{Sum: []float32{0, 0}, Tokens: len(row.Tokens)}
	for _, token := range row.Tokens {
		e.Sum[0], e.Sum[1] = e.Sum[0]+float32(token), e.Sum[1]+1
	}
	e.Last = []float32{float32(row.Tokens[len(row.Tokens)-1]), 1}
	return e
}
