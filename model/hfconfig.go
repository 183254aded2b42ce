package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"astro/internal/smallfile"
	"astro/internal/strictjson"
	"astro/model/gguf"
)

// The names of a Hugging Face folder's configuration files.
const (
	configName     = "config.json"
	generationName = "generation_config.json"
)

// maxConfigBytes bounds each of them; published ones have about 1 KB.
const maxConfigBytes = 1 << 20

// architecture is the one that this package runs.
const architecture = "LlamaForCausalLM"

// hfConfig is config.json as transformers writes it, in the form of hubs (rope_theta, rope_scaling, torch_dtype) and in that
// of transformers 5 (rope_parameters, dtype). A nil pointer or empty message is a key that is absent or null.
type hfConfig struct {
	Architectures         []string        `json:"architectures"`
	ModelType             *string         `json:"model_type"`
	VocabSize             *int            `json:"vocab_size"`
	HiddenSize            *int            `json:"hidden_size"`
	IntermediateSize      *int            `json:"intermediate_size"`
	NumHiddenLayers       *int            `json:"num_hidden_layers"`
	NumAttentionHeads     *int            `json:"num_attention_heads"`
	NumKeyValueHeads      *int            `json:"num_key_value_heads"`
	HeadDim               *int            `json:"head_dim"`
	MaxPositionEmbeddings *int            `json:"max_position_embeddings"`
	RMSNormEps            *float64        `json:"rms_norm_eps"`
	InitializerRange      *float64        `json:"initializer_range"`
	TieWordEmbeddings     bool            `json:"tie_word_embeddings"`
	RopeTheta             *float64        `json:"rope_theta"`
	RopeScaling           json.RawMessage `json:"rope_scaling"`
	RopeParameters        json.RawMessage `json:"rope_parameters"`
	PartialRotaryFactor   *float64        `json:"partial_rotary_factor"`
	HiddenAct             *string         `json:"hidden_act"`
	AttentionBias         bool            `json:"attention_bias"`
	MLPBias               bool            `json:"mlp_bias"`
	QuantizationConfig    json.RawMessage `json:"quantization_config"`
	BOS                   tokenIDs        `json:"bos_token_id"`
	EOS                   tokenIDs        `json:"eos_token_id"`
}

// LoadConfig reads config.json of a Hugging Face folder, and generation_config.json where there is one, or the metadata of a GGUF file.
// What is not supported is an error that names it.
func LoadConfig(dir string) (Config, error) {
	if gguf.Is(dir) {
		return loadGGUFConfig(dir)
	}
	config, err := readConfigFile(dir, configName)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("loading model: %s has no %s; is it a Hugging Face model folder?%s", dir, configName, ggufHint(dir))
	}
	if err != nil {
		return Config{}, fmt.Errorf("loading model: %w", err)
	}
	generation, err := readConfigFile(dir, generationName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("loading model: %w", err)
	}
	c, err := ParseConfig(config, generation)
	if err != nil {
		return Config{}, fmt.Errorf("loading model %s: %w", dir, err)
	}
	return c, nil
}

// ggufHint names a GGUF file in a folder that has nothing else.
func ggufHint(dir string) string {
	if found, _ := filepath.Glob(filepath.Join(dir, "*.gguf")); len(found) > 0 {
		return " There is a GGUF file: give its own path, " + found[0]
	}
	return ""
}

// ParseConfig reads the text of config.json and of generation_config.json (nil where there is none). End-of-sequence ids of
// both count, and only ids that are written there: transformers' defaults (1 and 2) would be words in most vocabularies. Keys
// that do not change what the model computes are ignored.
func ParseConfig(config, generation []byte) (Config, error) {
	var h hfConfig
	err := strictjson.Check(config)
	if err == nil {
		err = json.Unmarshal(config, &h)
	}
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", configName, err)
	}
	if err := h.supported(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", configName, err)
	}
	c, err := h.config()
	if err == nil {
		err = addGeneration(&c, generation)
	}
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", configName, err)
	}
	return c, nil
}

// supported refuses what would compute something else than this package does.
func (h hfConfig) supported() error {
	switch {
	case len(h.Architectures) > 0 && !slices.Equal(h.Architectures, []string{architecture}):
		return fmt.Errorf("architecture %s is not supported; supported is %s", strings.Join(h.Architectures, ", "), architecture)
	case len(h.Architectures) == 0 && h.ModelType == nil:
		return fmt.Errorf("neither architectures nor model_type is given; supported is %s", architecture)
	case h.ModelType != nil && *h.ModelType != "llama":
		return fmt.Errorf("model_type %q is not supported; supported is llama", *h.ModelType)
	case h.HiddenAct != nil && *h.HiddenAct != "silu":
		return fmt.Errorf("hidden_act %q is not supported; supported is silu", *h.HiddenAct)
	case h.AttentionBias:
		return errors.New("attention_bias is not supported; supported are models without biases")
	case h.MLPBias:
		return errors.New("mlp_bias is not supported; supported are models without biases")
	case h.PartialRotaryFactor != nil && *h.PartialRotaryFactor != 1:
		return fmt.Errorf("partial_rotary_factor %g is not supported; supported is 1", *h.PartialRotaryFactor)
	case present(h.QuantizationConfig):
		return fmt.Errorf("quantization_config (%s) is not supported; supported are f32, f16 and bf16 weights", quantMethod(h.QuantizationConfig))
	}
	return nil
}

// config fills a Config. Sizes without which nothing can be loaded must be given; others default as in transformers.
func (h hfConfig) config() (Config, error) {
	for _, s := range []struct {
		name  string
		value *int
	}{
		{"vocab_size", h.VocabSize}, {"hidden_size", h.HiddenSize}, {"intermediate_size", h.IntermediateSize},
		{"num_hidden_layers", h.NumHiddenLayers}, {"num_attention_heads", h.NumAttentionHeads},
	} {
		if s.value == nil {
			return Config{}, fmt.Errorf("%s is missing", s.name)
		}
	}
	c := Config{
		Vocab: *h.VocabSize, Hidden: *h.HiddenSize, FFN: *h.IntermediateSize, Layers: *h.NumHiddenLayers, Heads: *h.NumAttentionHeads,
		KVHeads:      or(h.NumKeyValueHeads, *h.NumAttentionHeads),
		MaxPositions: or(h.MaxPositionEmbeddings, 2048),
		NormEps:      or(h.RMSNormEps, 1e-6),
		InitStd:      or(h.InitializerRange, 0.02),
		TiedHead:     h.TieWordEmbeddings,
		BOS:          h.BOS.first(),
		EOS:          h.EOS,
	}
	var err error
	if c.HeadDim, err = h.headDim(); err != nil {
		return Config{}, err
	}
	c.Rope, err = h.rope(c.MaxPositions)
	return c, err
}

func (h hfConfig) headDim() (int, error) {
	if h.HeadDim != nil {
		return *h.HeadDim, nil
	}
	if *h.NumAttentionHeads < 1 || *h.HiddenSize%*h.NumAttentionHeads != 0 {
		return 0, fmt.Errorf("hidden_size %d is not a multiple of num_attention_heads %d, and head_dim is not given",
			*h.HiddenSize, *h.NumAttentionHeads)
	}
	return *h.HiddenSize / *h.NumAttentionHeads, nil
}

// hfRope is rope_scaling (hubs) or rope_parameters (transformers 5).
type hfRope struct {
	RopeType     string   `json:"rope_type"`
	Type         string   `json:"type"` // before rope_type
	Theta        *float64 `json:"rope_theta"`
	Factor       *float64 `json:"factor"`
	LowFreq      *float64 `json:"low_freq_factor"`
	HighFreq     *float64 `json:"high_freq_factor"`
	Original     *int     `json:"original_max_position_embeddings"`
	PartialRatio *float64 `json:"partial_rotary_factor"`
}

// rope reads either form; like transformers, rope_scaling wins where both are there, and its own rope_theta over the outer one.
func (h hfConfig) rope(maxPositions int) (Rope, error) {
	text := h.RopeScaling
	if !present(text) {
		text = h.RopeParameters
	}
	var p hfRope
	if present(text) {
		if err := decodeRope(text, &p); err != nil {
			return Rope{}, err
		}
	}
	r := Rope{Theta: or(p.Theta, or(h.RopeTheta, 10000))}
	kind := p.RopeType
	if kind == "" {
		kind = p.Type
	}
	switch kind {
	case "", "default":
		return r, nil
	case ScalingLinear, ScalingLlama3:
	default:
		return Rope{}, unsupportedRope(kind)
	}
	if p.Factor == nil {
		return Rope{}, fmt.Errorf("rope type %q has no factor", kind)
	}
	r.Scaling, r.Factor = kind, *p.Factor
	if kind == ScalingLinear {
		return r, nil
	}
	if p.LowFreq == nil || p.HighFreq == nil {
		return Rope{}, errors.New(`rope type "llama3" has no low_freq_factor or no high_freq_factor`)
	}
	r.LowFreq, r.HighFreq, r.Original = *p.LowFreq, *p.HighFreq, or(p.Original, maxPositions)
	return r, nil
}

// decodeRope refuses parameters per kind of layer, which are objects inside the object: no Llama has them, and reading
// past them would silently mean "default".
func decodeRope(text json.RawMessage, p *hfRope) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("rope parameters: %w", err)
	}
	for name, value := range fields {
		if len(value) > 0 && value[0] == '{' {
			return fmt.Errorf("rope parameters by layer type (%q) are not supported", name)
		}
	}
	if err := json.Unmarshal(text, p); err != nil {
		return fmt.Errorf("rope parameters: %w", err)
	}
	if p.PartialRatio != nil && *p.PartialRatio != 1 {
		return fmt.Errorf("partial_rotary_factor %g is not supported; supported is 1", *p.PartialRatio)
	}
	return nil
}

// addGeneration adds what generation_config.json says about where a sequence begins and ends.
func addGeneration(c *Config, generation []byte) error {
	if generation == nil {
		return nil
	}
	var g struct {
		BOS tokenIDs `json:"bos_token_id"`
		EOS tokenIDs `json:"eos_token_id"`
	}
	err := strictjson.Check(generation)
	if err == nil {
		err = json.Unmarshal(generation, &g)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", generationName, err)
	}
	if c.BOS < 0 {
		c.BOS = g.BOS.first()
	}
	for _, id := range g.EOS {
		if !slices.Contains(c.EOS, id) {
			c.EOS = append(c.EOS, id)
		}
	}
	return nil
}

// tokenIDs is one id, a list of ids, or nothing; old files write -1 for nothing.
type tokenIDs []int32

// UnmarshalJSON reads a number, an array of numbers or null.
func (t *tokenIDs) UnmarshalJSON(text []byte) error {
	*t = nil
	var list []int32
	if len(text) > 0 && text[0] == '[' {
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
	} else {
		var one *int32
		if err := json.Unmarshal(text, &one); err != nil {
			return err
		}
		if one != nil {
			list = []int32{*one}
		}
	}
	for _, id := range list {
		if id != -1 && !slices.Contains(*t, id) {
			*t = append(*t, id)
		}
	}
	return nil
}

func (t tokenIDs) first() int32 {
	if len(t) == 0 {
		return -1
	}
	return t[0]
}

// readConfigFile reads a JSON file of dir within its limit.
func readConfigFile(dir, name string) ([]byte, error) {
	return smallfile.Read(filepath.Join(dir, name), maxConfigBytes)
}

// quantMethod names a quantisation for an error.
func quantMethod(text json.RawMessage) string {
	var q struct {
		Method string `json:"quant_method"`
	}
	if json.Unmarshal(text, &q) != nil || q.Method == "" {
		return "unknown method"
	}
	return q.Method
}

// present says whether a key is there with something in it.
func present(text json.RawMessage) bool {
	s := string(text)
	return s != "" && s != "null" && s != "{}"
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}
