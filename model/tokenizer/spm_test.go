package tokenizer

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"astro/model/chat"
	"astro/model/gguf"
	"astro/model/gguf/gguftest"
)

// spmGolden is what SentencePiece says: see testdata/make_spm.py.
type spmGolden struct {
	SentencePiece, Bare, Spelled []struct {
		Text string
		IDs  []int32
	}
}

// spmFile is the fixture, to be changed.
func spmFile(t testing.TB) gguftest.File {
	t.Helper()
	f, err := gguf.OpenFile(filepath.Join("testdata", "spm-gguf.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	k := f.Keys()
	keys := map[string]any{"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": k.Texts("tokenizer.ggml.tokens"),
		"tokenizer.ggml.scores": k.Floats("tokenizer.ggml.scores"), "tokenizer.ggml.token_type": k.Ints("tokenizer.ggml.token_type")}
	for _, name := range []string{"bos", "eos", "unknown"} {
		key := "tokenizer.ggml." + name + "_token_id"
		keys[key] = uint32(k.Int(key, 0))
	}
	if k.Err != nil {
		t.Fatal(k.Err)
	}
	return gguftest.File{Keys: keys}
}

// spmWith is the fixture's tokenizer with some keys changed; nil removes one.
func spmWith(t testing.TB, changes map[string]any) (*Tokenizer, error) {
	t.Helper()
	f := spmFile(t)
	for name, value := range changes {
		key := "tokenizer.ggml." + name
		if f.Keys[key] = value; value == nil {
			delete(f.Keys, key)
		}
	}
	return LoadModel(writeGGUF(t, f))
}

func mustSPM(t testing.TB, changes map[string]any) *Tokenizer {
	t.Helper()
	tok, err := spmWith(t, changes)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// Texts are cut as SentencePiece cuts them, with a space before the text or without, and read back as it reads them.
func TestSentencePiece(t *testing.T) {
	var g spmGolden
	readJSON(t, filepath.Join("testdata", "spm-gguf.json"), &g)
	if len(g.SentencePiece) < 100 || len(g.Bare) < 60 || len(g.Spelled) < 90 {
		t.Fatalf("got %d, %d, %d cases", len(g.SentencePiece), len(g.Bare), len(g.Spelled))
	}
	tok := load(t, "spm-gguf")
	for _, c := range g.SentencePiece {
		if got := tok.Encode(c.Text); len(got) == 0 || got[0] != 1 || !slices.Equal(got[1:], c.IDs) {
			t.Errorf("%q:\n got %v\nwant 1 and %v", c.Text, got, c.IDs)
		}
	}
	bare := mustSPM(t, map[string]any{"add_space_prefix": false, "add_bos_token": false})
	for _, c := range g.Bare {
		if got := bare.Encode(c.Text); !slices.Equal(got, c.IDs) {
			t.Errorf("bare %q:\n got %v\nwant %v", c.Text, got, c.IDs)
		}
		if got := decodeAll(bare, c.IDs); got != strings.ReplaceAll(c.Text, "▁", " ") {
			t.Errorf("bare %v: got %q; want %q", c.IDs, got, c.Text)
		}
	}
	for _, c := range g.Spelled {
		if got := decodeAll(tok, c.IDs); got != c.Text {
			t.Errorf("%v:\n got %q\nwant %q", c.IDs, got, c.Text)
		}
	}
}

// A very long text is cut as its parts are: no word of it joins its neighbours.
func TestSentencePieceLong(t *testing.T) {
	tok := load(t, "spm-gguf")
	one := tok.Encode(" the token\n")[2:] // without BOS and the space before a text
	if got := tok.Encode(strings.Repeat(" the token\n", 20000)[1:])[1:]; len(got) != 20000*len(one) {
		t.Errorf("got %d tokens; want %d", len(got), 20000*len(one))
	}
}

// What begins and ends a text is what the file says.
func TestSentencePieceEnds(t *testing.T) {
	for _, c := range []struct {
		changes map[string]any
		want    string
	}{
		{nil, "<s> ▁the"}, {map[string]any{"add_bos_token": false}, "▁the"}, {map[string]any{"add_eos_token": true}, "<s> ▁the </s>"},
		{map[string]any{"bos_token_id": nil, "add_eos_token": true}, "▁the </s>"}, {map[string]any{"bos_token_id": uint32(2)}, "</s> ▁the"},
	} {
		tok := mustSPM(t, c.changes)
		var names []string
		for _, id := range tok.Encode("the") {
			names = append(names, tok.name(id))
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%v: got %q; want %q", c.changes, got, c.want)
		}
	}
}

// Tokens that the file names as begin or end, and such as <|sep|>, steer the model, whatever their type: no user spells them, a template does. Unused ids at the
// end have no token.
func TestSentencePieceTypes(t *testing.T) {
	types := slices.Clone(spmFile(t).Keys["tokenizer.ggml.token_type"].([]int32))
	types[1], types[2], types[5] = 1, 4, 4 // <s>, </s>, <|sep|>
	tok := mustSPM(t, map[string]any{"token_type": types})
	for id := range int32(9) { // then <tool>, </tool> and two snowmen, which are words
		if tok.Special(id) != (id < 6) {
			t.Errorf("token %d (%q): special is %v", id, tok.name(id), tok.Special(id))
		}
	}
	if got := tok.EncodeSegments([]chat.Segment{{Text: "<s>", Trusted: true}, {Text: "<s></s>"}}); got[0] != 1 || slices.Contains(got[1:], 1) || slices.Contains(got, 2) {
		t.Errorf("got %v", got)
	}
	if tok.Vocab() != 1000 || tok.Bytes(1000) != nil {
		t.Errorf("got %d ids; want 1000, and none of the 8 that are padding", tok.Vocab())
	}
}

// Every token's bytes, which grammars are made of, are those of the text: together they are the text and the space before it.
func TestSentencePieceBytes(t *testing.T) {
	tok := load(t, "spm-gguf")
	for _, text := range []string{"The token's 27 bytes:\n\t\"é\" 😀 {}", "  two  ", "\x00\x7f世界"} {
		var spelled []byte
		for _, id := range tok.Encode(text)[1:] {
			spelled = append(spelled, tok.Bytes(id)...)
		}
		if string(spelled) != " "+text {
			t.Errorf("got %q; want a space and %q", spelled, text)
		}
	}
	for b := range 256 {
		id := slices.Index(tok.names, fmt.Sprintf("<0x%02X>", b))
		if got := tok.Bytes(int32(id)); len(got) != 1 || got[0] != byte(b) {
			t.Errorf("byte %d: got %q of token %d", b, got, id)
		}
	}
}

// The same pieces from a tokenizer.json in the form of Llama 2's (fixture spm-legacy) and from a GGUF file cut texts in one way.
func TestSentencePieceIsTheFolder(t *testing.T) {
	want := load(t, "spm-legacy")
	tok, err := LoadModel(writeGGUF(t, legacyFile(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	readJSON(t, filepath.Join("testdata", "spm-legacy.json"), &g)
	for _, c := range append(g.Encode, g.Trusted...) {
		if got, want := tok.Encode(c.Text), want.Encode(c.Text); !slices.Equal(got, want) {
			t.Errorf("%q: got %v; want %v", c.Text, got, want)
		}
	}
}

// legacyFile writes a tokenizer of 3 special tokens, 256 bytes and pieces, the ones made first with the better scores.
func legacyFile(t testing.TB, tok *Tokenizer) gguftest.File {
	t.Helper()
	types, scores := slices.Repeat([]int32{1}, len(tok.names)), make([]float32, len(tok.names))
	copy(types, []int32{2, 3, 3})
	for id := range types {
		if scores[id] = float32(-id); id >= 3 && id < 259 {
			types[id] = 6
		}
	}
	return gguftest.File{Keys: map[string]any{"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tok.names, "tokenizer.ggml.token_type": types,
		"tokenizer.ggml.scores": scores, "tokenizer.ggml.bos_token_id": uint32(1)}}
}

// spmChange is one token made another one.
type spmChange struct {
	name  string
	score float32
	kind  int32
}

// changed replaces the last pieces of the fixture.
func changed(t testing.TB, changes ...spmChange) map[string]any {
	keys := spmFile(t).Keys
	tokens, scores, types := slices.Clone(keys["tokenizer.ggml.tokens"].([]string)), slices.Clone(keys["tokenizer.ggml.scores"].([]float32)),
		slices.Clone(keys["tokenizer.ggml.token_type"].([]int32))
	for i, c := range changes {
		id := len(tokens) - 8 + i
		tokens[id], scores[id], types[id] = c.name, c.score, c.kind
	}
	return map[string]any{"tokens": tokens, "scores": scores, "token_type": types}
}

// A file that is damaged, or that does not say for certain how texts are cut, is refused with what to do.
func TestSec_R18SentencePieceRefuses(t *testing.T) {
	good := changed(t)
	types, scores := good["token_type"].([]int32), good["scores"].([]float32)
	const advice = "put the tokenizer.json"
	for name, c := range map[string]struct {
		changes map[string]any
		says    []string
	}{
		"Unigram":              {map[string]any{"model": "t5"}, []string{`model "t5"`, advice}},
		"no scores":            {map[string]any{"scores": nil}, []string{"1008 tokens with 0 scores", advice}},
		"fewer scores":         {map[string]any{"scores": scores[1:]}, []string{"1008 tokens with 1007 scores", advice}},
		"scores are integers":  {map[string]any{"scores": types}, []string{"not an array of numbers"}},
		"a score is no number": {changed(t, spmChange{"zz", float32(math.NaN()), 1}), []string{"token 1000", "NaN"}},
		"no types":             {map[string]any{"token_type": nil}, []string{"1008 tokens with 0 types"}},
		"fewer types":          {map[string]any{"token_type": types[1:]}, []string{"1008 tokens with 1007 types"}},
		"unknown type":         {changed(t, spmChange{"zz", 0, 7}), []string{"token 1000", "the type 7"}},
		"no tokens":            {map[string]any{"tokens": nil}, []string{"0 tokens"}},
		"byte of a name":       {changed(t, spmChange{"<0xAA", 0, 6}), []string{"token 1000", "a byte"}},
		"a byte is missing":    {map[string]any{"token_type": slices.Replace(slices.Clone(types), 10, 11, int32(1))}, []string{"255 tokens are bytes"}},
		"no unknown":           {map[string]any{"token_type": append([]int32{3}, types[1:]...), "unknown_token_id": nil}, []string{"no unknown token"}},
		"unknown outside":      {map[string]any{"unknown_token_id": uint32(1008)}, []string{"unknown_token_id", "not a token"}},
		"end outside":          {map[string]any{"eos_token_id": uint32(1008)}, []string{"eos_token_id", "not a token"}},
		"charsmap":             {map[string]any{"precompiled_charsmap": "x"}, []string{"precompiled_charsmap", advice}},
		"white space":          {map[string]any{"remove_extra_whitespaces": true}, []string{"white space", advice}},
		"prefix is a number":   {map[string]any{"add_space_prefix": uint32(1)}, []string{"add_space_prefix", "neither true nor false"}},
		"equal scores":         {changed(t, spmChange{"xz", 5, 1}, spmChange{"zx", 5, 1}), []string{"token", `"xz"`, `"zx"`, "same score", advice}},
		"equal, with a run":    {changed(t, spmChange{"zz", 5, 1}, spmChange{"zzz", 5, 1}, spmChange{"zzx", 5, 1}), []string{`"zzx"`, "same score", advice}},
		"unused in the middle": {changed(t, spmChange{"xz", 5, 5}), []string{"token 1000", "unused", advice}},
		"character of none":    {changed(t, spmChange{"x雪", 5, 1}), []string{"token 1000", "雪", advice}},
		"long piece":           {changed(t, spmChange{strings.Repeat("z", 129), 5, 1}), []string{"token 1000", "129 characters"}},
	} {
		tok, err := spmWith(t, c.changes)
		if err == nil {
			t.Errorf("%s: got a tokenizer of %d tokens; want an error", name, tok.Vocab())
			continue
		}
		for _, says := range append(c.says, "model.gguf") {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: got %v; want %q in it", name, err, says)
			}
		}
	}
}

// Equal scores that leave nothing open are taken: pieces that never want the same neighbour, ones that cannot be made, and runs.
func TestSentencePieceEqualScores(t *testing.T) {
	tok := mustSPM(t, changed(t, spmChange{"zz", 5, 1}, spmChange{"zzz", 5, 1}, spmChange{"((", 5, 1}, spmChange{"((((", 5, 1}, spmChange{"xy", 5, 1}, spmChange{"%%%", 5, 1}, spmChange{"a b", 5, 1}))
	for text, want := range map[string][]string{
		"zzzz": {"▁", "zzz", "z"}, "zzzzzzzz": {"▁", "zzz", "zzz", "zz"}, "(((((((": {"▁", "((((", "((", "("}, "xyzz": {"▁", "xy", "zz"}, "%%%": {"▁", "%", "%", "%"},
	} {
		var names []string
		for _, id := range tok.Encode(text)[1:] {
			names = append(names, tok.name(id))
		}
		if !slices.Equal(names, want) {
			t.Errorf("%q: got %q; want %q", text, names, want)
		}
	}
	if tok.name(1005) != "%%%" || tok.name(1006) != "a b" {
		t.Errorf("got %q and %q; want tokens that no text makes", tok.name(1005), tok.name(1006))
	}
}
