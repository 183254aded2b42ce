// Package training is the online loop: gather, score, step, check, publish, beside a server that answers requests meanwhile.
//
// Policies knows every version of the weights, serves one of them and finds the way back. Loop learns from prompts that it has the
// engine answer, from completions that clients rated, or from both. It can stop after any arrow and go on after a restart: what counts
// is in the store, what was learned is in a checkpoint, and the two become true together (docs/ARCHITECTURE.md, the walk of one update).
package training
