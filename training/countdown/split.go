package countdown

import "astro/training/random"

// Split is the domain's multisets in three parts, 80/10/10. No multiset is in two parts, so that no reordering of a training
// problem is ever tested.
type Split struct {
	Train, Val, Test [][]int // each multiset in ascending order
}

// splitSeed is fixed: models trained by different runs are tested on the same multisets.
const splitSeed = 7

// Split divides the multisets; the same domain always gives the same parts.
func (d Domain) Split() Split {
	all := d.Multisets()
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	shuffled := make([][]int, len(all))
	for i, j := range random.New(splitSeed, 0).Shuffled(order) {
		shuffled[i] = all[j]
	}
	a, b := len(all)*8/10, len(all)*9/10
	return Split{Train: shuffled[:a], Val: shuffled[a:b], Test: shuffled[b:]}
}

// Multisets lists all choices of the given numbers, each in ascending order.
func (d Domain) Multisets() [][]int {
	var all [][]int
	var grow func(prefix []int)
	grow = func(prefix []int) {
		if len(prefix) == d.Numbers {
			all = append(all, append([]int(nil), prefix...))
			return
		}
		from := d.Low
		if len(prefix) > 0 {
			from = prefix[len(prefix)-1]
		}
		for n := from; n <= d.High; n++ {
			grow(append(prefix, n))
		}
	}
	grow(nil)
	return all
}

// Problems lists every solvable problem of the multisets, numbers in ascending order.
func (d Domain) Problems(multisets [][]int) []Problem {
	var problems []Problem
	for _, m := range multisets {
		for _, t := range d.Targets(m) {
			problems = append(problems, Problem{Numbers: m, Target: t})
		}
	}
	return problems
}

// Sample draws n different problems of the multisets and puts the numbers of each in random order; all of them if there are
// fewer.
func (d Domain) Sample(multisets [][]int, n int, rng *random.Rand) []Problem {
	all := d.Problems(multisets)
	n = min(n, len(all))
	for i := range n {
		j := i + rng.Intn(len(all)-i)
		all[i], all[j] = all[j], all[i]
		all[i].Numbers = rng.Shuffled(all[i].Numbers)
	}
	return all[:n]
}
