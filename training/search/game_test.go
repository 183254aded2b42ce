package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// game is a tiny domain: a step is one token, one of ways; after depth steps the answer ends. wins says which paths are right.
type game struct {
	name  int32 // the prompt
	ways  int
	depth int
	wins  func(path []int32) bool
	fails bool // its grader does
}

func (g game) Prompt() []int32              { return []int32{1000 + g.name} }
func (g game) Step([]int32) Limit           { return Limit{MaxTokens: 1, StopTokens: []int32{0, 1, 2, 3}} }
func (g game) Rollout(answer []int32) Limit { return Limit{MaxTokens: g.depth - len(answer)} }
func (g game) Text(tokens []int32) string   { return strings.Trim(fmt.Sprint(tokens), "[]") }

func (g game) Judge(answer []int32, at int, end End) (Verdict, error) {
	if end == EndLength {
		return Verdict{Terminal: true, Reason: "unfinished"}, nil
	}
	if len(answer) < g.depth {
		return Verdict{}, nil
	}
	v, err := g.Grade(answer)
	v.Terminal = true
	return v, err
}

func (g game) Grade(answer []int32) (Verdict, error) {
	if g.fails {
		return Verdict{}, errors.New("the grader is out of order")
	}
	v := Verdict{Answer: g.Text(answer), Reason: "wrong"}
	if len(answer) == g.depth && g.wins(answer) {
		v.Correct, v.Score, v.Reason = true, 1, "correct"
	}
	return v, nil
}

// exact is the probability that uniform play wins from a path.
func (g game) exact(path []int32) float64 {
	if len(path) == g.depth {
		if g.wins(path) {
			return 1
		}
		return 0
	}
	sum := 0.0
	for way := range g.ways {
		sum += g.exact(append(slices.Clone(path), int32(way)))
	}
	return sum / float64(g.ways)
}

// third wins where the sum of the moves leaves no rest by three: no step alone decides.
func third(path []int32) bool {
	sum := int32(0)
	for _, x := range path {
		sum += x * (x + 1)
	}
	return sum%3 == 0
}

// enumerator plays a game of so many ways uniformly and exactly: sample i is continuation i, in turn.
type enumerator struct{ ways int }

func (e enumerator) Sample(_ context.Context, draws []Draw) []Drawn {
	out := make([]Drawn, len(draws))
	for i, d := range draws {
		for s := range d.N {
			var tokens []int32
			for range d.Limit.MaxTokens {
				tokens = append(tokens, int32(s%e.ways))
				s /= e.ways
			}
			out[i].Samples = append(out[i].Samples, Sample{Tokens: tokens, Drawn: len(tokens), Logprob: -float64(len(tokens)) * math.Log(float64(e.ways)), End: EndStep})
		}
	}
	return out
}

// dice plays at random, each sample from its own seed as an engine does; what it draws depends on the draw alone, when it answers does not.
type dice struct {
	ways int
	late bool                  // answers come after a random time
	fail func(d Draw) error    // may fail a draw
	seen func(draws []Draw)    // gets what is asked for
	end  End                   // of every sample; "" = EndStep
	skew func(way int) float64 // weight of a way; nil = 1
}

func (p dice) Sample(ctx context.Context, draws []Draw) []Drawn {
	if p.seen != nil {
		p.seen(draws)
	}
	if p.late {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	}
	out := make([]Drawn, len(draws))
	for i, d := range draws {
		if p.fail != nil && p.fail(d) != nil {
			out[i].Err = p.fail(d)
			continue
		}
		for s := range d.N {
			out[i].Samples = append(out[i].Samples, p.sample(d, s))
		}
	}
	return out
}

func (p dice) sample(d Draw, i int) Sample {
	rng := rand.New(rand.NewPCG(d.Seed, uint64(i)))
	s := Sample{End: EndStep}
	if p.end != "" {
		s.End = p.end
	}
	for range d.Limit.MaxTokens {
		token, weight := p.way(rng)
		s.Tokens, s.Logprob, s.Drawn = append(s.Tokens, token), s.Logprob+math.Log(weight), s.Drawn+1
	}
	return s
}

// way draws a token and says its probability.
func (p dice) way(rng *rand.Rand) (int32, float64) {
	weights, sum := make([]float64, p.ways), 0.0
	for w := range weights {
		if weights[w] = 1; p.skew != nil {
			weights[w] = p.skew(w)
		}
		sum += weights[w]
	}
	x := rng.Float64() * sum
	for w, weight := range weights {
		if x -= weight; x < 0 || w == p.ways-1 {
			return int32(w), weight / sum
		}
	}
	panic("BUG: got no way; want one")
}

// tossed is a set of games with names of their own.
func tossed(n int) []Problem {
	problems := make([]Problem, n)
	for i := range problems {
		problems[i] = Problem{ID: fmt.Sprint("game ", i), Text: "win", Domain: game{name: int32(i), ways: 3, depth: 4, wins: third}}
	}
	return problems
}
