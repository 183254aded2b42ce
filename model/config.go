// Package model holds a Llama model's shape (Config), its parameters (Weights) and their published form (Policy).
package model

// Config is a Llama architecture. Sizes are counts; field names follow the paper's terms, not config.json's.
type Config struct {
	Vocab        int
	Hidden       int
	Layers       int
	Heads        int // of queries
	KVHeads      int // of keys and values; divides Heads
	HeadDim      int
	FFN          int // width of gate and up
	MaxPositions int
	NormEps      float64
	TiedHead     bool // the head is the embedding
	Rope         Rope
	BOS          int32   // -1 = none
	EOS          []int32 // ids that end a sequence (config.json and generation_config.json together)
}

// Rope says how positions turn into angles.
type Rope struct {
	Theta    float64
	Scaling  string  // "" = none, "linear", "llama3"
	Factor   float64 // linear and llama3
	LowFreq  float64 // llama3: low_freq_factor
	HighFreq float64 // llama3: high_freq_factor
	Original int     // llama3: original_max_position_embeddings
}
