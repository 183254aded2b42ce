package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"astro/model"
	"astro/model/safetensors"

	"github.com/gomlx/gomlx/core/tensors"
)

// WriteModel writes f32 weights into a folder as transformers does: config.json, generation_config.json, model.safetensors.
// model.Load reads them back bit for bit.
func WriteModel(dir string, w *model.Weights) error {
	var entries []safetensors.Entry
	for i, s := range model.Layout(w.Config) {
		column := 0
		for _, p := range s.Parts {
			entries = append(entries, part(s, p, column, w.Tensors[i]))
			column += p.Dims[0]
		}
	}
	err := safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), entries, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	for name, value := range map[string]any{"config.json": configJSON(w.Config), "generation_config.json": generationJSON(w.Config)} {
		if err := writeJSON(filepath.Join(dir, name), value); err != nil {
			return err
		}
	}
	return nil
}

// part streams one of a checkpoint's tensors out of ours: as it is, or the columns from the given one on, turned.
func part(s model.TensorSpec, p model.Part, column int, t *tensors.Tensor) safetensors.Entry {
	if !s.Transposed() {
		return entry(p.Name, p.Dims, t)
	}
	return safetensors.Entry{Name: p.Name, DType: safetensors.F32, Dims: p.Dims, Write: func(w io.Writer) error {
		out, in, width := p.Dims[0], p.Dims[1], s.Dims[1]
		turned := make([]float32, 0, out*in)
		err := tensors.ConstFlatData(t, func(flat []float32) {
			for o := range out {
				for i := range in {
					turned = append(turned, flat[i*width+column+o])
				}
			}
		})
		if err != nil {
			return err
		}
		return binary.Write(w, binary.LittleEndian, turned)
	}}
}

type object = map[string]any

// configJSON is config.json in the form of hubs, which every version of transformers reads.
func configJSON(c model.Config) object {
	o := object{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "torch_dtype": "float32",
		"vocab_size": c.Vocab, "hidden_size": c.Hidden, "intermediate_size": c.FFN, "num_hidden_layers": c.Layers,
		"num_attention_heads": c.Heads, "num_key_value_heads": c.KVHeads, "head_dim": c.HeadDim,
		"max_position_embeddings": c.MaxPositions, "rms_norm_eps": c.NormEps, "tie_word_embeddings": c.TiedHead,
		"hidden_act": "silu", "attention_bias": false, "mlp_bias": false, "attention_dropout": 0.0, "pretraining_tp": 1, "use_cache": true,
		"rope_theta": c.Rope.Theta, "rope_scaling": ropeScaling(c.Rope), "initializer_range": c.InitStd,
	}
	addIDs(o, c)
	return o
}

func ropeScaling(r model.Rope) any {
	switch r.Scaling {
	case model.ScalingNone:
		return nil
	case model.ScalingLinear:
		return object{"rope_type": r.Scaling, "factor": r.Factor}
	case model.ScalingLlama3:
		return object{"rope_type": r.Scaling, "factor": r.Factor, "low_freq_factor": r.LowFreq, "high_freq_factor": r.HighFreq,
			"original_max_position_embeddings": r.Original}
	}
	panic("BUG: got rope scaling " + r.Scaling + "; want one that Config accepts")
}

func generationJSON(c model.Config) object {
	o := object{"do_sample": true, "temperature": 1.0}
	addIDs(o, c)
	return o
}

// addIDs adds where a sequence begins and ends, as far as the model says.
func addIDs(o object, c model.Config) {
	if c.BOS >= 0 {
		o["bos_token_id"] = c.BOS
	}
	switch len(c.EOS) {
	case 0:
	case 1:
		o["eos_token_id"] = c.EOS[0]
	default:
		o["eos_token_id"] = c.EOS
	}
}

func writeJSON(path string, value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		panic(fmt.Sprintf("BUG: cannot encode %s: %v", path, err))
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
