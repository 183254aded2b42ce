package linearize

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"astro/training/random"
	"astro/training/tree"
)

// Domain is what a problem domain adds to the Algorithm.
type Domain struct {
	Write   Writer
	Quality Filter // which correct terminals are good enough (C'): unanimous self-evaluations, or a verifier; nil = all
	Wrong   Filter // which incorrect terminals may be shown; nil = all that state an answer
}

// Writer says a Plan in the language of a domain. An error leaves the trace out and is counted; a *Failure says under which reason.
type Writer func(ctx context.Context, o *Options, t *tree.Tree, p *Plan) (Trace, error)

// Failure is why a trace could not be written.
type Failure struct {
	Reason Reason
	Err    error
}

// Error says what went wrong.
func (f *Failure) Error() string { return string(f.Reason) + ": " + f.Err.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Arms are the traces of one Tree: the same number in both, index by index.
type Arms struct{ Search, Direct []Trace }

// maxDraws bounds how often a trace is drawn again that was there already.
const maxDraws = 16

// Linearize makes the traces of a Tree, of all epochs. What is left out is counted in the Report; an error means that ctx has ended,
// or that Options or Domain make no sense.
func (o Options) Linearize(ctx context.Context, d Domain, t *tree.Tree) (Arms, Report, error) {
	if err := o.Validate(); err != nil {
		return Arms{}, Report{}, err
	}
	r := Report{Trees: 1}
	if err := t.Validate(); err != nil {
		return Arms{}, *r.skip(InvalidTree, err), nil
	}
	c, correct := collect(ctx, t, d.Quality, d.Wrong, &r)
	if ctx.Err() != nil {
		return Arms{}, r, context.Cause(ctx)
	}
	switch {
	case correct == 0:
		return Arms{}, *r.skip(NoCorrect, nil), nil
	case len(c.right) == 0:
		return Arms{}, *r.skip(NoneGood, nil), nil
	case len(c.wrong) == 0 && slices.Min(o.K) > 0:
		return Arms{}, *r.skip(NoWrong, nil), nil
	}
	w := pairWriter{options: &o, domain: d, terminals: &c, report: &r}
	for epoch := range o.Epochs {
		if err := w.epoch(ctx, epoch); err != nil {
			return Arms{}, r, err
		}
	}
	switch {
	case len(w.arms.Search) > 0:
		r.Kept = 1
	case len(c.wrong) == 0:
		r.skip(NoWrong, nil)
	default:
		r.skip(NoTrace, nil)
	}
	return w.arms, r, nil
}

// pairWriter writes the traces of one Tree.
type pairWriter struct {
	options   *Options
	domain    Domain
	terminals *terminals
	report    *Report
	arms      Arms
}

// epoch writes one linearisation: search traces, and a direct one for each. Direct traces take every right terminal before one
// comes again.
func (w *pairWriter) epoch(ctx context.Context, epoch int) error {
	plans := w.options.searchPlans(w.terminals, epoch, w.report)
	draw := random.Named(w.options.Seed, w.terminals.tree.ID, uint64(epoch), 2)
	right := slices.Clone(w.terminals.right)
	draw.Shuffle(right)
	for i := range plans {
		direct := Plan{Arm: Direct, Epoch: epoch, Seed: draw.Uint64(), Moves: walk(w.terminals.tree, nil, right[i%len(right)], draw)}
		direct.name(w.terminals.tree, i)
		w.options.praise(w.terminals.tree, &direct, draw)
		a, okA, err := w.write(ctx, &plans[i])
		if err != nil {
			return err
		}
		b, okB, err := w.write(ctx, &direct)
		if err != nil {
			return err
		}
		if okA != okB {
			w.report.drop(Unmatched, nil)
		}
		if okA && okB {
			w.arms.Search, w.arms.Direct = append(w.arms.Search, a), append(w.arms.Direct, b)
			w.report.count(&a, &plans[i])
			w.report.Direct++
		}
	}
	return nil
}

// write says one Plan, or counts why it cannot be said.
func (w *pairWriter) write(ctx context.Context, p *Plan) (trace Trace, ok bool, err error) {
	if len(p.Moves) > w.options.MaxSteps {
		w.report.drop(TooLong, fmt.Errorf("%s has %d steps", p.ID, len(p.Moves)))
		return Trace{}, false, nil
	}
	trace, err = w.domain.Write(ctx, w.options, w.terminals.tree, p)
	if ctx.Err() != nil {
		return Trace{}, false, context.Cause(ctx)
	}
	if err == nil && len(trace.Tokens) > w.options.MaxTokens {
		err = &Failure{TooLong, fmt.Errorf("%d tokens", len(trace.Tokens))}
	}
	if err != nil {
		reason := WriterFailed
		if f := (*Failure)(nil); errors.As(err, &f) {
			reason = f.Reason
		}
		w.report.drop(reason, fmt.Errorf("%s: %w", p.ID, err))
		return Trace{}, false, nil
	}
	return trace, true, nil
}

// searchPlans draws the search traces of one epoch, all different.
func (o *Options) searchPlans(c *terminals, epoch int, r *Report) []Plan {
	draw := random.Named(o.Seed, c.tree.ID, uint64(epoch), 1)
	turn, seen := draw.Intn(len(o.K)), map[string]bool{}
	var plans []Plan
	for i := range o.PerTree {
		p, fewer, ok := o.newPlan(c, o.K[(turn+i)%len(o.K)], seen, draw)
		if !ok {
			r.drop(SameTrace, nil)
			continue
		}
		if fewer {
			r.note(FewerWrong)
		}
		p.Epoch, p.Seed = epoch, draw.Uint64()
		p.name(c.tree, len(plans))
		o.praise(c.tree, &p, draw)
		plans = append(plans, p)
	}
	return plans
}

// newPlan draws until there is a walk that was not seen. fewer says that the Tree has not k different wrong answers; a walk that
// should fail first and cannot is none.
func (o *Options) newPlan(c *terminals, k int, seen map[string]bool, draw *random.Rand) (p Plan, fewer, ok bool) {
	for range maxDraws {
		right := c.right[draw.Intn(len(c.right))]
		wrong := c.draw(right, k, o.Local, draw)
		p = Plan{Arm: Search, K: len(wrong), Restart: o.Restart}
		if o.Restart {
			p.Moves = walkApart(c.tree, wrong, right)
		} else {
			p.Moves = walk(c.tree, wrong, right, draw)
		}
		key := fmt.Sprint(p.Nodes())
		if !seen[key] && (k == 0 || len(wrong) > 0) {
			seen[key] = true
			return p, len(wrong) < k, true
		}
	}
	return Plan{}, false, false
}

func (p *Plan) name(t *tree.Tree, index int) {
	p.ID = fmt.Sprintf("%s#%s.%d.%d", t.ID, p.Arm, p.Epoch, index)
}

// praise marks some good steps on the way to the answer.
func (o *Options) praise(t *tree.Tree, p *Plan, draw *random.Rand) {
	for i := range p.Moves {
		m := &p.Moves[i]
		n := &t.Nodes[m.Node]
		next := i+1 < len(p.Moves) && p.Moves[i+1].Back == Advance
		if o.HighQ > 0 && !m.Failed && !n.Terminal && next && n.Q >= o.HighQ {
			m.Good = draw.Chance(o.HighShare)
		}
	}
}

// Report counts what became of Trees.
type Report struct {
	Trees, Kept        int            // Trees seen; those with at least one pair of traces
	Skipped            map[Reason]int // Trees without any, by reason
	Dropped            map[Reason]int // traces and terminals left out, by reason
	Notes              map[Reason]int // traces that are there but less than wanted
	Search, Direct     int            // traces
	Restarts, Returns  int            // returns of the search traces to the beginning; all returns
	Tokens, LossTokens int            // of the search traces; those with weight
	K                  map[int]int    // search traces by their number of wrong terminals
	Examples           []string       // the first errors, in words
}

// maxExamples bounds Report.Examples.
const maxExamples = 10

func (r *Report) skip(why Reason, err error) *Report {
	r.Skipped = bump(r.Skipped, why)
	r.example(err)
	return r
}

func (r *Report) drop(why Reason, err error) {
	r.Dropped = bump(r.Dropped, why)
	r.example(err)
}

func (r *Report) note(why Reason) { r.Notes = bump(r.Notes, why) }

func (r *Report) example(err error) {
	if err != nil && len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, err.Error())
	}
}

func (r *Report) count(t *Trace, p *Plan) {
	r.Search++
	r.K = bump(r.K, p.K)
	r.Returns, r.Restarts = r.Returns+p.K, r.Restarts+p.Restarts()
	r.Tokens += len(t.Tokens)
	for _, w := range t.Weights {
		if w > 0 {
			r.LossTokens++
		}
	}
}

func bump[K comparable](m map[K]int, key K) map[K]int {
	if m == nil {
		m = map[K]int{}
	}
	m[key]++
	return m
}

// Add adds another Report to this one.
func (r *Report) Add(o Report) {
	r.Trees, r.Kept, r.Search, r.Direct = r.Trees+o.Trees, r.Kept+o.Kept, r.Search+o.Search, r.Direct+o.Direct
	r.Restarts, r.Returns = r.Restarts+o.Restarts, r.Returns+o.Returns
	r.Tokens, r.LossTokens = r.Tokens+o.Tokens, r.LossTokens+o.LossTokens
	r.Skipped, r.Dropped, r.Notes, r.K = sum(r.Skipped, o.Skipped), sum(r.Dropped, o.Dropped), sum(r.Notes, o.Notes), sum(r.K, o.K)
	r.Examples = append(r.Examples, o.Examples[:min(len(o.Examples), maxExamples-len(r.Examples))]...)
}

func sum[K comparable](a, b map[K]int) map[K]int {
	if len(b) == 0 {
		return a
	}
	total := maps.Clone(a)
	if total == nil {
		total = map[K]int{}
	}
	for k, n := range b {
		total[k] += n
	}
	return total
}
