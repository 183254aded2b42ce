package eval

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func TestMajAtKByHand(t *testing.T) {
	for _, c := range []struct {
		name string
		a    Answers
		k    int
		want float64
	}{
		{"one sample is a vote", Answers{Correct: 3, Wrong: []int{1}, None: 4}, 1, 3.0 / 8},
		{"the most frequent wins", Answers{Correct: 3, Wrong: []int{2, 2}, None: 1}, 8, 1},
		{"the most frequent is wrong", Answers{Correct: 3, Wrong: []int{4}, None: 1}, 8, 0},
		{"two tie", Answers{Correct: 2, Wrong: []int{2, 1}}, 5, 0.5},
		{"three tie", Answers{Correct: 2, Wrong: []int{2, 2}}, 6, 1.0 / 3},
		{"nobody answers", Answers{None: 4}, 4, 0},
		{"nobody answers in any draw", Answers{None: 4}, 2, 0},
		{"who has no answer does not vote", Answers{Correct: 1, None: 7}, 8, 1},
		// Pairs of A A B -: AA 1 -> 1, AB 2 -> 1/2 each, A- 2 -> 1, B- 1 -> 0: (1 + 1 + 2) / 6.
		{"pairs with a tie and an abstention", Answers{Correct: 2, Wrong: []int{1}, None: 1}, 2, 4.0 / 6},
		// Triples of A A B B C: AAB 2 -> 1, AAC 1 -> 1, ABB 2 -> 0, ABC 4 -> 1/3, BBC 1 -> 0: (3 + 4/3) / 10.
		{"triples with a tie of three", Answers{Correct: 2, Wrong: []int{2, 1}}, 3, 13.0 / 30},
	} {
		near(t, c.name, MajAtK(c.a, c.k), c.want)
	}
}

// The slow truth: every draw of k samples is voted on.
func votes(a Answers, k int) float64 {
	var group []int // of each sample; 0 = correct, -1 = none
	add := func(id, n int) {
		for range n {
			group = append(group, id)
		}
	}
	add(0, a.Correct)
	for i, n := range a.Wrong {
		add(i+1, n)
	}
	add(-1, a.None)
	sum, draws := 0.0, 0
	for set := range uint32(1) << len(group) {
		if bits.OnesCount32(set) != k {
			continue
		}
		count := make([]int, len(a.Wrong)+1)
		for i, id := range group {
			if set>>i&1 == 1 && id >= 0 {
				count[id]++
			}
		}
		sum += won(count)
		draws++
	}
	return sum / float64(draws)
}

func won(count []int) float64 {
	best, ties := 0, 0
	for _, n := range count {
		switch {
		case n > best:
			best, ties = n, 1
		case n == best:
			ties++
		}
	}
	if best == 0 || count[0] < best {
		return 0
	}
	return 1 / float64(ties)
}

func TestMajAtKEqualsEveryDraw(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		a := Answers{Correct: random.IntN(5), None: random.IntN(3)}
		for range random.IntN(5) {
			a.Wrong = append(a.Wrong, 1+random.IntN(3))
		}
		for k := 1; k <= min(a.Samples(), 12); k++ {
			if a.Samples() > 14 {
				break
			}
			if got, want := MajAtK(a, k), votes(a, k); math.Abs(got-want) > 1e-11 {
				t.Errorf("maj@%d of %+v: got %.15g; want %.15g", k, a, got, want)
			}
		}
	}
}

// Large counts neither overflow nor leave [0, 1].
func TestMajAtKOfManySamples(t *testing.T) {
	a := Answers{Correct: 60, Wrong: []int{50, 40, 1, 1, 1}, None: 7}
	before := 0.0
	for _, k := range []int{1, 2, 8, 64, 160} {
		p := MajAtK(a, k)
		if p < 0 || p > 1+1e-9 || k > 2 && p < before {
			t.Errorf("maj@%d = %g after %g; want it to grow towards 1: the right answer is the most frequent", k, p, before)
		}
		before = p
	}
	near(t, "maj@1 is the share of correct samples", MajAtK(a, 1), 60.0/160)
	near(t, "all samples", MajAtK(a, 160), 1)
}
