package model_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"astro/model"
)

// hub is config.json of Llama 3.2 1B as hubs have it.
const hub = `{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000,
 "eos_token_id": [128001, 128008, 128009], "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
 "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32,
 "num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 32.0,
 "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
 "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 128256}`

// with gives hub with some keys changed; a nil value removes its key.
func with(t *testing.T, changes map[string]any) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(hub), &m); err != nil {
		t.Fatal(err)
	}
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func llama32(t *testing.T) model.Config {
	t.Helper()
	c, err := model.ParseConfig([]byte(hub), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigOfLlama32(t *testing.T) {
	want := model.Config{Vocab: 128256, Hidden: 2048, Layers: 16, Heads: 32, KVHeads: 8, HeadDim: 64, FFN: 8192, MaxPositions: 131072,
		NormEps: 1e-5, TiedHead: true, BOS: 128000, EOS: []int32{128001, 128008, 128009}, InitStd: 0.02,
		Rope: model.Rope{Theta: 500000, Scaling: "llama3", Factor: 32, LowFreq: 1, HighFreq: 4, Original: 8192}}
	got := llama32(t)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.Params() != 1_235_814_400 {
		t.Errorf("%d parameters; Llama 3.2 1B has 1,235,814,400", got.Params())
	}
}

// TestConfigForms: what hubs write and what transformers 5 writes mean the same.
func TestConfigForms(t *testing.T) {
	want := llama32(t)
	scaling := map[string]any{"rope_type": "llama3", "factor": 32, "high_freq_factor": 4, "low_freq_factor": 1, "original_max_position_embeddings": 8192}
	inside := maps.Clone(scaling)
	inside["rope_theta"] = 500000
	legacy := maps.Clone(scaling)
	legacy["type"] = "llama3"
	delete(legacy, "rope_type")
	for name, changes := range map[string]map[string]any{
		"transformers 5":   {"rope_parameters": inside, "rope_scaling": nil, "rope_theta": nil, "torch_dtype": nil, "dtype": "bfloat16"},
		"theta outside":    {"rope_parameters": scaling, "rope_scaling": nil},
		"both":             {"rope_parameters": inside},
		"type":             {"rope_scaling": legacy},
		"head_dim derived": {"head_dim": nil},
		"unknown key":      {"some_new_key": map[string]any{"a": 1}},
		"no architectures": {"architectures": nil},
	} {
		got, err := model.ParseConfig(with(t, changes), nil)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, want)
		}
	}
}

// TestConfigDefaults: keys that old files leave out mean what transformers takes them for.
func TestConfigDefaults(t *testing.T) {
	c, err := model.ParseConfig([]byte(`{"model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 128,
		"num_hidden_layers": 2, "num_attention_heads": 4, "rope_scaling": null, "eos_token_id": null, "bos_token_id": -1}`), nil)
	want := model.Config{Vocab: 100, Hidden: 64, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 16, FFN: 128, MaxPositions: 2048, NormEps: 1e-6,
		BOS: -1, InitStd: 0.02, Rope: model.Rope{Theta: 10000}}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, c, want)
	}
}

func TestConfigTakesIDsOfGeneration(t *testing.T) {
	c, err := model.ParseConfig(with(t, map[string]any{"eos_token_id": 128001, "bos_token_id": nil}),
		[]byte(`{"bos_token_id": 128000, "eos_token_id": [128001, 128009], "temperature": 0.6}`))
	if err != nil || c.BOS != 128000 || !reflect.DeepEqual(c.EOS, []int32{128001, 128009}) {
		t.Errorf("%v: got bos %d, eos %v", err, c.BOS, c.EOS)
	}
}

// TestSec_R18ConfigRefuses: what would compute something else, or too much, is named together with what would do.
func TestSec_R18ConfigRefuses(t *testing.T) {
	rope := func(kind string) map[string]any { return map[string]any{"rope_type": kind, "factor": 2.0} }
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"architectures", []string{"MistralForCausalLM"}, "architecture MistralForCausalLM is not supported; supported is LlamaForCausalLM"},
		{"architectures", []string{"LlamaForSequenceClassification"}, "LlamaForSequenceClassification is not supported"},
		{"model_type", "qwen2", `model_type "qwen2" is not supported`},
		{"quantization_config", map[string]any{"quant_method": "gptq"}, "quantization_config (gptq) is not supported; supported are f32, f16 and bf16"},
		{"attention_bias", true, "attention_bias is not supported"},
		{"mlp_bias", true, "mlp_bias is not supported"},
		{"hidden_act", "gelu", `hidden_act "gelu" is not supported; supported is silu`},
		{"rope_scaling", rope("yarn"), `rope type "yarn" is not supported; supported are default, linear and llama3`},
		{"rope_scaling", rope("dynamic"), `rope type "dynamic"`},
		{"rope_scaling", rope("longrope"), `rope type "longrope"`},
		{"rope_scaling", rope("llama3"), "no low_freq_factor"},
		{"rope_scaling", map[string]any{"type": "linear"}, "has no factor"},
		{"rope_scaling", map[string]any{"type": "linear", "factor": 0.5}, "factor is 0.5"},
		{"rope_scaling", map[string]any{"full_attention": rope("linear")}, "by layer type"},
		{"rope_scaling", map[string]any{"rope_type": "default", "partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"},
		{"rope_theta", -1, "rope_theta is -1"},
		{"vocab_size", nil, "vocab_size is missing"},
		{"vocab_size", 1 << 40, "vocab_size is 1099511627776; want 1 to"},
		{"hidden_size", 4096.5, "4096.5"},
		{"hidden_size", json.Number("9223372036854775807"), "hidden_size is 9223372036854775807; want 1 to"},
		{"hidden_size", json.Number("9223372036854775808"), "hidden_size"},
		{"intermediate_size", -1, "intermediate_size is -1"},
		{"num_hidden_layers", 1000000, "num_hidden_layers is 1000000"},
		{"num_attention_heads", 0, "num_attention_heads is 0"},
		{"num_key_value_heads", 5, "num_attention_heads 32 is not a multiple of num_key_value_heads 5"},
		{"head_dim", 63, "head_dim 63 is odd"},
		{"max_position_embeddings", 1 << 30, "max_position_embeddings is 1073741824"},
		{"rms_norm_eps", 0, "rms_norm_eps is 0"},
		{"initializer_range", 7, "initializer_range is 7"},
		{"eos_token_id", []int{128001, 128256}, "eos_token_id 128256 is outside the vocabulary of 128256"},
		{"bos_token_id", -5, "bos_token_id -5 is outside"},
	} {
		_, err := model.ParseConfig(with(t, map[string]any{c.key: c.value}), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "config.json: ") {
			t.Errorf("%s = %v: got %v; want an error with %q", c.key, c.value, err, c.want)
		}
	}
	if _, err := model.ParseConfig(with(t, map[string]any{"head_dim": nil, "num_attention_heads": 24, "num_key_value_heads": 8}), nil); err == nil ||
		!strings.Contains(err.Error(), "hidden_size 2048 is not a multiple of num_attention_heads 24, and head_dim is not given") {
		t.Errorf("sizes that do not divide: got %v", err)
	}
}

func TestLoadConfigNamesTheFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := model.LoadConfig(dir); err == nil || !strings.Contains(err.Error(), dir+" has no config.json") {
		t.Errorf("empty folder: got %v", err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json", hub)
	write("generation_config.json", "{")
	if _, err := model.LoadConfig(dir); err == nil || !strings.Contains(err.Error(), "generation_config.json") {
		t.Errorf("broken generation_config.json: got %v", err)
	}
	write("config.json", hub+strings.Repeat(" ", 1<<20))
	if _, err := model.LoadConfig(dir); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("huge config.json: got %v", err)
	}
}

// TestWeightBytesFollowDType: norms stay f32, everything else halves.
func TestWeightBytesFollowDType(t *testing.T) {
	c := llama32(t)
	norms := int64(2*c.Layers+1) * int64(c.Hidden)
	if got, want := c.WeightBytes(f32), 4*c.Params(); got != want {
		t.Errorf("f32 takes %d bytes; want %d", got, want)
	}
	if got, want := c.WeightBytes(bf16), 2*c.Params()+2*norms; got != want {
		t.Errorf("bf16 takes %d bytes; want %d", got, want)
	}
}

// FuzzParseConfig: any text gives an error or a Config that is safe to lay out.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(hub), []byte(`{"eos_token_id": 2}`))
	f.Add([]byte(`{"model_type": "llama", "num_attention_heads": 0}`), []byte(nil))
	f.Add([]byte(`{"rope_parameters": {"rope_type": "linear", "factor": 1e300}}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, config, generation []byte) {
		c, err := model.ParseConfig(config, generation)
		if err == nil && (c.Params() <= 0 || c.Validate() != nil || c.WeightBytes(f32) < 4*int64(c.Vocab)) {
			t.Errorf("accepted %+v", c)
		}
	})
}
