package model_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"astro/model"
	"astro/model/gguf"
	"astro/model/gguf/gguftest"
	"astro/model/modeltest"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// ggufPath writes a file for a test.
func ggufPath(t testing.TB, f gguftest.File) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, f.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A GGUF file in F32 is the same model as the folder that it was made from, value for value, whatever the dtype on the device.
func TestGGUFIsTheFolder(t *testing.T) {
	b := backend(t)
	for _, f := range modeltest.Fixtures(t) {
		path := ggufPath(t, modeltest.GGUF(t, f))
		for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
			compareModels(t, b, path, f.Dir, dtype)
		}
	}
}

// The same of a file that the format's own library wrote, in the folder's type, with Llama 3's scaling and a tokenizer.
func TestGGUFOfTheReference(t *testing.T) {
	folder := modeltest.Named(t, "llama3-tied-hub-bf16").Dir
	b := backend(t)
	got, want := loadBoth(t, b, "gguf/testdata/llama3-bf16.gguf", folder, dtypes.Float32)
	defer got.Free()
	defer want.Free()
	if got.Config.BOS != 502 || !slices.Equal(got.Config.EOS, []int32{503}) {
		t.Errorf("begin %d and end %v; want those of the file, 502 and 503", got.Config.BOS, got.Config.EOS)
	}
	got.Config.BOS, got.Config.EOS = want.Config.BOS, want.Config.EOS
	compareWeights(t, folder, got, want, 0)
}

// Values in 8 and 4 bits are those of the folder within the step of their block.
func TestGGUFQuantised(t *testing.T) {
	folder := modeltest.Named(t, "mha").Dir
	b := backend(t)
	for name, steps := range map[string]float64{"mha-q8_0": 0.57 / 127, "mha-q4_0": 1.01 / 8} {
		got, want := loadBoth(t, b, "gguf/testdata/"+name+".gguf", folder, dtypes.Float32)
		got.Config.BOS, got.Config.EOS = want.Config.BOS, want.Config.EOS
		compareWeights(t, name, got, want, steps)
		got.Free()
		want.Free()
	}
}

func loadBoth(t *testing.T, b compute.Backend, one, other string, dtype dtypes.DType) (first, second *model.Weights) {
	t.Helper()
	first, err := model.Load(one, b, dtype, nil)
	if err != nil {
		t.Fatal(err)
	}
	if second, err = model.Load(other, b, dtype, nil); err != nil {
		t.Fatal(err)
	}
	return first, second
}

func compareModels(t *testing.T, b compute.Backend, one, other string, dtype dtypes.DType) {
	t.Helper()
	got, want := loadBoth(t, b, one, other, dtype)
	defer got.Free()
	defer want.Free()
	want.Config.InitStd = 0.02 // GGUF does not say it
	compareWeights(t, other, got, want, 0)
}

// compareWeights allows each value to differ by so many times the largest of its tensor.
func compareWeights(t *testing.T, name string, got, want *model.Weights, steps float64) {
	t.Helper()
	want.Config.InitStd = got.Config.InitStd
	if !reflect.DeepEqual(got.Config, want.Config) {
		t.Errorf("%s: got %+v; want %+v", name, got.Config, want.Config)
	}
	for i, s := range model.Layout(want.Config) {
		have, should := floats(t, got.Tensors[i]), floats(t, want.Tensors[i])
		most := 0.0
		for _, v := range should {
			most = max(most, math.Abs(float64(v)))
		}
		for j := range should {
			if s.Norm() && have[j] != should[j] || math.Abs(float64(have[j]-should[j])) > steps*most {
				t.Fatalf("%s: value %d of %s is %g; want %g", name, j, s.Name, have[j], should[j])
			}
		}
	}
}

// Blocks of 256 values come through turned matrices as well: the model has what the file has, from each type of them.
func TestGGUFLongBlocks(t *testing.T) {
	b := backend(t)
	c := model.Config{Vocab: 40, Hidden: 256, Layers: 1, Heads: 4, KVHeads: 2, HeadDim: 64, FFN: 256}
	for _, kind := range []gguf.Type{gguf.Q4_K, gguf.Q5_K, gguf.Q6_K} {
		path := ggufPath(t, blockModel(c, kind))
		w, err := model.Load(path, b, dtypes.Float32, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := gguf.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		down, _ := f.Tensor("blk.0.ffn_down.weight")
		query, _ := f.Tensor("blk.0.attn_q.weight")
		flat := make([]float32, 256*256)
		down.Floats(flat, 0)
		layer := w.Config.FirstLayer()
		got := floats(t, w.Tensors[layer+5])
		for i, v := range flat { // [out, in] -> [in, out]
			if got[i%256*256+i/256] != v {
				t.Fatalf("%s: value %d of down is %g; want %g", kind, i, got[i%256*256+i/256], v)
			}
		}
		query.Floats(flat, 0)
		got = floats(t, w.Tensors[layer+1])
		for i, v := range flat { // row 2*pair+half of a head -> column half*32+pair of it
			row, in := i/256, i%256
			column := row/64*64 + row%2*32 + row%64/2
			if got[in*512+column] != v {
				t.Fatalf("%s: value %d of the queries is not at row %d, column %d", kind, i, in, column)
			}
		}
		f.Close()
		w.Free()
	}
}

// blockModel has matrices of one type, of bytes that count, and norms of ones.
func blockModel(c model.Config, kind gguf.Type) gguftest.File {
	f := gguftest.File{Keys: map[string]any{"general.architecture": "llama", "llama.attention.layer_norm_rms_epsilon": float32(1e-5), "llama.rope.freq_base": float32(1e4)}}
	for name, n := range map[string]int{"embedding_length": c.Hidden, "block_count": c.Layers, "feed_forward_length": c.FFN, "attention.head_count": c.Heads,
		"attention.head_count_kv": c.KVHeads, "context_length": 128} {
		f.Keys["llama."+name] = uint32(n)
	}
	bytes := map[gguf.Type]int{gguf.Q4_K: 144, gguf.Q5_K: 176, gguf.Q6_K: 210}[kind]
	matrix := func(name string, rows int) {
		x := gguftest.Tensor{Name: name, Dims: []uint64{256, uint64(rows)}, Type: uint32(kind)}
		for i := range rows * bytes {
			b := byte(i*7 + i/bytes)
			if at := i % bytes; kind == gguf.Q6_K && at == 209 || kind != gguf.Q6_K && (at == 1 || at == 3) {
				b = 0x2c // the scales' exponents, so that all are numbers
			}
			x.Data = append(x.Data, b)
		}
		f.Tensors = append(f.Tensors, x)
	}
	matrix("token_embd.weight", c.Vocab)
	for name, rows := range map[string]int{"attn_q": c.Hidden, "attn_k": c.KVHeads * c.HeadDim, "attn_v": c.KVHeads * c.HeadDim, "attn_output": c.Hidden,
		"ffn_gate": c.FFN, "ffn_up": c.FFN, "ffn_down": c.Hidden} {
		matrix("blk.0."+name+".weight", rows)
	}
	for _, name := range []string{"output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"} {
		f.Tensors = append(f.Tensors, modeltest.F32(name+".weight", slices.Repeat([]float32{1}, 256), 256))
	}
	return f
}

// What the metadata may say that cannot be run, and a word of the error.
var ggufRefused = map[string]struct {
	key   string
	value any // nil = the key is missing
	says  string
}{
	"other architecture":      {"general.architecture", "qwen2", `"qwen2" is not supported`},
	"no architecture":         {"general.architecture", nil, "is not supported"},
	"architecture is number":  {"general.architecture", uint32(1), "not a string"},
	"a part":                  {"split.count", uint32(3), "join them"},
	"experts":                 {"llama.expert_count", uint32(8), "experts"},
	"no layers":               {"llama.block_count", nil, `"llama.block_count" is missing`},
	"many layers":             {"llama.block_count", uint32(1 << 30), "num_hidden_layers"},
	"more than there are":     {"llama.block_count", uint32(1000), `"blk.2.attn_norm.weight" [32] is missing`},
	"fewer than there are":    {"llama.block_count", uint32(1), `tensor "blk.1.`},
	"layers are negative":     {"llama.block_count", int32(-1), "below 0"},
	"layers are 2^64-1":       {"llama.block_count", uint64(math.MaxUint64), "above 2147483647"},
	"layers are a text":       {"llama.block_count", "2", "not a whole number"},
	"heads differ":            {"llama.attention.head_count", []int32{4, 2}, "values differ"},
	"heads are an array of 0": {"llama.attention.head_count", []int32{}, "empty array"},
	"heads are 0":             {"llama.attention.head_count", uint32(0), "num_attention_heads"},
	"heads too wide":          {"llama.attention.key_length", uint32(16), "differ"},
	"part of heads turns":     {"llama.rope.dimension_count", uint32(4), "turn all"},
	"hidden":                  {"llama.embedding_length", uint32(64), "wants"},
	"vocabulary":              {"llama.vocab_size", uint32(513), "wants [513 32]"},
	"yarn":                    {"llama.rope.scaling.type", "yarn", `"yarn" is not supported`},
	"linear without factor":   {"llama.rope.scaling.type", "linear", "scaling factor is 0"},
	"theta":                   {"llama.rope.freq_base", float32(math.NaN()), "rope_theta is NaN"},
	"eps":                     {"llama.attention.layer_norm_rms_epsilon", float32(0), "rms_norm_eps is 0"},
	"scaled logits":           {"llama.logit_scale", float32(2), "logit_scale"},
	"not causal":              {"llama.attention.causal", false, "not causal"},
	"causal is a number":      {"llama.attention.causal", uint32(1), "neither true nor false"},
	"begin":                   {"tokenizer.ggml.bos_token_id", uint32(512), "bos_token_id 512"},
	"end":                     {"tokenizer.ggml.eos_token_id", uint32(512), "eos_token_id 512"},
	"alignment":               {"general.alignment", uint32(48), "power of two"},
	"alignment of 0":          {"general.alignment", uint32(0), "power of two"},
	"array of arrays":         {"x", gguftest.Raw{9, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, "array of arrays"},
	"unknown kind":            {"x", gguftest.Raw{13, 0, 0, 0}, "kind 13"},
}

func TestGGUFRefuses(t *testing.T) {
	b := backend(t)
	good := modeltest.GGUF(t, modeltest.Named(t, "mha"))
	for name, c := range ggufRefused {
		f := good
		f.Keys = maps.Clone(good.Keys)
		if f.Keys[c.key] = c.value; c.value == nil {
			delete(f.Keys, c.key)
		}
		refused(t, b, name, ggufPath(t, f), c.says)
	}
	if len(ggufRefused) < 30 {
		t.Errorf("only %d", len(ggufRefused))
	}
}

func refused(t *testing.T, b compute.Backend, name, path, says string) {
	t.Helper()
	w, err := model.Load(path, b, dtypes.Float32, nil)
	if err == nil {
		w.Free()
	}
	if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "BUG") {
		t.Errorf("%s: got %v; want an error with the path and %q", name, err, says)
	}
}

// Tensors that are not those of a Llama.
func TestGGUFRefusesTensors(t *testing.T) {
	b := backend(t)
	good := modeltest.GGUF(t, modeltest.Named(t, "mha"))
	spoilt := func(change func(i int, x *gguftest.Tensor)) gguftest.File {
		f := good
		f.Tensors = slices.Clone(good.Tensors)
		for i := range f.Tensors {
			change(i, &f.Tensors[i])
		}
		return f
	}
	first := func(change func(x *gguftest.Tensor)) gguftest.File {
		return spoilt(func(i int, x *gguftest.Tensor) {
			if x.Name == "blk.0.attn_q.weight" {
				change(x)
			}
		})
	}
	with := func(x gguftest.Tensor) gguftest.File {
		f := good
		f.Tensors = append(slices.Clone(good.Tensors), x)
		return f
	}
	for name, c := range map[string]struct {
		file gguftest.File
		says string
	}{
		"a bias":                {with(modeltest.F32("blk.0.attn_q.bias", make([]float32, 32), 32)), `"blk.0.attn_q.bias"`},
		"twice":                 {with(modeltest.F32("output_norm.weight", make([]float32, 32), 32)), `"output_norm.weight" twice`},
		"one is missing":        {first(func(x *gguftest.Tensor) { x.Name = "other" }), `"blk.0.attn_q.weight" [32 32] is missing`},
		"a list for a matrix":   {first(func(x *gguftest.Tensor) { x.Dims = []uint64{1024} }), "wants [32 32]"},
		"unknown type":          {first(func(x *gguftest.Tensor) { x.Type = 99 }), "99 (unknown) is not supported"},
		"type that is not read": {first(func(x *gguftest.Tensor) { x.Type = 21 }), "IQ3_S is not supported; supported are BF16, F16, F32, Q4_0"},
		"rows are not blocks":   {first(func(x *gguftest.Tensor) { x.Type = uint32(gguf.Q4_K) }), "multiple of 256"},
		"type of another size":  {first(func(x *gguftest.Tensor) { x.Type = uint32(gguf.F16) }), "by what is before it"},
		"5 dimensions":          {first(func(x *gguftest.Tensor) { x.Dims = []uint64{32, 32, 1, 1, 1} }), "5 dimensions"},
		"a dimension of 0":      {first(func(x *gguftest.Tensor) { x.Dims = []uint64{32, 0} }), "dimension 0"},
		"an exbibyte":           {first(func(x *gguftest.Tensor) { x.Dims = []uint64{1 << 60, 32} }), "exceeds"},
		"what wraps to 0":       {first(func(x *gguftest.Tensor) { x.Dims = []uint64{1 << 32, 1 << 32} }), "exceeds"},
		"no name":               {first(func(x *gguftest.Tensor) { x.Name = "" }), "a name has 0 bytes"},
		"odd factors":           {with(modeltest.F32("rope_freqs.weight", []float32{1, 2, 3, 4}, 4)), "not those of Llama 3's scaling"},
		"factors of NaN":        {with(modeltest.F32("rope_freqs.weight", slices.Repeat([]float32{float32(math.NaN())}, 4), 4)), "not those of"},
		"factors below 1":       {with(modeltest.F32("rope_freqs.weight", []float32{1, 1, 1, 0.5}, 4)), "not those of"},
		"too few factors":       {with(modeltest.F32("rope_freqs.weight", []float32{1, 1}, 2)), "want [4]"},
	} {
		refused(t, b, name, ggufPath(t, c.file), c.says)
	}
}

// Llama 3's published scalings are found in the factors that follow from them.
func TestGGUFLlama3Factors(t *testing.T) {
	dir := modeltest.Named(t, "llama3-f16")
	for _, c := range []struct {
		factor   float64
		original int
	}{{8, 64}, {32, 64}, {8, 128}, {2, 50}} {
		f := modeltest.GGUF(t, dir)
		config, err := model.LoadConfig(dir.Dir)
		if err != nil {
			t.Fatal(err)
		}
		want := config.Rope
		want.Factor, want.Original = c.factor, c.original
		for i, x := range f.Tensors {
			if x.Name == "rope_freqs.weight" {
				config.Rope = want
				factors := modeltest.Llama3Factors(config)
				f.Tensors[i] = modeltest.F32(x.Name, factors, len(factors))
			}
		}
		got, err := model.LoadConfig(ggufPath(t, f))
		if err != nil || got.Rope != want {
			t.Errorf("got %+v, %v; want %+v", got.Rope, err, want)
		}
	}
}

// A model ends at what the file calls its ends and at added tokens that are known as such, once each; a word that looks like one is none.
func TestGGUFEnds(t *testing.T) {
	f := modeltest.GGUF(t, modeltest.Named(t, "mha"))
	f.Keys["tokenizer.ggml.eos_token_id"], f.Keys["tokenizer.ggml.eot_token_id"] = uint32(1), uint32(2)
	f.Keys["tokenizer.ggml.tokens"] = []string{"a", "<|end_of_text|>", "<|end|>", "<|eot_id|>", "<|im_end|>", "<|start|>", "<|endoftext|>", "<tool>"}
	f.Keys["tokenizer.ggml.token_type"] = []int32{1, 3, 3, 3, 1, 3, 4, 4}
	c, err := model.LoadConfig(ggufPath(t, f))
	if want := []int32{1, 2, 3, 6}; err != nil || !slices.Equal(c.EOS, want) {
		t.Errorf("got ends %v, %v; want %v", c.EOS, err, want)
	}
}

// A folder that has only a GGUF file tells what to do.
func TestGGUFInAFolder(t *testing.T) {
	path := ggufPath(t, modeltest.GGUF(t, modeltest.Named(t, "mha")))
	if _, err := model.LoadConfig(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "give its own path, "+path) {
		t.Errorf("got %v", err)
	}
}

// R18: bytes of a header are changed one to four at a time, by a fixed seed: there is an error or a Config within its bounds, never a
// panic or an allocation of what is claimed.
func TestSec_R18ChangedGGUF(t *testing.T) {
	const rounds = 1000
	r := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "model.gguf")
	accepted := 0
	for _, name := range []string{"mha", "llama3-f16"} {
		f := modeltest.GGUF(t, modeltest.Named(t, name))
		f.Tensors = slices.DeleteFunc(f.Tensors, func(x gguftest.Tensor) bool { return x.Name != "rope_freqs.weight" }) // small, so that the header is hit
		for range rounds {
			bytes := f.Bytes()
			for range 1 + r.IntN(4) {
				bytes[r.IntN(len(bytes))] = byte(r.Uint32() >> r.IntN(32))
			}
			if err := os.WriteFile(path, bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := model.LoadConfig(path)
			if err == nil && (c.Params() <= 0 || c.Validate() != nil) {
				t.Fatalf("accepted %+v", c)
			}
			if err == nil {
				accepted++
			}
		}
	}
	if accepted < rounds/20 || accepted > rounds {
		t.Errorf("%d of %d were still a model; the changes hit nothing, or nothing else", accepted, 2*rounds)
	}
}
