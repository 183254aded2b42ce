package linearize

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// Without a model steps stand as they were searched, and every walk can be read back by its fixed sentences all the same.
func TestProseWithoutModel(t *testing.T) {
	total := Report{}
	for seed := range uint64(200) {
		tr, o := randomTree(seed), testOptions(seed)
		tr.Gold = "42"
		prose := NewProse(nil)
		prose.Tokenize = thirds
		arms, r, err := o.Linearize(context.Background(), Domain{Write: prose.Write}, tr)
		if err != nil {
			t.Fatal(err)
		}
		total.Add(r)
		for _, trace := range slices.Concat(arms.Search, arms.Direct) {
			for i, node := range trace.Nodes {
				if step := strings.TrimSpace(tr.Nodes[node].Text); !strings.Contains(trace.Text, step) {
					t.Fatalf("%s: step %d is not in %q", trace.ID, i, trace.Text)
				}
			}
		}
	}
	if total.Search < 150 || total.Returns == total.Restarts || len(total.Dropped) > 1 {
		t.Errorf("got %+v", total)
	}
}

func TestPlainReturn(t *testing.T) {
	long := strings.Repeat("\u00e4\u00f6", 100)
	for _, test := range []struct {
		back       int
		said, want string
	}{
		{0, "", "Let's restart our solution from the beginning."},
		{2, "Add 2.\nThat is 5.", "Let's go back to where we said: Add 2."},
		{1, long, "Let's go back to where we said: " + long[:160] + "..."},
	} {
		got := plainReturn(test.back, test.said)
		if got != test.want || CountReturns(got).Total() != 1 || len(got) > maxReturnBytes {
			t.Errorf("got %q; want %q", got, test.want)
		}
	}
}
