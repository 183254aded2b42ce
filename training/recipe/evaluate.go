package recipe

import (
	"context"
	"fmt"
	"math"

	"astro/training/countdown"
	"astro/training/reward"
)

// MaxAnswerTokens bounds a sampled answer of the base model, which has 26 when it is whole.
const MaxAnswerTokens = 64

// Sample draws n completions of each prompt at temperature 1, without the end-of-sequence token, from the given seed on.
type Sample func(ctx context.Context, prompts [][]int32, n int, seed uint64) ([][][]int32, error)

// Score is how well a model solves problems that it never trained on.
type Score struct {
	Problems, Samples int     // problems, and samples of each
	Pass1             float64 // share of correct samples
	Pass1SE           float64 // its standard error, over problems
	PassN             float64 // share of problems with a correct sample
	LegalSteps        Share   // steps that are legal in their state and restate the numbers that are left
	VerdictsWrong     Share   // verdicts that tell the truth about a wrong value
	VerdictsRight     Share   // verdicts that tell the truth about the target
	Unfinished        Share   // samples that are no whole legal derivation
	MeanTokens        float64 // per sample
	Reasons           map[reward.Reason]int
}

// Share is a count out of a number of cases.
type Share struct{ Count, Of int }

// Rate is the share as a fraction; 0 of no cases.
func (s Share) Rate() float64 { return float64(s.Count) / float64(max(1, s.Of)) }

// String is a percentage with its counts.
func (s Share) String() string { return fmt.Sprintf("%.2f %% (%d of %d)", 100*s.Rate(), s.Count, s.Of) }

func (s *Share) add(count, of int) { s.Count, s.Of = s.Count+count, s.Of+of }

// Verdicts are all verdicts together.
func (s Score) Verdicts() Share {
	return Share{s.VerdictsWrong.Count + s.VerdictsRight.Count, s.VerdictsWrong.Of + s.VerdictsRight.Of}
}

// Evaluate samples n answers to each problem and grades them.
func Evaluate(ctx context.Context, d countdown.Domain, problems []countdown.Problem, n int, seed uint64, sample Sample) (Score, error) {
	prompts := make([][]int32, len(problems))
	for i, p := range problems {
		prompts[i] = countdown.Prompt(p)
	}
	answers, err := sample(ctx, prompts, n, seed)
	if err != nil {
		return Score{}, fmt.Errorf("cannot evaluate: %w", err)
	}
	s := Score{Problems: len(problems), Samples: n, Reasons: map[reward.Reason]int{}}
	correct := make([]int, len(problems)) // samples of each problem
	tokens := 0
	for i, p := range problems {
		for _, answer := range answers[i] {
			tokens += len(answer)
			r := d.Verify(p, answer)
			s.count(r)
			if r.Correct {
				correct[i]++
			}
		}
	}
	s.MeanTokens = float64(tokens) / float64(max(1, len(problems)*n))
	s.pass(correct)
	return s, nil
}

// count adds one graded sample. The base model makes one attempt at most, so that its verdict is on the first one.
func (s *Score) count(r reward.CountdownResult) {
	s.Reasons[r.Reason]++
	s.LegalSteps.add(r.LegalSteps, r.Steps)
	if r.FirstCorrect {
		s.VerdictsRight.add(r.RightVerdicts, r.Verdicts)
	} else {
		s.VerdictsWrong.add(r.RightVerdicts, r.Verdicts)
	}
	whole := r.Correct || r.Reason == reward.ReasonWrong
	s.Unfinished.add(btoi(!whole), 1)
}

// pass fills the pass rates from the correct samples of each problem. The standard error is over problems, for samples of one
// problem are alike.
func (s *Score) pass(correct []int) {
	sum, squares, solved := 0.0, 0.0, 0
	for _, c := range correct {
		share := float64(c) / float64(s.Samples)
		sum, squares, solved = sum+share, squares+share*share, solved+btoi(c > 0)
	}
	n := float64(max(1, len(correct)))
	s.Pass1, s.PassN = sum/n, float64(solved)/n
	if n > 1 {
		s.Pass1SE = math.Sqrt(max(0, squares/n-s.Pass1*s.Pass1) / (n - 1))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Gate is a figure that a base model must reach before anything is built on it.
type Gate struct {
	Name  string
	Value float64
	Low   float64 // inclusive
	High  float64 // inclusive
}

// Passed says whether the value lies within.
func (g Gate) Passed() bool { return g.Low <= g.Value && g.Value <= g.High }

// Gates are what the base model is judged by: it plans little, but it is fluent and honest.
func (s Score) Gates() []Gate {
	return []Gate{
		{"pass@1", s.Pass1, .05, .15},
		{"legal steps", s.LegalSteps.Rate(), .985, 1},
		{"right verdicts", s.Verdicts().Rate(), .95, 1},
	}
}
