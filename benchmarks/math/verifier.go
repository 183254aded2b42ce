package math

import "astro/training/reward"

// Verifier is the project's own.
func Verifier() Grader {
	verify := func(mode reward.Mode) func(gold, response string) Verdict {
		return func(gold, response string) Verdict {
			r := reward.Verify(gold, response, reward.Options{Mode: mode})
			return Verdict{Correct: r.Correct, Extracted: r.Extracted, Rule: string(r.Rule), Reason: string(r.Reason)}
		}
	}
	return Grader{
		Boxed:   verify(reward.Strict),
		Lenient: verify(reward.Lenient),
		Equal:   func(a, b string) bool { return reward.Equal(a, b, reward.Options{}).Equal },
	}
}
