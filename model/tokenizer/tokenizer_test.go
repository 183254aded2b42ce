package tokenizer

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"astro/model/chat"
)

// golden is what Hugging Face says of one tokenizer: see testdata/make_cases.py.
type golden struct {
	Encode, Trusted, Decode []struct {
		Text string
		IDs  []int32
	}
	Chats []struct {
		Messages []struct{ Role, Content string }
		Generate bool
		IDs      []int32
	}
}

// models are the tokenizers with golden cases.
var models = []string{"llama3", "countdown", "bpe512", "spm-legacy", "spm-first", "spm-gguf"}

// paths are where a model's tokenizer.json lies, and the folder of its tokenizer_config.json; both are the file of one in GGUF.
func paths(t testing.TB, model string) (file, folder string) {
	t.Helper()
	switch model {
	case "llama3":
		dir := moduleDir(t)
		return filepath.Join(dir, "Meta-Llama-3-8B-Instruct.json"), filepath.Join(dir, "meta-llama-3-8b-instruct")
	case "spm-gguf":
		file = filepath.Join("testdata", model+".gguf")
		return file, file
	case "countdown":
		folder = filepath.Join("..", "..", "models", "countdown-base")
	default:
		folder = filepath.Join("testdata", model)
	}
	return filepath.Join(folder, "tokenizer.json"), folder
}

// moduleDir is the test data of the module that wraps the library: Llama 3's tokenizer is there.
func moduleDir(t testing.TB) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/daulet/tokenizers").Output()
	if err != nil {
		t.Fatalf("the go command must say where the module lies: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "test", "data")
}

var (
	loadedMu sync.Mutex
	loaded   = map[string]*Tokenizer{}
)

// load loads each model once, since Llama 3 takes a while.
func load(t testing.TB, model string) *Tokenizer {
	t.Helper()
	loadedMu.Lock()
	defer loadedMu.Unlock()
	if loaded[model] == nil {
		path, _ := paths(t, model)
		read := Load
		if filepath.Ext(path) == ".gguf" {
			read = LoadModel
		}
		tok, err := read(path)
		if err != nil {
			t.Fatal(err)
		}
		loaded[model] = tok
	}
	return loaded[model]
}

// forEach runs a test for each model.
func forEach(t *testing.T, test func(*testing.T, *Tokenizer, golden)) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", model+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var g golden
			if err := json.Unmarshal(text, &g); err != nil {
				t.Fatal(err)
			}
			if len(g.Encode) < 40 || len(g.Trusted) < 40 || len(g.Decode) < 40 || len(g.Chats) < 24 {
				t.Fatalf("got %d, %d, %d, %d cases", len(g.Encode), len(g.Trusted), len(g.Decode), len(g.Chats))
			}
			test(t, load(t, model), g)
		})
	}
}

// A prompt has Hugging Face's tokens, with what the model adds to a text.
func TestEncode(t *testing.T) {
	forEach(t, func(t *testing.T, tok *Tokenizer, g golden) {
		for _, c := range g.Encode {
			if got := tok.Encode(c.Text); !slices.Equal(got, c.IDs) {
				t.Errorf("%q:\n got %v\nwant %v", c.Text, got, c.IDs)
			}
		}
	})
}

// Trusted text has Hugging Face's tokens, special ones with all their flags.
func TestTrusted(t *testing.T) {
	forEach(t, func(t *testing.T, tok *Tokenizer, g golden) {
		for _, c := range g.Trusted {
			if got := tok.EncodeSegments([]chat.Segment{{Text: c.Text, Trusted: true}}); !slices.Equal(got, c.IDs) {
				t.Errorf("%q:\n got %v\nwant %v", c.Text, got, c.IDs)
			}
		}
	})
}

// Tokens make Hugging Face's text.
func TestDecode(t *testing.T) {
	forEach(t, func(t *testing.T, tok *Tokenizer, g golden) {
		for _, c := range g.Decode {
			if got := decodeAll(tok, c.IDs); got != c.Text {
				t.Errorf("%v:\n got %q\nwant %q", c.IDs, got, c.Text)
			}
		}
	})
}

func decodeAll(tok *Tokenizer, ids []int32) string {
	s, text := tok.NewStream(), ""
	for _, id := range ids {
		text += s.Push(id)
	}
	return text + s.Flush()
}

// A conversation, rendered here and encoded in segments, has the tokens of Hugging Face's apply_chat_template.
func TestChats(t *testing.T) {
	forEach(t, func(t *testing.T, tok *Tokenizer, g golden) {
		_, folder := paths(t, strings.TrimPrefix(t.Name(), "TestChats/"))
		template, err := LoadTemplate(folder)
		if err != nil {
			t.Fatal(err)
		}
		borders := 0
		for _, c := range g.Chats {
			in := chat.Input{AddGenerationPrompt: c.Generate}
			for _, m := range c.Messages {
				in.Messages = append(in.Messages, chat.Message{Role: m.Role, Content: m.Content})
			}
			segments, err := template.Render(in)
			if err != nil {
				t.Fatal(err)
			}
			borders += len(segments) - 1
			if got := tok.EncodeSegments(segments); !slices.Equal(got, c.IDs) {
				t.Errorf("%+v:\n got %v\nwant %v", segments, got, c.IDs)
			}
		}
		if borders < len(g.Chats) {
			t.Errorf("only %d borders between trusted and other text: the test sees too little", borders)
		}
	})
}

// What a user writes never becomes a special token, however it is spelled or cut, and stays the text that it is.
func TestSec_R08UntrustedTextMakesNoSpecialToken(t *testing.T) {
	forEach(t, func(t *testing.T, tok *Tokenizer, _ golden) {
		var attacks []string
		for id := range tok.special {
			attacks = append(attacks, tok.name(id))
		}
		for i := range tok.marks.special {
			attacks = append(attacks, tok.marks.mark(i), tok.marks.escape(tok.marks.mark(i), false))
		}
		attacks = append(attacks, "\xef\xb7", "\x90\U00100000", escape+isNUL, escape+self, escape)
		for _, a := range attacks {
			for _, segments := range [][]chat.Segment{{{Text: a}}, {{Text: "x" + a + " y"}}, {{Text: a[:1]}, {Text: a[1:]}},
				{{Text: a[:1], Trusted: true}, {Text: a[1:]}}, {{Text: a[:1]}, {Text: a[1:], Trusted: true}}} {
				if ids := tok.EncodeSegments(segments); slices.ContainsFunc(ids, func(id int32) bool { return tok.special[id] && id != tok.unknown }) {
					t.Errorf("%+v: got %v, which has a special token", segments, ids)
				}
			}
			if ids, start := tok.Encode(a), len(tok.Encode("")); slices.ContainsFunc(ids[start:], func(id int32) bool { return tok.special[id] && id != tok.unknown }) {
				t.Errorf("%q: got %v, which has a special token", a, ids)
			}
		}
	})
}

// A border between trusted and other text leaves the words around it whole.
func TestBorders(t *testing.T) {
	tok := load(t, "llama3")
	whole := tok.EncodeSegments([]chat.Segment{{Text: "user: hello 1234 don't\n\n\nworld", Trusted: true}})
	for cut := range len("user: hello 1234 don't\n\n\nworld") {
		text := "user: hello 1234 don't\n\n\nworld"
		if got := tok.EncodeSegments([]chat.Segment{{Text: text[:cut], Trusted: true}, {Text: text[cut:]}}); !slices.Equal(got, whole) {
			t.Errorf("cut at %d: got %v; want %v", cut, got, whole)
		}
	}
}

// A token's bytes, as log-probabilities show them.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		model, token string
		want         string
	}{
		{"llama3", "Ġhello", " hello"}, {"llama3", "Ċ", "\n"}, {"llama3", "ðŁĺ", "\xf0\x9f\x98"}, {"llama3", "<|eot_id|>", "<|eot_id|>"},
		{"countdown", "Ġ27", " 27"}, {"countdown", "ĠTheĠanswerĠis", " The answer is"}, {"countdown", "<bos>", "<bos>"},
		{"bpe512", "<think>", "<think>"}, {"spm-first", "<0x0A>", "\n"}, {"spm-first", "<0xE5>", "\xe5"}, {"spm-first", "▁the", " the"},
		{"spm-legacy", "</s>", "</s>"}, {"spm-gguf", "<0x0A>", "\n"}, {"spm-gguf", "<0xE5>", "\xe5"}, {"spm-gguf", "▁the", " the"}, {"spm-gguf", "▁▁▁▁", "    "},
		{"spm-gguf", "<tool>", "<tool>"}, {"spm-gguf", "[INST]", "[INST]"},
	} {
		tok := load(t, c.model)
		id := slices.Index(tok.names, c.token)
		if got := tok.Bytes(int32(id)); string(got) != c.want {
			t.Errorf("%s %q (%d): got %q; want %q", c.model, c.token, id, got, c.want)
		}
	}
	for model, vocab := range map[string]int{"llama3": 128256, "countdown": 70, "bpe512": 512, "spm-first": 499, "spm-gguf": 1000} {
		tok := load(t, model)
		if tok.Vocab() != vocab {
			t.Errorf("%s: got %d ids; want %d", model, tok.Vocab(), vocab)
		}
		for _, id := range []int32{-1, int32(vocab), 1<<31 - 1} {
			if got := tok.Bytes(id); got != nil {
				t.Errorf("%s: got bytes %q of id %d, which is not there", model, got, id)
			}
		}
	}
}

// Goroutines share a tokenizer.
func TestConcurrent(t *testing.T) {
	tok, texts := load(t, "llama3"), []string{}
	for i := range 50 {
		texts = append(texts, strings.Repeat("Word "+string(rune('a'+i%26))+" é\x00😀 ", 1+i))
	}
	want := make([][]int32, len(texts))
	for i, text := range texts {
		want[i] = tok.Encode(text)
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range texts {
				i = (i*7 + g) % len(texts)
				ids := tok.Encode(texts[i])
				if !slices.Equal(ids, want[i]) || decodeAll(tok, ids) != texts[i] {
					t.Errorf("text %d differs from what one goroutine made", i)
				}
			}
		})
	}
	wg.Wait()
}

// A text past the limit, or one that is not UTF-8, harms nothing.
func TestOddTexts(t *testing.T) {
	tok := load(t, "bpe512")
	if got := tok.Encode(strings.Repeat("\x00", maxTextBytes/6+1)); got != nil {
		t.Errorf("got %d tokens of a text past the limit", len(got))
	}
	if got, want := tok.Encode("a\xff\xfe\xf0\x9fb"), tok.Encode("a\uFFFDb"); !slices.Equal(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
	if got := tok.EncodeSegments(nil); len(got) != 0 {
		t.Errorf("got %v of nothing", got)
	}
}
