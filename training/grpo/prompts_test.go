package grpo

import (
	"encoding/json"
	"slices"
	"testing"
)

// Every problem comes once in an epoch, and no two groups draw from one seed.
func TestPromptsEpochs(t *testing.T) {
	p := newPrompts(5, 1, Band{0, 1})
	seeds := map[uint64]bool{}
	for range 3 {
		var epoch []int
		for range 5 {
			i, seed := p.next()
			epoch = append(epoch, i)
			seeds[seed] = true
		}
		if slices.Sort(epoch); !slices.Equal(epoch, []int{0, 1, 2, 3, 4}) {
			t.Errorf("an epoch has the problems %v", epoch)
		}
	}
	if len(seeds) != 15 {
		t.Errorf("15 groups have %d seeds", len(seeds))
	}
}

// What was always wrong is passed over three times, then tried again; once its rate is within the band it comes in each epoch.
func TestBand(t *testing.T) {
	p := newPrompts(3, 1, Band{.1, .9})
	p.saw(1, 0)
	p.saw(2, .5)
	count := func(groups int) map[int]int {
		n := map[int]int{}
		for range groups {
			i, _ := p.next()
			n[i]++
		}
		return n
	}
	if n := count(2 * 3); n[1] != 0 || n[0] != 3 || n[2] != 3 {
		t.Errorf("three epochs gave %v; want the hopeless problem passed over", n)
	}
	if n := count(3); n[1] != 1 {
		t.Errorf("the fourth epoch gave %v; want the hopeless problem tried again", n)
	}
	p.saw(1, 1)
	if p.Rates[1].Pass != .5 || p.Rates[1].Seen != 2 {
		t.Errorf("got %+v; want the mean of both groups", p.Rates[1])
	}
	if n := count(6); n[1] != 2 {
		t.Errorf("two epochs gave %v; want the problem in both", n)
	}
	p.Rates = []rate{{Seen: 1}, {Seen: 1}, {Seen: 1}} // nothing is within the band: it still ends
	if n := count(3); len(n) != 3 {
		t.Errorf("got %v; want all problems tried again", n)
	}
}

// Prompts go on from their JSON form, and a copy leaves the original alone.
func TestPromptsGoOn(t *testing.T) {
	p := newPrompts(7, 9, Band{.1, .9})
	for range 10 {
		i, _ := p.next()
		p.saw(i, float64(i%3)/2)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	resumed := newPrompts(7, 9, Band{.1, .9})
	if err := json.Unmarshal(text, resumed); err != nil {
		t.Fatal(err)
	}
	branch := p.copy()
	branch.saw(0, 1)
	branch.next()
	for n := range 30 {
		i, a := p.next()
		j, b := resumed.next()
		if i != j || a != b {
			t.Fatalf("group %d: problem %d with seed %d; want %d with %d", n, j, b, i, a)
		}
	}
}
