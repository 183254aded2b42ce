package countdown

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"astro/training/random"
	"astro/training/reward"
)

// The generator and the verifier share no code; on every a, b, c and operator they agree about what is legal.
func TestRulesAgreeWithVerifier(t *testing.T) {
	d := Domain{Numbers: 2, Low: 1, High: 24, MaxValue: 24, TargetLow: 1, TargetHigh: 24}
	legal := 0
	for a := 1; a <= 24; a++ {
		for b := 1; b <= 24; b++ {
			moves := d.Moves([]int{a, b})
			for c := 1; c <= 24; c++ {
				for _, op := range []byte("+-*/") {
					p := Problem{Numbers: []int{a, b}, Target: c}
					got := d.Rules().Verify(p, fmt.Sprintf("%d %c %d = %d ; %s %s %s %d", a, op, b, c,
						reward.WordButWait, reward.WordLooksOK, reward.WordAnswer, c)).Correct
					want := slices.Contains(moves, Move{a, op, b, c})
					if got != want {
						t.Fatalf("%d %c %d = %d: verifier says %v, generator %v", a, op, b, c, got, want)
					}
					if got {
						legal++
					}
				}
			}
		}
	}
	if legal == 0 {
		t.Fatal("nothing is legal")
	}
}

// Every legal game of some multisets, written as an answer, is correct for the value that it reaches and wrong for any other.
func TestEveryGameVerifies(t *testing.T) {
	games := 0
	for _, numbers := range [][]int{{3, 7, 2, 9}, {1, 1, 1, 1}, {8, 8, 8, 2}, {5, 5, 6, 6}, {9, 4, 1}, {7, 7}} {
		CD4.Games(numbers, func(game []Move, value int) {
			games++
			p := Problem{Numbers: numbers, Target: value}
			doc := Direct(p, game)
			r := CD4.Verify(p, doc.Tokens[doc.Prompt:])
			if !r.Correct || r.LegalSteps != len(game) || r.RightVerdicts != 1 || r.Distinct != 1 {
				t.Fatalf("%v %v: got %+v", p, game, r)
			}
			p.Target = value%CD4.MaxValue + 1
			doc = Direct(p, game)
			if r := CD4.Verify(p, doc.Tokens[doc.Prompt:]); r.Reason != reward.ReasonWrong || r.RightVerdicts != 1 {
				t.Fatalf("%v %v: got %+v", p, game, r)
			}
		})
	}
	if games < 300 {
		t.Errorf("only %d games", games)
	}
}

// Exchange any one token of an answer for any other: it stays right only where the meaning stays (another operator with the
// same result) or where only the verdict, which is judged apart, is now a lie.
func TestEveryMutationIsRejected(t *testing.T) {
	numbers, n := []int{3, 7, 2, 9}, 0
	CD4.Games(numbers, func(game []Move, value int) {
		if n++; n%5 != 0 {
			return
		}
		p := Problem{Numbers: numbers, Target: value}
		doc := Direct(p, game)
		answer := doc.Tokens[doc.Prompt : len(doc.Tokens)-1]
		for i, old := range answer {
			for id := range int32(CD4.VocabSize()) {
				answer[i] = id
				r := CD4.Verify(p, answer)
				if id != old && id != EOS && r.Correct && !harmless(old, id, answer[max(0, i-1):]) {
					t.Fatalf("%v: token %d, %q for %q is accepted", game, i, Text(id), Text(old))
				}
			}
			answer[i] = old
		}
	})
}

// harmless says whether a mutation keeps the meaning; around begins with the token before the mutated one.
func harmless(old, id int32, around []int32) bool {
	if old == LooksOK {
		return id == NotSure
	}
	if old < Plus || old > Over || id < Plus || id > Over {
		return false
	}
	value := func(i int) int { return int(around[i]-firstNumber) + 1 }
	m := Move{value(0), "+-*/"[id-Plus], value(2), value(4)}
	return slices.Contains(CD4.combine(nil, m.A, m.B), m)
}

// Exact random play: the recursion equals the frequencies of enumeration, and the domain's mean is the measured 2.7 %.
func TestRandomSuccess(t *testing.T) {
	var weigh func(state []int, p float64, into map[int]float64)
	weigh = func(state []int, p float64, into map[int]float64) {
		if len(state) == 1 {
			into[state[0]] += p
			return
		}
		moves := CD4.Moves(state)
		for _, m := range moves {
			weigh(Next(state, m), p/float64(len(moves)), into)
		}
	}
	want := map[int]float64{}
	weigh([]int{3, 7, 2, 9}, 1, want)
	for target, p := range want {
		if got := CD4.RandomSuccess([]int{3, 7, 2, 9}, target); math.Abs(got-p) > 1e-12 {
			t.Errorf("target %d: got %g; want %g", target, got, p)
		}
	}
	problems, sum := CD4.Sample(CD4.Split().Test, 100, random.New(1, 0)), 0.0
	for _, p := range problems {
		sum += CD4.RandomSuccess(p.Numbers, p.Target)
	}
	if mean := sum / float64(len(problems)); mean < .015 || mean > .045 {
		t.Errorf("random play solves %.3f; want about .027", mean)
	}
}

func TestDomainValidate(t *testing.T) {
	if err := CD4.Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Domain){
		func(d *Domain) { d.Numbers = 5 }, func(d *Domain) { d.Low = 0 }, func(d *Domain) { d.MaxValue = 8 },
		func(d *Domain) { d.MaxValue = 1000 }, func(d *Domain) { d.TargetHigh = 51 },
	} {
		d := CD4
		if change(&d); d.Validate() == nil {
			t.Errorf("%+v: no error", d)
		}
	}
}
