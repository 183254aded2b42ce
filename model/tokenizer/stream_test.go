package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/daulet/tokenizers"

	"astro/model/chat"
)

// library is Hugging Face's own decoder for the model.
func library(t testing.TB, model string) *tokenizers.Tokenizer {
	t.Helper()
	path, _ := paths(t, model)
	lib, err := tokenizers.FromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lib.Close() })
	return lib
}

// checkStream compares pieces with the library's text of all ids. The library cannot return a NUL.
func checkStream(t *testing.T, tok *Tokenizer, lib *tokenizers.Tokenizer, ids []int32) {
	t.Helper()
	s, text := tok.NewStream(), ""
	var all []uint32
	for _, id := range ids {
		piece := s.Push(id)
		if text += piece; !utf8.ValidString(piece) {
			t.Fatalf("%v: piece %q is not UTF-8", ids, piece)
		}
		if all = append(all, uint32(id)); len(s.cut) >= utf8.UTFMax {
			t.Fatalf("%v: %d bytes are held back", ids, len(s.cut))
		}
	}
	text += s.Flush()
	if want := lib.Decode(all, true); text != want && !strings.Contains(text, "\x00") {
		t.Fatalf("%v:\n got %q\nwant %q", ids, text, want)
	}
	if rest := s.Flush(); rest != "" {
		t.Fatalf("%v: a second flush has %q", ids, rest)
	}
}

// Pieces of any tokens, good text or not, are together what the library makes of all of them.
func TestStream(t *testing.T) {
	for _, model := range []string{"llama3", "countdown", "bpe512"} {
		tok, lib, rng := load(t, model), library(t, model), rand.New(rand.NewPCG(1, 2))
		for range 500 {
			ids := make([]int32, rng.IntN(30))
			for i := range ids {
				ids[i] = int32(rng.IntN(tok.Vocab() + 3))
			}
			checkStream(t, tok, lib, ids)
		}
	}
}

// Every way in which bytes can fail to be UTF-8 gives what the library gives: all texts of up to 5 bytes from an alphabet of
// bytes that matter.
func TestStreamBytes(t *testing.T) {
	tok, lib := load(t, "bpe512"), library(t, "bpe512")
	var alphabet []int32
	for _, b := range []byte{'a', 0x80, 0x9F, 0xBF, 0xC2, 0xE0, 0xED, 0xF0, 0xF4} {
		i := slices.IndexFunc(tok.names, func(name string) bool { return slices.Equal(spellBytes(name), []byte{b}) })
		alphabet = append(alphabet, int32(i))
	}
	for length, texts := 1, len(alphabet); length <= 5; length, texts = length+1, texts*len(alphabet) {
		ids := make([]int32, length)
		for n := range texts {
			for i := range ids {
				ids[i], n = alphabet[n%len(alphabet)], n/len(alphabet)
			}
			checkStream(t, tok, lib, ids)
		}
	}
}

// With byte fallback a run of bytes that is UTF-8 in part keeps its characters.
func TestStreamFallback(t *testing.T) {
	tok := load(t, "spm-first")
	id := func(name string) int32 { return int32(slices.Index(tok.names, name)) }
	for _, c := range []struct {
		ids  []int32
		want []string // pieces, the last by Flush
	}{
		{[]int32{id("▁the"), id("▁the")}, []string{"the", " the", ""}},
		{[]int32{id("<s>"), id("<0x20>"), id("<0x20>"), id("▁the")}, []string{"", "", " ", " the", ""}},
		{[]int32{id("<0xE5>"), id("<0x8F>"), id("<0xAB>")}, []string{"", "", "叫", ""}},
		{[]int32{id("<0xE5>"), id("<s>"), id("<0x8F>"), id("▁the")}, []string{"", "", "", "\uFFFD\uFFFD the", ""}},
		{[]int32{id("<0x41>"), id("<0xFF>"), id("<0xE5>"), id("<0x8F>")}, []string{"A", "\uFFFD", "", "", "\uFFFD\uFFFD"}},
	} {
		s := tok.NewStream()
		var got []string
		for _, id := range c.ids {
			got = append(got, s.Push(id))
		}
		if got = append(got, s.Flush()); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %q; want %q", c.ids, got, c.want)
		}
	}
}

// The decoders that no fixture has: marks for spaces, and no decoder at all.
func TestStreamDecoders(t *testing.T) {
	for _, c := range []struct {
		decoder any
		want    string
	}{
		{nil, "▁a▁ ▁a▁ b"}, {object{"type": "Fuse"}, "▁a▁▁a▁b"},
		{object{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}, "a a b"},
		{object{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": true}, " a  a b"},
		{object{"type": "Metaspace", "replacement": "▁", "add_prefix_space": false, "prepend_scheme": "never"}, " a  a b"},
		{object{"type": "Sequence", "decoders": []any{object{"type": "Replace", "pattern": object{"String": "▁"}, "content": "__"}, object{"type": "Fuse"},
			object{"type": "Strip", "content": "_", "start": 3, "stop": 0}}}, "a____a__b"},
	} {
		text := words(func(f, m object) {
			f["decoder"], m["vocab"] = c.decoder, object{"<unk>": 0, "<s>": 1, "▁a▁": 2, "b": 3}
		})
		tok, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		lib, err := tokenizers.FromBytes(text)
		if err != nil {
			t.Fatal(err)
		}
		checkStream(t, tok, lib, []int32{1, 2, 2, 3})
		if got := decodeAll(tok, []int32{1, 2, 2, 3}); got != c.want {
			t.Errorf("%v: got %q; want %q", c.decoder, got, c.want)
		}
		lib.Close()
	}
}

// The work per token does not grow with the text.
func BenchmarkPush(b *testing.B) {
	tok := load(b, "llama3")
	ids := tok.Encode(strings.Repeat("The quick brown fox, 😀 and é. ", 100))
	s := tok.NewStream()
	b.ReportAllocs()
	for i := range b.N {
		s.Push(ids[i%len(ids)])
	}
}

// Any tokens make the library's text.
func FuzzStream(f *testing.F) {
	tok, lib := load(f, "bpe512"), library(f, "bpe512")
	f.Add([]byte("\x00\x01\x02\x80\x81\xff\xfe"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var ids []int32
		for i := 0; i+1 < len(data); i += 2 {
			ids = append(ids, int32(data[i])<<8|int32(data[i+1]))
			ids = append(ids, ids[len(ids)-1]%512)
		}
		checkStream(t, tok, lib, ids)
	})
}

// Any text comes back whole from a byte-level model, no matter how it was cut, and makes no special token.
func FuzzEncodeSegments(f *testing.F) {
	tok := load(f, "bpe512")
	for _, text := range []string{"", "Hello", "<|bos|> SEP <think>", "\x00\uFDD0\uFDD1\U00100000", "\xff\xfe", " \n\t é 😀", "aSEP<|strip|> x"} {
		f.Add(text, 3)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		text = strings.ToValidUTF8(text, "?")
		cut = min(len(text), max(0, cut))
		ids := tok.EncodeSegments([]chat.Segment{{Text: text[:cut]}, {Text: text[cut:]}})
		if got := decodeAll(tok, ids); got != text {
			t.Errorf("got %q; want %q", got, text)
		}
		if whole := tok.Encode(text); !slices.Equal(whole[1:], ids) {
			t.Errorf("%q in two: got %v; want %v", text, ids, whole[1:])
		}
		if i := slices.IndexFunc(ids, func(id int32) bool { return tok.special[id] }); i >= 0 {
			t.Errorf("%q: got the special token %q", text, tok.name(ids[i]))
		}
	})
}
