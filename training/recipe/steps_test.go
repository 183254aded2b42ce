package recipe

import (
	"testing"

	"astro/training/countdown"
	"astro/training/random"
)

// Steps are found and judged as the verifier does, which shares no code with them, in derivations that are right, wrong, spoilt and cut; and
// a step reaches the target if one of all games from its state does.
func TestCountdownSteps(t *testing.T) {
	d := countdown.CD4
	draw := random.New(3, 1)
	spoilt, legal, lost := 0, 0, 0
	for _, p := range d.Sample(d.Split().Train, 60, random.New(1, 1)) {
		games := 0
		d.Games(p.Numbers, func(game []countdown.Move, _ int) {
			if games++; games%19 != 1 {
				return
			}
			answer := countdown.Direct(p, game)
			tokens := append([]int32(nil), answer.Tokens[answer.Prompt:]...)
			switch at := draw.Intn(len(tokens)); draw.Intn(3) {
			case 0:
				tokens[at] = countdown.Number(1 + draw.Intn(d.MaxValue))
				spoilt++
			case 1:
				tokens = tokens[:at]
			}
			legal += checkSteps(t, d, p, tokens, &lost)
		})
	}
	if spoilt < 100 || legal < 1000 || lost < 100 {
		t.Errorf("only %d spoilt answers, %d legal steps, %d without a way to the target", spoilt, legal, lost)
	}
}

// checkSteps compares the steps of a completion with its replay, and counts them.
func checkSteps(t *testing.T, d countdown.Domain, p countdown.Problem, tokens []int32, lost *int) (legal int) {
	t.Helper()
	r := d.Verify(p, tokens)
	steps := CountdownSteps(d, p, tokens)
	state, at := p.Numbers, 0
	for _, s := range steps {
		if s.From != at || s.To <= s.From || s.To > len(tokens) {
			t.Fatalf("%s: a step at [%d, %d) of %d, after %d", words(tokens), s.From, s.To, len(tokens), at)
		}
		if at = s.To; !s.Legal {
			continue
		}
		legal++
		m, _, err := readMove(d, tokens[s.From:s.To])
		if err != nil {
			t.Fatal(err)
		}
		state = countdown.Next(state, m)
		reaches := false
		d.Games(state, func(_ []countdown.Move, v int) { reaches = reaches || v == p.Target })
		if s.Reaches != reaches {
			t.Fatalf("%s: after %v the target is within reach: %v; want %v", words(tokens), state, s.Reaches, reaches)
		}
		if !reaches {
			*lost++
		}
	}
	if legal != r.LegalSteps || len(steps) != r.Steps || r.Correct && !steps[len(steps)-1].Reaches {
		t.Fatalf("%s: %d steps, %d legal: %+v; the replay says %+v", words(tokens), len(steps), legal, steps, r)
	}
	return legal
}

// A step that returns, ends or goes on with anything else is bad up to there; returns end the list.
func TestCountdownStepsEnd(t *testing.T) {
	d, p := countdown.CD4, countdown.Problem{Numbers: []int{3, 7, 2, 9}, Target: 27}
	step := countdown.Steps(p.Numbers, []countdown.Move{{A: 9, Op: '-', B: 7, C: 2}})
	for _, c := range []struct {
		tokens []int32
		want   []CountdownStep
	}{
		{nil, nil},
		{[]int32{countdown.EOS}, nil},
		{append(step[:len(step):len(step)], countdown.Return(0, p)...), []CountdownStep{{0, 9, true, d.RandomSuccess([]int{3, 2, 2}, 27) > 0}}},
		{append(step[:3:3], countdown.ButWait, countdown.NotSure), []CountdownStep{{0, 3, false, false}}},
		{step[:8], nil}, // cut off
	} {
		got := CountdownSteps(d, p, c.tokens)
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] {
			t.Errorf("%s: got %+v; want %+v", words(c.tokens), got, c.want)
		}
	}
}
