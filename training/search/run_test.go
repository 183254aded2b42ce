package search

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"astro/training/tree"
)

var small = Config{Children: 3, Rollouts: 2, Iterations: 8, MaxDepth: 9, CPUCT: 1, Leaves: 2, Seed: 5}

// searched runs a search and returns trees and failures by problem.
func searched(t *testing.T, c Config, p Policy, problems []Problem, parallel int) ([]*tree.Tree, []*Failure) {
	t.Helper()
	trees, failures := make([]*tree.Tree, len(problems)), make([]*Failure, len(problems))
	err := Run(context.Background(), c, "test", p, problems, parallel, func(o Outcome) error {
		trees[o.Index], failures[o.Index] = o.Tree, o.Failure
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return trees, failures
}

// A seed gives the same trees whatever grows beside them and whenever answers come, and in lock step too; another gives others.
func TestTreesDependOnTheSeedAlone(t *testing.T) {
	problems := tossed(40)
	want, _ := searched(t, small, dice{ways: 3}, problems, 1)
	for _, parallel := range []int{1, 4, 16} {
		if got, _ := searched(t, small, dice{ways: 3, late: true}, problems, parallel); !reflect.DeepEqual(got, want) {
			t.Errorf("other trees at %d in parallel", parallel)
		}
	}
	var locked []*tree.Tree
	err := Blocks(context.Background(), small, "test", func() Policy { return dice{ways: 3} }, problems, 7, func(o Outcome) error {
		if o.Index != len(locked) {
			t.Errorf("got problem %d; want %d", o.Index, len(locked))
		}
		locked = append(locked, o.Tree)
		return nil
	})
	if err != nil || !reflect.DeepEqual(locked, want) {
		t.Errorf("other trees in lock step (%v)", err)
	}
	reversed := slices.Clone(problems)
	slices.Reverse(reversed)
	if got, _ := searched(t, small, dice{ways: 3}, reversed, 4); !reflect.DeepEqual(got[39], want[0]) {
		t.Error("another tree in another order of problems")
	}
	other := small
	other.Seed++
	if got, _ := searched(t, other, dice{ways: 3}, problems, 4); reflect.DeepEqual(got[0].Nodes, want[0].Nodes) {
		t.Error("the same tree from another seed")
	}
}

// In lock step a turn of all trees is one call, and a block is asked for in the same way whether others came before it or not.
func TestBlocksAskInOneOrder(t *testing.T) {
	problems := tossed(6)
	asked := func(problems []Problem) (calls [][]Draw) {
		p := dice{ways: 3, seen: func(draws []Draw) { calls = append(calls, draws) }}
		if err := Blocks(context.Background(), small, "", func() Policy { return p }, problems, 3, func(Outcome) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return calls
	}
	all, last := asked(problems), asked(problems[3:])
	if tail := all[len(all)-len(last):]; !reflect.DeepEqual(tail, last) || len(all[0]) != 3 {
		t.Errorf("got %d calls, the first with %d draws; want the last %d to be those of the block alone, and 3 draws", len(all), len(all[0]), len(last))
	}
}

// A draw that fails costs its own tree, with a reason.
func TestOneFailureCostsOneTree(t *testing.T) {
	problems := tossed(8)
	problems[5].Domain = game{name: 5, ways: 3, depth: 4, wins: third, fails: true}
	p := dice{ways: 3, late: true, fail: func(d Draw) error {
		if d.Prompt[0] == 1002 && len(d.Prompt) > 2 {
			return errors.New("device lost")
		}
		return nil
	}}
	want, _ := searched(t, small, dice{ways: 3}, tossed(8), 1)
	trees, failures := searched(t, small, p, problems, 4)
	for i := range problems {
		switch reason := map[int]string{2: FailedPolicy, 5: FailedGrader}[i]; {
		case reason != "" && (trees[i] != nil || failures[i] == nil || failures[i].Reason != reason):
			t.Errorf("problem %d: got tree %v, failure %v; want %s", i, trees[i] != nil, failures[i], reason)
		case reason == "" && !reflect.DeepEqual(trees[i], want[i]):
			t.Errorf("problem %d: another tree (%v)", i, failures[i])
		}
	}
}

// A search ends when its ctx does, when its results cannot be kept, and when the policy has stopped; nothing half-grown comes out.
func TestSearchStops(t *testing.T) {
	full := errors.New("disk full")
	ctx, cancel := context.WithCancel(context.Background())
	var asked atomic.Int64
	for name, test := range map[string]struct {
		policy dice
		each   error
		want   error
	}{
		"ctx": {dice{ways: 3, seen: func([]Draw) {
			if asked.Add(1) == 30 {
				cancel()
			}
		}}, nil, context.Canceled},
		"each":   {dice{ways: 3}, full, full},
		"policy": {dice{ways: 3, fail: func(Draw) error { return fmt.Errorf("%w: closed", ErrStopped) }}, nil, ErrStopped},
	} {
		n := 0
		each := func(o Outcome) error {
			if n++; o.Tree == nil {
				t.Errorf("%s: got failure %v", name, o.Failure)
			}
			return test.each
		}
		run := context.Background()
		if name == "ctx" {
			run = ctx
		}
		if err := Run(run, small, "", test.policy, tossed(50), 4, each); !errors.Is(err, test.want) || n >= 50 {
			t.Errorf("%s: got %v after %d trees; want %v before 50", name, err, n, test.want)
		}
	}
	if err := Run(context.Background(), Config{}, "", dice{}, nil, 1, nil); err == nil {
		t.Error("a search without settings runs")
	}
}
