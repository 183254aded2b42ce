package recipe

import (
	"context"
	"math"
	"testing"

	"astro/training/countdown"
	"astro/training/random"
	"astro/training/reward"
)

// play is a Sample that knows all games: of the n samples of a problem, the first solved ones are right, the others wrong.
func play(t *testing.T, d countdown.Domain, problems []countdown.Problem, solved func(problem int) int) Sample {
	return func(_ context.Context, prompts [][]int32, n int, _ uint64) ([][][]int32, error) {
		if len(prompts) != len(problems) {
			t.Fatalf("got %d prompts; want %d", len(prompts), len(problems))
		}
		answers := make([][][]int32, len(prompts))
		for i, p := range problems {
			right, wrong := oneOfEach(d, p)
			for s := range n {
				answer := wrong
				if s < solved(i) {
					answer = right
				}
				answers[i] = append(answers[i], answer)
			}
		}
		return answers, nil
	}
}

// oneOfEach are the answers of a game that reaches the target and of one that does not.
func oneOfEach(d countdown.Domain, p countdown.Problem) (right, wrong []int32) {
	d.Games(p.Numbers, func(game []countdown.Move, value int) {
		doc := countdown.Direct(p, game)
		if answer := doc.Tokens[doc.Prompt : len(doc.Tokens)-1]; value == p.Target {
			right = answer
		} else {
			wrong = answer
		}
	})
	return right, wrong
}

// Ten problems, the first five solved in 2 of 4 samples: pass@1 is 1/4, half are solved at all, and the standard error is that
// of ten problems.
func TestEvaluate(t *testing.T) {
	d := countdown.CD4
	problems := d.Sample(d.Split().Test, 10, random.New(1, 0))
	s, err := Evaluate(context.Background(), d, problems, 4, 1, play(t, d, problems, func(i int) int {
		if i < 5 {
			return 2
		}
		return 0
	}))
	if err != nil {
		t.Fatal(err)
	}
	if s.Pass1 != .25 || s.PassN != .5 || math.Abs(s.Pass1SE-.25/3) > 1e-12 {
		t.Errorf("got pass@1 %g +- %g, pass@4 %g; want .25 +- .0833, .5", s.Pass1, s.Pass1SE, s.PassN)
	}
	if s.LegalSteps != (Share{120, 120}) || s.VerdictsRight != (Share{10, 10}) || s.VerdictsWrong != (Share{30, 30}) || s.Unfinished != (Share{0, 40}) {
		t.Errorf("got %+v", s)
	}
	if s.Reasons[reward.ReasonCorrect] != 10 || s.Reasons[reward.ReasonWrong] != 30 {
		t.Errorf("got reasons %v", s.Reasons)
	}
	for _, g := range s.Gates() {
		if want := g.Name != "pass@1"; g.Passed() != want {
			t.Errorf("gate %s: %g in [%g, %g] passed: %v", g.Name, g.Value, g.Low, g.High, g.Passed())
		}
	}
}
