package search

import (
	"context"
	"errors"
	"hash/fnv"
)

// Limit bounds one sample. It always ends at the model's own end of sequence.
type Limit struct {
	MaxTokens  int
	StopTokens []int32 // ids that end it and belong to it
	// StepEnd, if not nil, says after each new token whether tokens hold a whole step, and how many of them belong to it. It is called
	// from several goroutines and must look at its argument alone.
	StepEnd func(tokens []int32) (keep int, ok bool)
}

// End says how a sample ended.
type End string

// How a sample may end.
const (
	EndStep     End = "step"     // a stop token, or where StepEnd says
	EndSequence End = "sequence" // the model ended the answer
	EndLength   End = "length"   // MaxTokens, or the model's context
)

// Draw asks a Policy for N samples that follow a prompt. Sample i depends on Seed, i, Prompt and Limit alone.
type Draw struct {
	Prompt  []int32
	N       int
	Limit   Limit
	Seed    uint64
	Version int64 // of the model; 0 = the current one
}

// Sample is one continuation.
type Sample struct {
	Tokens  []int32 // the one that ended it included
	Logprob float64 // sum over Tokens, under the model's own distribution
	Drawn   int     // tokens drawn for it, at least len(Tokens)
	End     End
}

// Drawn answers a Draw: N samples, or why there are none.
type Drawn struct {
	Samples []Sample
	Version int64 // of the model that drew them
	Err     error
}

// Policy draws. The answers are in the order of the draws; one that fails leaves the others alone. Sample may be called from several
// goroutines.
type Policy interface {
	Sample(ctx context.Context, draws []Draw) []Drawn
}

// ErrStopped wraps what makes going on with any problem useless: the engine is closed.
var ErrStopped = errors.New("the policy has stopped")

// Kinds of draws, so that seeds of different ones have nothing in common.
const (
	drawSteps uint64 = iota + 1
	drawRollouts
)

// drawSeed is the seed of the draws from one node: no clock and no order of arrival in it.
func drawSeed(seed uint64, problem string, node int, kind uint64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(problem))
	for _, x := range []uint64{h.Sum64(), uint64(node), kind} {
		seed = mix(seed ^ mix(x+0x9e3779b97f4a7c15))
	}
	return seed
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
