package linearize

import (
	"context"
	"slices"
	"testing"
)

// With Restart every path is walked whole: between two returns stands the path to one wrong end, and the last one is right. Steps that paths
// share come again, which is refused of other walks.
func TestRestart(t *testing.T) {
	traces, shared := 0, 0
	for seed := range uint64(400) {
		tr, o := randomTree(seed), testOptions(seed)
		o.Restart, o.HighQ = true, 0
		c, _ := collect(context.Background(), tr, nil, nil, &Report{})
		if len(c.right) > 0 {
			for _, p := range o.searchPlans(&c, 0, &Report{}) {
				if err := p.Check(tr); err != nil || p.Restarts() != p.K {
					t.Fatalf("seed %d: %d restarts, %+v: %v", seed, p.Restarts(), p, err)
				}
				nodes := p.Nodes()
				slices.Sort(nodes)
				if p.Restart = false; len(slices.Compact(nodes)) < len(p.Moves) {
					if shared++; p.Check(tr) == nil {
						t.Fatalf("seed %d: %+v visits a node twice and is accepted", seed, p)
					}
				}
			}
		}
		arms, _ := linearizeTree(t, o, tr)
		for _, trace := range arms.Search {
			traces++
			if trace.Restarts != trace.K {
				t.Fatalf("%+v", trace)
			}
			rest := trace.Nodes
			for answers := 0; len(rest) > 0; answers++ {
				end := slices.IndexFunc(rest, func(i int) bool { return tr.Nodes[i].Terminal })
				if path := tr.Path(rest[end]); !slices.Equal(path, rest[:end+1]) || tr.Nodes[rest[end]].Correct != (answers == trace.K) {
					t.Fatalf("seed %d: %v is walked to %d, answer %d of %d", seed, rest[:end+1], rest[end], answers+1, trace.K+1)
				}
				rest = rest[end+1:]
			}
		}
	}
	if traces < 300 || shared < 50 {
		t.Errorf("only %d traces, %d plans with a step that comes again", traces, shared)
	}
}
