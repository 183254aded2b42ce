// Package tokenizer turns text into a model's token ids and ids back into text, from the tokenizer.json of its folder.
//
// Text becomes ids in Hugging Face's own library (Rust, through github.com/daulet/tokenizers), so ids are those of
// transformers. Ids become text here, because a completion arrives one token at a time and must be cut at UTF-8 borders.
//
// Added tokens that the file marks special ("<|eot_id|>") are made by trusted text only: see EncodeSegments. Added tokens that
// it does not mark so (such as "<think>" in some models) are ordinary words of the vocabulary, and any text that spells one
// becomes one, as in transformers: the file's mark is the model's own word on which tokens steer it.
package tokenizer

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/daulet/tokenizers"

	"astro/model/chat"
)

const (
	maxTextBytes = 32 << 20 // of a text that is encoded, counted after escaping
	none         = int32(-1)
)

// Tokenizer is one model's vocabulary and its rules. It does not change; goroutines may share it. Its memory outside Go is freed
// when it is garbage.
type Tokenizer struct {
	library *tokenizers.Tokenizer
	marks   *marks
	names   []string       // by id, as the file spells them; "" = no token has this id
	special map[int32]bool // ids of special added tokens
	unknown int32          // id for words that are not in the vocabulary; none = it has no such token
	decoder decoder
}

// Load reads a tokenizer.json. The error says what is wrong with a file that is missing, too large, not JSON, inconsistent, or of
// a kind that no Llama model uses.
func Load(path string) (*Tokenizer, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	t, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %s: %w", path, err)
	}
	return t, nil
}

// parse is Load on the file's contents.
func parse(text []byte) (*Tokenizer, error) {
	f, err := parseFile(text)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{marks: newMarks(f.added), names: f.names, special: map[int32]bool{}, unknown: f.unknown, decoder: f.decoder}
	for _, a := range f.added {
		if a.Special {
			t.special[int32(a.ID)] = true
		}
	}
	if t.library, err = tokenizers.FromBytes(f.forLibrary(t.marks), tokenizers.WithEncodeSpecialTokens()); err != nil {
		return nil, fmt.Errorf("the tokenizers library refuses it: %w", err)
	}
	runtime.AddCleanup(t, func(library *tokenizers.Tokenizer) { library.Close() }, t.library)
	if err := t.try(); err != nil {
		return nil, err
	}
	return t, nil
}

// try encodes a little, since some mistakes in a file show only then, and learns the ids of the marks.
func (t *Tokenizer) try() error {
	e, err := t.library.EncodeWithOptionsErr(t.marks.all(), false)
	if err == nil {
		err = t.marks.learn(e.IDs, len(t.names))
	}
	if err != nil {
		return fmt.Errorf("special tokens: %w", err)
	}
	e, err = t.library.EncodeWithOptionsErr(t.marks.escape("Try 1 text,\n\x00 \U0001F600.", false), true)
	if err != nil {
		return fmt.Errorf("the tokenizers library cannot encode with it: %w", err)
	}
	for _, id := range e.IDs {
		if int(id) >= len(t.names) || t.names[id] == "" {
			return fmt.Errorf("it makes the token id %d, which is not in the vocabulary: compare post_processor with added_tokens", id)
		}
	}
	return nil
}

// Special says whether a token steers the model instead of being text.
func (t *Tokenizer) Special(id int32) bool { return t.special[id] }

// Vocab is the smallest number that is above all token ids, those of added tokens included. There may be gaps below it.
func (t *Tokenizer) Vocab() int { return len(t.names) }

// Encode makes the ids of a whole prompt that is not trusted, as transformers' tokenizer(text, split_special_tokens=True) does:
// what the model's own post-processor adds (for most models a token that begins a text) is there, and nothing in the text
// becomes a special token but the one for unknown words. Invalid UTF-8 becomes U+FFFD. A text that cannot be encoded has no
// tokens: one of more than 32 MiB, or one on which a regular expression of the model gives up.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.encode(t.marks.escape(text, false), true)
}

// EncodeSegments makes the ids of a rendered conversation, as transformers' apply_chat_template does, but only trusted
// segments make special tokens: a name counts if it lies in trusted text entirely. All other text is tokenised as if it had no
// segments, so a border between them changes nothing. Nothing is added at the ends, since a template writes its own beginning.
// Special tokens are found in the text as it is, before the model's normalizer, whatever their "normalized" flag says; their
// flags lstrip, rstrip and single_word count, where two such tokens side by side are two words. Invalid UTF-8, and texts that
// cannot be encoded, are as in Encode.
func (t *Tokenizer) EncodeSegments(segments []chat.Segment) []int32 {
	var text strings.Builder
	for len(segments) > 0 {
		n := 1
		for n < len(segments) && segments[n].Trusted == segments[0].Trusted {
			n++
		}
		text.WriteString(t.marks.escape(chat.Join(segments[:n]), segments[0].Trusted))
		segments = segments[n:]
	}
	return t.encode(text.String(), false)
}

// encode takes escaped text; whole adds what the model's post-processor does. What can fail on any text, try has excluded.
func (t *Tokenizer) encode(escaped string, whole bool) []int32 {
	if len(escaped) > maxTextBytes {
		return nil
	}
	var options []tokenizers.EncodeOption
	if whole {
		options = append(options, tokenizers.WithReturnSpecialTokensMask())
	}
	e, err := t.library.EncodeWithOptionsErr(escaped, whole, options...)
	runtime.KeepAlive(t)
	if err != nil {
		return nil
	}
	ids := make([]int32, 0, len(e.IDs))
	for i, id := range e.IDs {
		if id := t.honest(id, whole && e.SpecialTokensMask[i] == 1); id != none {
			ids = append(ids, id)
		}
	}
	return ids
}

// honest is the model's id for the library's. A special token that is neither a mark nor added by the post-processor was found
// in the vocabulary, where some models list special tokens among the words: the text only looked like it. It is unknown then.
func (t *Tokenizer) honest(library uint32, added bool) int32 {
	if id, ok := t.marks.ids[library]; ok {
		return id
	}
	if id := int32(library); added || !t.special[id] {
		return id
	}
	return t.unknown
}

// Bytes is the text of one token: for byte-level models maybe a part of a character, for a special token its name. A token
// that begins with a space keeps it, also where decoding a whole text would drop the first one. nil if no token has this id.
func (t *Tokenizer) Bytes(id int32) []byte {
	name := t.name(id)
	switch {
	case name == "":
		return nil
	case t.special[id]:
		return []byte(name)
	}
	return t.decoder.spell(name, false)
}

// name is the token as the file spells it, or "".
func (t *Tokenizer) name(id int32) string {
	if id < 0 || int(id) >= len(t.names) {
		return ""
	}
	return t.names[id]
}
