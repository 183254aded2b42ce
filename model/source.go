package model

import (
	"fmt"
	"strings"

	"astro/model/gguf"
	"astro/model/safetensors"
)

// source is an open checkpoint: what a folder or a file holds, by its own names.
type source interface {
	name(hf string) string // its name for a tensor that Hugging Face calls hf
	tensor(name string) (stored, bool)
	names() []string           // of all its tensors, in alphabetical order
	harmless(name string) bool // says whether a tensor outside the layout may be ignored
	shapes() string            // where it says its shapes, for errors
	Close() error
}

// stored is one tensor of a source, in Hugging Face's order of rows.
type stored struct {
	dims   []int
	dtype  string
	float  bool // floats can read it
	floats func(dst []float32, from int)
}

func (s stored) len() int {
	n := 1
	for _, d := range s.dims {
		n *= d
	}
	return n
}

// openSource opens the weights of the model at path, whose Config is c.
func openSource(path string, c Config) (source, error) {
	if gguf.Is(path) {
		f, err := gguf.OpenFile(path)
		if err != nil {
			return nil, err
		}
		return ggufSource{f, c}, nil
	}
	folder, err := safetensors.OpenFolder(path)
	if err != nil {
		return nil, err
	}
	return folderSource{folder, c}, nil
}

// folderSource is a Hugging Face folder.
type folderSource struct {
	*safetensors.Folder
	config Config
}

func (f folderSource) name(hf string) string { return hf }

func (f folderSource) tensor(name string) (stored, bool) {
	t, ok := f.Tensor(name)
	return stored{t.Dims, string(t.DType), t.DType.Float(), t.Floats}, ok
}

func (f folderSource) names() []string { return f.Names() }

// harmless: angles that old checkpoints store although they follow from config.json, and a copy of a tied head.
func (f folderSource) harmless(name string) bool {
	return strings.HasSuffix(name, ".rotary_emb.inv_freq") || name == headName && f.config.TiedHead
}

func (f folderSource) shapes() string { return configName }

// ggufSource is a GGUF file.
type ggufSource struct {
	*gguf.File
	config Config
}

func (g ggufSource) names() []string { return g.Names() }

func (g ggufSource) shapes() string { return "the file's metadata" }

// harmless: the factors of rotary frequencies are in Config.Rope; the others are angles that old files store although they follow from it.
func (g ggufSource) harmless(name string) bool {
	return name == ropeFactorsName || hasSuffix(name, ".attn_rot_embd", ".attn_rot_embd.weight")
}

// tensor turns the rows of queries and keys back: GGUF has the two numbers that a rotary angle turns side by side, [head, pair, 2],
// Hugging Face has all first ones before all second ones, [head, 2, pair].
func (g ggufSource) tensor(name string) (stored, bool) {
	t, ok := g.Tensor(name)
	s := stored{t.Dims, t.Type.String(), true, t.Floats}
	if ok && len(t.Dims) == 2 && hasSuffix(name, ".attn_q.weight", ".attn_k.weight") {
		row, head := t.Dims[1], g.config.HeadDim
		s.floats = func(dst []float32, from int) {
			for len(dst) > 0 {
				r, column := from/row, from%row
				n := min(len(dst), row-column)
				inside := r % head
				pair, second := inside%(head/2), inside/(head/2)
				t.Floats(dst[:n], (r-inside+2*pair+second)*row+column)
				dst, from = dst[n:], from+n
			}
		}
	}
	return s, ok
}

// ggufNames are GGUF's names for the tensors outside layers and for what is behind "model.layers.N." inside.
var ggufNames = map[string]string{
	"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", headName: "output.weight",
	"input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
	"self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight", "self_attn.v_proj.weight": "attn_v.weight",
	"self_attn.o_proj.weight": "attn_output.weight", "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
	"mlp.down_proj.weight": "ffn_down.weight",
}

func (g ggufSource) name(hf string) string {
	if name, ok := ggufNames[hf]; ok {
		return name
	}
	var layer int
	var rest string
	if _, err := fmt.Sscanf(hf, "model.layers.%d.%s", &layer, &rest); err != nil || ggufNames[rest] == "" {
		panic("BUG: the layout got a tensor " + hf + "; want one that GGUF has a name for")
	}
	return fmt.Sprintf("blk.%d.%s", layer, ggufNames[rest])
}
