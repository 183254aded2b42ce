// Package reward decides whether an answer is right and says why. Graders are pure and bounded: no model, no clock, no
// goroutine, no code execution, and a limit on everything that they read.
//
// Verify grades an answer to a mathematical problem: it takes the answer out of a response and compares it with the known one
// by Equal. Below it, latex reads formulas, algebra compares their values, precise computes.
package reward

// Reason says why a grader decided as it did. It is a stable word: metrics count by it.
type Reason string

// Reasons that every grader may give; a grader may add its own.
const (
	ReasonCorrect   Reason = "correct"
	ReasonWrong     Reason = "wrong"      // complete and well-formed, but not the right answer
	ReasonMalformed Reason = "malformed"  // not the expected form
	ReasonNoAnswer  Reason = "no_answer"  // it stops before an answer is stated
	ReasonTooLong   Reason = "over_limit" // longer than the grader reads, or costlier than it computes
)

// Reasons of the mathematical verifier alone.
const (
	ReasonHedge     Reason = "hedge"           // several different answers side by side where one is asked for
	ReasonUndefined Reason = "undefined"       // a division by zero or the like
	ReasonBadGold   Reason = "unreadable_gold" // the known answer is empty, or no formula: only its text was compared
)
