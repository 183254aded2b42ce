package countdown

import (
	"cmp"
	"slices"

	"astro/training/random"
)

// Move combines A and B of a state into C = A Op B. A >= B.
type Move struct {
	A  int
	Op byte // one of + - * /
	B  int
	C  int
}

// combine lists what the rules allow with a >= b.
func (d Domain) combine(dst []Move, a, b int) []Move {
	if a+b <= d.MaxValue {
		dst = append(dst, Move{a, '+', b, a + b})
	}
	if a > b {
		dst = append(dst, Move{a, '-', b, a - b})
	}
	if b > 1 && a*b <= d.MaxValue {
		dst = append(dst, Move{a, '*', b, a * b})
	}
	if b > 1 && a%b == 0 {
		dst = append(dst, Move{a, '/', b, a / b})
	}
	return dst
}

// Moves lists the different legal moves of a state in a fixed order.
func (d Domain) Moves(state []int) []Move {
	var moves []Move
	for i, a := range state {
		for j, b := range state {
			if i != j && (a > b || a == b && i < j) {
				moves = d.combine(moves, a, b)
			}
		}
	}
	slices.SortFunc(moves, func(x, y Move) int {
		return cmp.Or(cmp.Compare(x.A, y.A), cmp.Compare(x.Op, y.Op), cmp.Compare(x.B, y.B))
	})
	return slices.Compact(moves)
}

// Next is the state after a move: the first A and the first B are gone, C stands at the end.
func Next(state []int, m Move) []int {
	after := make([]int, 0, len(state)-1)
	a, b := slices.Index(state, m.A), slices.Index(state, m.B)
	if a == b && a >= 0 {
		b = a + 1 + slices.Index(state[a+1:], m.B)
	}
	if a < 0 || b <= a && m.A == m.B || b < 0 {
		panic("BUG: a Move of another state")
	}
	for i, n := range state {
		if i != a && i != b {
			after = append(after, n)
		}
	}
	return append(after, m.C)
}

// Games calls yield with every complete game from a state and its last value. The slice is reused. Games that reach a dead
// end (no legal move while several numbers are left) are not complete.
func (d Domain) Games(state []int, yield func(game []Move, value int)) {
	d.games(state, nil, yield)
}

func (d Domain) games(state []int, game []Move, yield func([]Move, int)) {
	if len(state) == 1 {
		yield(game, state[0])
		return
	}
	for _, m := range d.Moves(state) {
		d.games(Next(state, m), append(game, m), yield)
	}
}

// Targets lists the domain's targets that can be reached from the numbers, in ascending order.
func (d Domain) Targets(numbers []int) []int {
	seen := make([]bool, d.MaxValue+1)
	d.Games(numbers, func(_ []Move, v int) { seen[v] = true })
	var targets []int
	for v := d.TargetLow; v <= d.TargetHigh; v++ {
		if seen[v] {
			targets = append(targets, v)
		}
	}
	return targets
}

// RandomSuccess is the exact probability that uniformly random legal play from a state ends at the target.
func (d Domain) RandomSuccess(state []int, target int) float64 {
	if len(state) == 1 {
		if state[0] == target {
			return 1
		}
		return 0
	}
	moves, sum := d.Moves(state), 0.0
	for _, m := range moves {
		sum += d.RandomSuccess(Next(state, m), target)
	}
	return sum / float64(max(1, len(moves)))
}

// randomGame plays uniformly random legal moves to the end; nil at a dead end.
func (d Domain) randomGame(numbers []int, rng *random.Rand) []Move {
	game := make([]Move, 0, len(numbers)-1)
	for state := numbers; len(state) > 1; {
		moves := d.Moves(state)
		if len(moves) == 0 {
			return nil
		}
		m := moves[rng.Intn(len(moves))]
		game, state = append(game, m), Next(state, m)
	}
	return game
}
