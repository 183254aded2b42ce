package model

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/gomlx/compute/dtypes"
)

// encodeConfig writes c as config.json in the form of hubs, which every version of transformers and other servers read.
// (Older ones would take rope_parameters, the newer form, for an unknown key and use the wrong angles.)
func encodeConfig(c Config, dtype dtypes.DType) []byte {
	name := map[dtypes.DType]string{dtypes.Float32: "float32", dtypes.BFloat16: "bfloat16"}[dtype]
	return indented(map[string]any{
		"architectures": []string{architecture}, "model_type": "llama", "torch_dtype": name,
		"vocab_size": c.Vocab, "hidden_size": c.Hidden, "intermediate_size": c.FFN, "num_hidden_layers": c.Layers,
		"num_attention_heads": c.Heads, "num_key_value_heads": c.KVHeads, "head_dim": c.HeadDim,
		"max_position_embeddings": c.MaxPositions, "rms_norm_eps": c.NormEps, "tie_word_embeddings": c.TiedHead,
		"rope_theta": decimal(c.Rope.Theta), "rope_scaling": encodeScaling(c.Rope),
		"bos_token_id": encodeIDs(c.bos()), "eos_token_id": encodeIDs(c.EOS),
		"hidden_act": "silu", "attention_bias": false, "mlp_bias": false, "attention_dropout": 0.0,
		"initializer_range": c.initStd(), "use_cache": true,
	})
}

// encodeGeneration writes generation_config.json.
func encodeGeneration(c Config) []byte {
	return indented(map[string]any{
		"bos_token_id": encodeIDs(c.bos()), "eos_token_id": encodeIDs(c.EOS),
	})
}

func indented(object map[string]any) []byte {
	text, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		panic("BUG: a Config cannot be written as JSON: " + err.Error())
	}
	return text
}

func encodeScaling(r Rope) any {
	switch r.Scaling {
	case ScalingLinear:
		return map[string]any{"rope_type": r.Scaling, "factor": decimal(r.Factor)}
	case ScalingLlama3:
		return map[string]any{"rope_type": r.Scaling, "factor": decimal(r.Factor), "low_freq_factor": decimal(r.LowFreq),
			"high_freq_factor": decimal(r.HighFreq), "original_max_position_embeddings": r.Original}
	}
	return nil
}

// decimal writes 8 as 8.0: some versions of transformers warn about a factor that is not a float.
func decimal(f float64) json.Number {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.Number(text)
}

// encodeIDs gives null, a number or a list, as transformers does.
func encodeIDs(ids []int32) any {
	switch len(ids) {
	case 0:
		return nil
	case 1:
		return ids[0]
	}
	return ids
}

func (c Config) bos() []int32 {
	if c.BOS < 0 {
		return nil
	}
	return []int32{c.BOS}
}

func (c Config) initStd() float64 {
	if c.InitStd == 0 {
		return 0.02
	}
	return c.InitStd
}
