package recipe

import (
	"slices"

	"astro/training/countdown"
)

// CountdownStep is a step of a derivation where it stands in a completion.
type CountdownStep struct {
	From, To int  // its tokens
	Legal    bool // the rules allow its move, and it restates the right numbers; after one that is not there are no more
	Reaches  bool // it is legal, and some way to go on ends at the target
}

// CountdownSteps lists the steps of a completion up to its first reflection, return or end. A step that is cut off is none.
func CountdownSteps(d countdown.Domain, p countdown.Problem, completion []int32) []CountdownStep {
	end := slices.IndexFunc(completion, endsSteps)
	cut := end < 0
	if cut {
		end = len(completion)
	}
	var steps []CountdownStep
	state := p.Numbers
	for at := 0; at < end && len(state) > 1; {
		length := wholeStepTokens(len(state) - 1)
		if at+length > end && cut {
			break
		}
		s := CountdownStep{From: at, To: min(end, at+length)}
		if after, ok := readStep(d, state, completion[s.From:s.To]); ok {
			state = after
			s.Legal, s.Reaches = true, d.RandomSuccess(after, p.Target) > 0 // exact: a sum over all games
		}
		if steps = append(steps, s); !s.Legal {
			break
		}
		at = s.To
	}
	return steps
}

// endsSteps says that a token stands between derivations, or behind the last one.
func endsSteps(id int32) bool {
	switch id {
	case countdown.ButWait, countdown.Restart, countdown.GoBack1, countdown.GoBack2, countdown.EOS:
		return true
	}
	return false
}

// wholeStepTokens is the length of a step after which so many numbers are left: `a op b = c`, and what it restates.
func wholeStepTokens(left int) int { return 5 + restatedTokens(make([]int, left)) }

// readStep reads one whole legal step, and what is left after it.
func readStep(d countdown.Domain, state []int, tokens []int32) (after []int, ok bool) {
	m, rest, err := readMove(d, tokens)
	if err != nil || !slices.Contains(d.Moves(state), m) {
		return nil, false
	}
	after = countdown.Next(state, m)
	want := countdown.Steps(state, []countdown.Move{m})[5:]
	if len(rest) != len(want) || rest[0] != want[0] {
		return nil, false
	}
	slices.Sort(want[1:]) // numbers may be restated in any order
	got := slices.Clone(rest)
	slices.Sort(got[1:])
	return after, slices.Equal(got, want)
}
