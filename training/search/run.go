package search

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"astro/training/tree"
)

// Outcome is what became of one problem: a Tree, or why there is none.
type Outcome struct {
	Index   int // of the problem
	Tree    *tree.Tree
	Failure *Failure
}

// Run searches problems, so many at a time, and hands each outcome to each when it is there, in any order but one at a time; an
// error of each ends the search. A problem that fails costs the others nothing. Run ends with ctx's error when that ends, and with
// the policy's when it has stopped; trees that are under way then are dropped.
func Run(ctx context.Context, c Config, settings string, p Policy, problems []Problem, parallel int, each func(Outcome) error) error {
	if err := errors.Join(c.Validate(), checkParallel(parallel)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var one sync.Mutex
	var workers sync.WaitGroup
	for range min(parallel, len(problems)) {
		workers.Go(func() {
			for i := range next {
				g := newGrowth(c, problems[i], settings)
				finish(ctx, p, g)
				one.Lock()
				if err := report(ctx, g, i, each); err != nil {
					cancel(err)
				}
				one.Unlock()
			}
		})
	}
	feed(ctx, next, len(problems))
	workers.Wait()
	return context.Cause(ctx)
}

// MaxParallel bounds the trees that grow at a time.
const MaxParallel = 4096

func checkParallel(n int) error {
	if n < 1 || n > MaxParallel {
		return fmt.Errorf("search of %d trees at a time: want 1 to %d", n, MaxParallel)
	}
	return nil
}

// feed gives the workers one problem after the other until ctx ends.
func feed(ctx context.Context, next chan<- int, n int) {
	defer close(next)
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			return
		}
	}
}

// finish grows a tree to its end.
func finish(ctx context.Context, p Policy, g *growth) {
	for draws := g.Next(); len(draws) > 0 && ctx.Err() == nil; draws = g.Next() {
		g.Apply(p.Sample(ctx, draws))
	}
}

// report hands over what became of a problem. The error says why the search cannot go on.
func report(ctx context.Context, g *growth, index int, each func(Outcome) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t, f := g.Result()
	if f != nil && errors.Is(f, ErrStopped) {
		return f
	}
	return each(Outcome{Index: index, Tree: t, Failure: f})
}

// Blocks searches problems in lock step: a block of them grows together, each turn of all its trees is one call of the Policy, and
// the next block begins with a new Policy, which begin makes. Nothing that a Policy may depend on, not even what shares a batch,
// then differs between two runs, so that they agree to the last bit where the Policy's device does. Problems come in the order
// given; to go on after a stop, give whole blocks again.
func Blocks(ctx context.Context, c Config, settings string, begin func() Policy, problems []Problem, block int, each func(Outcome) error) error {
	if err := errors.Join(c.Validate(), checkParallel(block)); err != nil {
		return err
	}
	for first := 0; first < len(problems); first += block {
		last := min(first+block, len(problems))
		growths := make([]*growth, 0, block)
		for _, p := range problems[first:last] {
			growths = append(growths, newGrowth(c, p, settings))
		}
		together(ctx, begin(), growths)
		for i, g := range growths {
			if err := report(ctx, g, first+i, each); err != nil {
				return err
			}
		}
	}
	return nil
}

// together grows trees in lock step.
func together(ctx context.Context, p Policy, growths []*growth) {
	for ctx.Err() == nil {
		var all []Draw
		counts := make([]int, len(growths))
		for i, g := range growths {
			draws := g.Next()
			all, counts[i] = append(all, draws...), len(draws)
		}
		if len(all) == 0 {
			return
		}
		drawn := p.Sample(ctx, all)
		if len(drawn) != len(all) {
			panic(fmt.Sprintf("BUG: got %d answers from a Policy; want %d", len(drawn), len(all)))
		}
		for i, g := range growths {
			if counts[i] > 0 {
				g.Apply(drawn[:counts[i]])
				drawn = drawn[counts[i]:]
			}
		}
	}
}
