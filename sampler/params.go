// Package sampler turns one row of logits into a token and its log-probability.
//
// It has a host form (plain Go, for the go backend and as the oracle) and a device form (a graph, for XLA); both choose the
// same token from the same row. A choice depends on the row alone: its logits, Params, history and position, never on the
// batch it runs in.
package sampler

// Params says how the next token is drawn. The zero value is not valid: start from Greedy or Default.
//
// Order of application: LogitBias and banned tokens, repetition, presence and frequency penalties, temperature, min-p,
// top-k, top-p.
type Params struct {
	Temperature       float32           // 0 = greedy (arg max after bias and penalties); else in (0, 2]
	TopK              int               // keep the k most probable tokens; 0 = all
	TopP              float32           // keep the smallest set with at least this mass, in (0, 1]; 1 = all
	MinP              float32           // drop tokens below this fraction of the best one's probability, in [0, 1]; 0 = none
	RepetitionPenalty float32           // > 0; 1 = none; over prompt and output (Keskar et al. 2019)
	PresencePenalty   float32           // in [-2, 2]; 0 = none; over output only
	FrequencyPenalty  float32           // in [-2, 2]; 0 = none; over output only
	LogitBias         map[int32]float32 // token id -> added to its logit, in [-100, 100]
	Seed              uint64            // of the counter-based generator; (Seed, position) decides the draw
}

// Default is sampling from the model's own distribution: temperature 1 and nothing else.
func Default() Params { return Params{Temperature: 1, TopP: 1, RepetitionPenalty: 1} }

// Greedy always takes the most probable token.
func Greedy() Params { return Params{TopP: 1, RepetitionPenalty: 1} }

// MaxTopLogprobs bounds the number of alternatives that are returned with a token.
const MaxTopLogprobs = 20

// Row is everything but the logits that decides one choice.
type Row struct {
	Params Params
	Prompt []int32 // token ids of the prompt; read only
	Output []int32 // token ids generated so far; read only
	Banned []int32 // ids that must not be drawn now (stop tokens before min_tokens); read only

	// Allowed, if it is not nil, has a bit for each token that may be drawn (token t is bit t%64 of word t/64): the rest is banned, as a
	// grammar says. It has AllowedWords(vocab) words or more; read only.
	Allowed []uint64

	TopN int // alternatives wanted, 0 to MaxTopLogprobs
}

// AllowedWords is the length of Row.Allowed for a vocabulary.
func AllowedWords(vocab int) int { return (vocab + 63) / 64 }

// Position is the counter of the random draw: the index that the drawn token will have in its sequence.
func (r *Row) Position() int { return len(r.Prompt) + len(r.Output) }

// TokenLogprob is a token with its log-probability under the raw logits (log-softmax at temperature 1, before penalties,
// bias and truncation).
type TokenLogprob struct {
	Token   int32
	Logprob float32
}

// Choice is a drawn token.
type Choice struct {
	TokenLogprob
	Sampled float32        // log-probability in the distribution it was drawn from; 0 for greedy
	Top     []TokenLogprob // the Row's TopN most probable tokens under the raw logits, best first
}
