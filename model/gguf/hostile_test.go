package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"astro/model/gguf/gguftest"
)

// small is a file with a value of each kind and two tensors.
func small() gguftest.File {
	return gguftest.File{Keys: map[string]any{"general.architecture": "llama", "a": uint32(1), "b": int32(-1), "c": uint64(1 << 40), "d": float32(1e-5), "e": 1e-5,
		"f": true, "g": []string{"one", "", "three"}, "h": []int32{1, 2, 3}, "i": []int32{7, 7}, "j": []float32{1.5, -2}},
		Tensors: []gguftest.Tensor{{Name: "x", Dims: []uint64{2, 3}, Type: 0, Data: make([]byte, 24)}, {Name: "y", Dims: []uint64{32}, Type: 8, Data: make([]byte, 34)}}}
}

func TestKeys(t *testing.T) {
	f, err := parse(small().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	k := f.Keys()
	if k.Int("a", 9) != 1 || k.Int("none", 9) != 9 || k.Int("i", 0) != 7 || k.Float("d", 0) != 1e-5 || k.Float("e", 0) != 1e-5 || k.Float("a", 0) != 1 || !k.Bool("f", false) ||
		k.Text("general.architecture") != "llama" || strings.Join(k.Texts("g"), "-") != "one--three" || len(k.Ints("h")) != 3 || k.Ints("none") != nil || !slices.Equal(k.Floats("j"), []float32{1.5, -2}) ||
		k.Floats("none") != nil || k.Err != nil {
		t.Errorf("read something else, or %v", k.Err)
	}
	for key, read := range map[string]func(*Keys){"b": func(k *Keys) { k.Int("b", 0) }, "c": func(k *Keys) { k.Int("c", 0) }, "d": func(k *Keys) { k.Int("d", 0) },
		"g": func(k *Keys) { k.Text("g") }, "a": func(k *Keys) { k.Texts("a") }, "f": func(k *Keys) { k.Float("f", 0) }, "h": func(k *Keys) { k.Int("h", 0) }, "i": func(k *Keys) { k.Floats("i") }} {
		k := f.Keys()
		if read(k); k.Err == nil || !strings.Contains(k.Err.Error(), `"`+key+`"`) {
			t.Errorf("%s: got %v", key, k.Err)
		}
	}
}

// R18: what a header claims is compared with what is there before anything of that size is allocated.
func TestSec_R18HostileGGUF(t *testing.T) {
	change := func(at int, bytes ...byte) []byte {
		b := small().Bytes()
		copy(b[at:], bytes)
		return b
	}
	huge := binary.LittleEndian.AppendUint64(nil, math.MaxUint64)
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"other magic":            {change(0, 'P', 'K'), "want a GGUF file or a Hugging Face folder"},
		"version 1":              {change(4, 1), "version 1 is not supported"},
		"version 4":              {change(4, 4), "version 4 is not supported"},
		"big-endian":             {change(4, 0, 0, 0, 3), "big-endian"},
		"2^64-1 tensors":         {change(8, huge...), "18446744073709551615 tensors"},
		"2^64-1 keys":            {change(16, huge...), "18446744073709551615 metadata keys"},
		"65536 tensors":          {change(8, 0, 0, 1), "tensor 3 of 65536"},
		"4096 keys":              {change(16, 0, 16), "of 4096"},
		"a key of 2^64-1 bytes":  {change(24, huge...), "it wants 18446744073709551615 bytes"},
		"an array of 2^64-1":     {replaced("h", arrayOf(5, math.MaxUint64)), "an array claims 18446744073709551615 values"},
		"an array of 2^61":       {replaced("h", arrayOf(10, 1<<61)), "an array claims"},
		"a text of 2^63":         {replaced("general.architecture", append([]byte{8, 0, 0, 0}, binary.LittleEndian.AppendUint64(nil, 1<<63)...)), "it wants 9223372036854775808 bytes"},
		"texts that are not all": {replaced("g", arrayOf(8, 40)), "cut short or damaged"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parse(c.file)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v; want %q", name, err, c.says)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: %d bytes were allocated to find it out", name, grown)
		}
	}
}

func arrayOf(kind byte, n uint64) []byte {
	return append([]byte{9, 0, 0, 0, kind, 0, 0, 0}, binary.LittleEndian.AppendUint64(nil, n)...)
}

func replaced(key string, value []byte) []byte {
	f := small()
	f.Keys[key] = gguftest.Raw(value)
	return f.Bytes()
}

// A file that was cut anywhere is an error; whole, it is none.
func TestSec_R18CutShort(t *testing.T) {
	whole := small().Bytes()
	last := len(whole) - 30 // the filling behind the last tensor's 34 bytes is not needed
	for n := range last {
		if _, err := parse(whole[:n]); err == nil {
			t.Fatalf("of %d bytes %d were enough", len(whole), n)
		}
	}
	if _, err := parse(whole[:last]); err != nil {
		t.Error(err)
	}
}

// R18: what stands in the place of a file is an error at once.
func TestSec_R18OpenFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{os.WriteFile(at("empty"), nil, 0o600), syscall.Mkfifo(at("pipe"), 0o600), os.Symlink("/dev/zero", at("device")), os.Mkdir(at("folder"), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, says := range map[string]string{"empty": "has 0 bytes", "pipe": "not a regular file", "device": "not a regular file", "folder": "not a regular file", "none": "no such file"} {
		if _, err := OpenFile(at(name)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v; want %q", name, err, says)
		}
	}
}

// R18: pieces and scores with bytes changed are a tokenizer or an error.
func TestSec_R18DamagedPieces(t *testing.T) {
	whole, err := os.ReadFile("../tokenizer/testdata/spm-gguf.gguf")
	if err != nil {
		t.Fatal(err)
	}
	rng, errs := rand.New(rand.NewPCG(1, 2)), 0
	for range 300 {
		damaged := slices.Clone(whole)
		for range 1 + rng.IntN(4) {
			damaged[rng.IntN(len(damaged))] = byte(rng.UintN(256))
		}
		f, err := parse(damaged)
		if err == nil {
			_, err = f.Text(TokenizerName)
		}
		if err != nil {
			errs++
		}
	}
	if errs == 0 || errs == 300 {
		t.Errorf("got %d errors of 300 files; want some", errs)
	}
}

// R18: a vocabulary whose scores mean a list of pairs without end is an error, before the list is made.
func TestSec_R18ManyMerges(t *testing.T) {
	names, types := []string{"<unk>"}, []int32{2}
	for b := range 256 {
		names, types = append(names, fmt.Sprintf("<0x%02X>", b)), append(types, 6)
	}
	for bits := 1; bits <= 16; bits++ { // all words of up to 16 letters over a and b: 1.8 million pairs
		for n := range 1 << bits {
			word := make([]byte, bits)
			for i := range word {
				word[i] = 'a' + byte(n>>i&1)
			}
			names, types = append(names, string(word)), append(types, 1)
		}
	}
	scores := make([]float32, len(names))
	for i := range scores {
		scores[i] = float32(-i)
	}
	f, err := parse(gguftest.File{Keys: map[string]any{"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": names, "tokenizer.ggml.token_type": types,
		"tokenizer.ggml.scores": scores}}.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Text(TokenizerName); err == nil || !strings.Contains(err.Error(), "merges, the limit") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: whatever the bytes, there is an error or a file of which everything can be read.
func FuzzParse(f *testing.F) {
	f.Add(small().Bytes())
	for _, name := range []string{"types.gguf", "mha-q4_0.gguf"} {
		whole, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(whole[:min(len(whole), 8<<10)])
	}
	f.Add(replaced("h", arrayOf(10, 1<<61)))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		file, err := parse(bytes)
		if err != nil {
			return
		}
		for _, name := range file.Names() {
			x, _ := file.Tensor(name)
			values := make([]float32, min(x.Len(), 1000))
			x.Floats(values, 0)
			x.Floats(values, x.Len()-len(values))
		}
		for key := range file.values {
			k := file.Keys()
			k.Int(key, 0)
			k.Ints(key)
			k.Floats(key)
			k.Float(key, 0)
			k.Bool(key, false)
			k.Text(key)
			k.Texts(key)
		}
		file.Text(TokenizerName)
		file.Text(TokenizerConfigName)
	})
}
