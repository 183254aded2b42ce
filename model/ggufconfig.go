package model

import (
	"errors"
	"fmt"
	"slices"

	"astro/model/gguf"
)

// Names in GGUF files of Llama models.
const (
	ggufArchitecture = "llama"
	ggufPrefix       = ggufArchitecture + "."
	ropeFactorsName  = "rope_freqs.weight"
	ggufHeadName     = "output.weight"
)

// loadGGUFConfig reads the Config of a GGUF file.
func loadGGUFConfig(path string) (Config, error) {
	f, err := gguf.OpenFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("loading model: %w", err)
	}
	defer f.Close()
	c, err := ggufConfig(f)
	if err != nil {
		return Config{}, fmt.Errorf("loading model %s: %w", path, err)
	}
	return c, nil
}

// ggufConfig is ParseConfig for a GGUF file. Keys that do not change what the model computes are ignored; a head that is not there is
// the embedding.
func ggufConfig(f *gguf.File) (Config, error) {
	k := f.Keys()
	if err := ggufSupported(k); err != nil {
		return Config{}, err
	}
	integer := func(name string, otherwise int) int { return k.Int(ggufPrefix+name, otherwise) }
	heads := integer("attention.head_count", 0)
	c := Config{
		Vocab: integer("vocab_size", ggufVocab(f)), Hidden: integer("embedding_length", 0), FFN: integer("feed_forward_length", 0),
		Layers: integer("block_count", 0), Heads: heads, KVHeads: integer("attention.head_count_kv", heads),
		MaxPositions: integer("context_length", 0), NormEps: k.Float(ggufPrefix+"attention.layer_norm_rms_epsilon", 0), InitStd: 0.02,
		BOS: -1, EOS: ggufEnds(k),
	}
	if k.Has(bosKey) {
		c.BOS = int32(k.Int(bosKey, 0))
	}
	_, head := f.Tensor(ggufHeadName)
	c.TiedHead = !head
	var err error
	if c.HeadDim, err = ggufHeadDim(k, c); err == nil {
		c.Rope, err = ggufRope(f, k, c)
	}
	if err := errors.Join(k.Err, err); err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("metadata: %w", err)
	}
	return c, nil
}

// ggufSupported refuses what would compute something else than this package does.
func ggufSupported(k *gguf.Keys) error {
	name := k.Text("general.architecture")
	switch {
	case k.Err != nil:
		return k.Err
	case name != ggufArchitecture:
		return fmt.Errorf("architecture %.40q is not supported; supported is %q", name, ggufArchitecture)
	case k.Int("split.count", 1) > 1:
		return errors.New("it is one of several parts of a model; join them with llama-gguf-split --merge")
	case k.Int(ggufPrefix+"expert_count", 0) > 0:
		return errors.New("models with experts are not supported")
	case k.Has("adapter.type"):
		return errors.New("it is an adapter and not a model; merge it into its model first")
	}
	for _, key := range []string{"embedding_length", "block_count", "feed_forward_length", "attention.head_count", "context_length", "attention.layer_norm_rms_epsilon"} {
		if !k.Has(ggufPrefix + key) {
			return fmt.Errorf("metadata key %q is missing", ggufPrefix+key)
		}
	}
	for _, key := range []string{"logit_scale", "residual_scale", "embedding_scale", "attention.scale", "attention.clamp_kqv"} {
		if scale := k.Float(ggufPrefix+key, 1); scale != 1 && scale != 0 {
			return fmt.Errorf("metadata key %q is %g; this is not supported", ggufPrefix+key, scale)
		}
	}
	if causal := k.Bool(ggufPrefix+"attention.causal", true); k.Err == nil && !causal {
		return errors.New("attention that is not causal is not supported")
	}
	return k.Err
}

// ggufVocab is the number of rows of the embedding, for files that do not say it otherwise.
func ggufVocab(f *gguf.File) int {
	t, ok := f.Tensor("token_embd.weight")
	if !ok {
		return 0
	}
	return t.Dims[0]
}

func ggufHeadDim(k *gguf.Keys, c Config) (int, error) {
	key, value := k.Int(ggufPrefix+"attention.key_length", 0), k.Int(ggufPrefix+"attention.value_length", 0)
	if key == 0 && (c.Heads < 1 || c.Hidden%c.Heads != 0) {
		return 0, fmt.Errorf("embedding_length %d is not a multiple of attention.head_count %d, and attention.key_length is not given", c.Hidden, c.Heads)
	}
	if key == 0 {
		key = c.Hidden / c.Heads
	}
	if value != 0 && value != key {
		return 0, fmt.Errorf("attention.key_length %d and attention.value_length %d differ; this is not supported", key, value)
	}
	if turned := k.Int(ggufPrefix+"rope.dimension_count", key); turned != key {
		return 0, fmt.Errorf("rope.dimension_count %d of heads of %d is not supported; supported are models that turn all", turned, key)
	}
	return key, nil
}

const (
	bosKey          = "tokenizer.ggml.bos_token_id"
	tokenTypes      = "tokenizer.ggml.token_type"
	controlType     = 3
	userDefinedType = 4 // older converters gave it to all added tokens of SentencePiece models
)

// endNames are added tokens that end an answer whatever the file calls its end: files name one end only, and a model that follows
// instructions has that of a turn beside that of a text.
var endNames = []string{"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>"}

// ggufEnds are the ids that end a sequence: eos, eot and eom of the metadata, and the added tokens among endNames.
func ggufEnds(k *gguf.Keys) (ends []int32) {
	add := func(id int32) {
		if !slices.Contains(ends, id) {
			ends = append(ends, id)
		}
	}
	for _, name := range []string{"eos", "eot", "eom"} {
		if key := "tokenizer.ggml." + name + "_token_id"; k.Has(key) {
			add(int32(k.Int(key, 0)))
		}
	}
	types := k.Ints(tokenTypes)
	for id, token := range k.Texts("tokenizer.ggml.tokens") {
		if id < len(types) && (types[id] == controlType || types[id] == userDefinedType) && slices.Contains(endNames, token) {
			add(int32(id))
		}
	}
	return ends
}
