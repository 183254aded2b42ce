package recipe

import (
	"context"
	"testing"

	"astro/training/countdown"
	"astro/training/grpo"
)

// Rollouts are graded on their own problem; what is no problem of the model's is skipped, and nothing else is.
func TestCountdownRewards(t *testing.T) {
	d := countdown.CD4
	r := CountdownRewards(d, []ProblemLine{
		{ID: "a", Problem: "3 7 2 9 -> 21", Line: 1}, {ID: "b", Problem: "2 2 -> 4", Line: 2}, {ID: "long", Problem: "1 2 3 4 5 -> 15", Line: 3},
		{ID: "high", Problem: "9 9 -> 81", Line: 4}, {ID: "broken", Problem: "9 9", Line: 5}, {ID: "a", Problem: "2 3 -> 5", Line: 6},
	})
	if len(r.Problems) != 2 || len(r.Skipped) != 4 {
		t.Fatalf("got %d problems, skipped %v", len(r.Problems), r.Skipped)
	}
	moves := d.Moves([]int{2, 2})
	for _, m := range moves {
		answer := countdown.Direct(countdown.Problem{Numbers: []int{2, 2}, Target: 4}, []countdown.Move{m})
		g, err := r.Grade(context.Background(), r.Problems[1], answer.Tokens[answer.Prompt:])
		want := -1.0
		if m.C == 4 {
			want = 1
		}
		if err != nil || g.Reward != want || g.Correct != (want == 1) || g.Reason == "" {
			t.Errorf("%+v: got %+v, %v; want the reward %g", m, g, err, want)
		}
	}
	if _, err := r.Grade(context.Background(), grpo.Problem{ID: "c"}, nil); err == nil {
		t.Error("an unknown problem is graded")
	}
}
