package math

import (
	"hash/fnv"
)

// Sample is one answer to one problem, as it is kept: one line of samples.jsonl (docs/formats/bench-math.md).
type Sample struct {
	ID           string `json:"id"`               // of the problem
	Greedy       bool   `json:"greedy,omitempty"` // of the pass at temperature 0
	Index        int    `json:"sample"`           // from 0; 0 for greedy
	Seed         int64  `json:"seed"`
	Text         string `json:"text"`
	Reasoning    string `json:"reasoning,omitempty"`
	Finish       string `json:"finish_reason"`
	PromptTokens int    `json:"prompt_tokens"`
	Tokens       int    `json:"tokens"`

	// What follows is computed from what stands above, and computed anew whenever the line is read.
	Gold       string `json:"gold"`
	Correct    bool   `json:"correct"`
	Boxed      bool   `json:"correct_boxed"` // correct by its box alone, without the fallbacks for answers outside of one
	Extracted  string `json:"extracted"`     // the answer; "" = none
	Rule       string `json:"rule"`          // that found it
	Reason     string `json:"reason"`        // of the verdict
	Backtracks int    `json:"backtracks"`
}

// Verdict is what a verifier says about a response.
type Verdict struct {
	Correct   bool
	Extracted string // "" = no answer
	Rule      string
	Reason    string
}

// Grader is the verifier. Its functions are pure and are called by one goroutine.
type Grader struct {
	Boxed   func(gold, response string) Verdict // takes the last box alone
	Lenient func(gold, response string) Verdict // falls back on other places of an answer
	Equal   func(a, b string) bool              // whether two answers are the same, for votes
}

// grade fills the computed part. An answer that was cut off is graded by its box alone: a number that the cut left last is
// none that the model meant to be its answer.
func (s *Sample) grade(g Grader, gold string, phrases Phrases) {
	boxed := g.Boxed(gold, s.Text)
	verdict := boxed
	if s.Finish != FinishLength && !boxed.Correct {
		verdict = g.Lenient(gold, s.Text)
	}
	s.Gold, s.Correct, s.Boxed = gold, verdict.Correct, boxed.Correct
	s.Extracted, s.Rule, s.Reason = verdict.Extracted, verdict.Rule, verdict.Reason
	s.Backtracks = phrases.Count(s.Reasoning) + phrases.Count(s.Text)
}

// key identifies a sample within a run.
type key struct {
	problem string
	greedy  bool
	index   int
}

func (s *Sample) key() key { return key{s.ID, s.Greedy, s.Index} }

// seed is fixed for a sample, so that a deterministic server answers a second run alike. It fits into 31 bits, which every
// server takes; the seeds of one problem's samples differ for sure.
func (k key) seed(base uint64) int64 {
	h := fnv.New64a()
	h.Write([]byte(k.problem))
	return int64((h.Sum64() + base*0x9e3779b97f4a7c15 + uint64(k.index)) & (1<<31 - 1))
}
