package modeltest

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"astro/model"
	"astro/model/gguf/gguftest"
	"astro/model/safetensors"
)

// ggufNames are the pieces of names that differ.
var ggufNames = strings.NewReplacer("model.layers.", "blk.", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k", "self_attn.v_proj", "attn_v",
	"self_attn.o_proj", "attn_output", "mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down", "post_attention_layernorm", "ffn_norm",
	"input_layernorm", "attn_norm", "model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output")

// GGUF is a fixture as llama.cpp's converter would write it with all values in F32, without a tokenizer.
func GGUF(t testing.TB, f Fixture) gguftest.File {
	t.Helper()
	c, err := model.LoadConfig(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := safetensors.OpenFolder(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	file := gguftest.File{Keys: ggufKeys(c)}
	for _, name := range folder.Names() {
		tensor, _ := folder.Tensor(name)
		values := make([]float32, tensor.Len())
		tensor.Floats(values, 0)
		switch {
		case strings.Contains(name, "q_proj"):
			values = pairs(values, c.Heads, c.HeadDim, c.Hidden)
		case strings.Contains(name, "k_proj"):
			values = pairs(values, c.KVHeads, c.HeadDim, c.Hidden)
		}
		file.Tensors = append(file.Tensors, F32(ggufNames.Replace(name), values, tensor.Dims...))
	}
	if c.Rope.Scaling == model.ScalingLlama3 {
		factors := Llama3Factors(c)
		file.Tensors = append(file.Tensors, F32("rope_freqs.weight", factors, len(factors)))
	}
	return file
}

// F32 is a tensor of the given values; the slowest dimension comes first.
func F32(name string, values []float32, dims ...int) gguftest.Tensor {
	x := gguftest.Tensor{Name: name}
	for i := len(dims) - 1; i >= 0; i-- {
		x.Dims = append(x.Dims, uint64(dims[i]))
	}
	for _, v := range values {
		x.Data = binary.LittleEndian.AppendUint32(x.Data, math.Float32bits(v))
	}
	return x
}

func ggufKeys(c model.Config) map[string]any {
	keys := map[string]any{"general.architecture": "llama", "tokenizer.ggml.model": "no_vocab"}
	for name, n := range map[string]int{"vocab_size": c.Vocab, "embedding_length": c.Hidden, "block_count": c.Layers, "feed_forward_length": c.FFN,
		"attention.head_count": c.Heads, "attention.head_count_kv": c.KVHeads, "attention.key_length": c.HeadDim, "attention.value_length": c.HeadDim,
		"rope.dimension_count": c.HeadDim, "context_length": c.MaxPositions} {
		keys["llama."+name] = uint32(n)
	}
	keys["llama.attention.layer_norm_rms_epsilon"] = float32(c.NormEps)
	keys["llama.rope.freq_base"] = float32(c.Rope.Theta)
	if c.Rope.Scaling == model.ScalingLinear {
		keys["llama.rope.scaling.type"], keys["llama.rope.scaling.factor"] = "linear", float32(c.Rope.Factor)
	}
	if c.BOS >= 0 {
		keys["tokenizer.ggml.bos_token_id"] = uint32(c.BOS)
	}
	for i, id := range c.EOS {
		keys[fmt.Sprintf("tokenizer.ggml.%s_token_id", []string{"eos", "eot", "eom"}[i])] = uint32(id)
	}
	return keys
}

// pairs writes rows [heads, 2, dim/2] as [heads, dim/2, 2].
func pairs(values []float32, heads, dim, row int) []float32 {
	var out []float32
	for h := range heads {
		for i := range dim / 2 {
			for half := range 2 {
				r := (h*2+half)*dim/2 + i
				out = append(out, values[r*row:(r+1)*row]...)
			}
		}
	}
	return out
}

// Llama3Factors are what frequencies are divided by, as the converter computes them.
func Llama3Factors(c model.Config) []float32 {
	factors := make([]float32, c.HeadDim/2)
	for i := range factors {
		length := 2 * math.Pi * math.Pow(c.Rope.Theta, float64(2*i)/float64(c.HeadDim))
		switch original := float64(c.Rope.Original); {
		case length < original/c.Rope.HighFreq:
			factors[i] = 1
		case length > original/c.Rope.LowFreq:
			factors[i] = float32(c.Rope.Factor)
		default:
			smooth := (original/length - c.Rope.LowFreq) / (c.Rope.HighFreq - c.Rope.LowFreq)
			factors[i] = float32(1 / ((1-smooth)/c.Rope.Factor + smooth))
		}
	}
	return factors
}
