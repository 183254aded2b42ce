package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"astro/internal/smallfile"
)

const (
	maxFileBytes   = 128 << 20
	maxVocabTokens = 4 << 20 // ids are below this
)

// file is what this package reads of a tokenizer.json, checked. A mistake that makes the library panic would end the process,
// so the checks here come first: what the library gets is JSON, has no NUL (its error messages are C strings), no decoder (it
// panics on a bad one; ours is used), no Precompiled normalizer (likewise) and no prefix of continuing subwords (likewise).
type file struct {
	parts   map[string]json.RawMessage
	model   map[string]json.RawMessage
	names   []string // by id
	added   []addedToken
	unknown int32
	decoder decoder
}

// addedToken is an entry of added_tokens.
type addedToken struct {
	ID         uint32 `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only between characters that are not of words
	LStrip     bool   `json:"lstrip"`      // takes the white space before it
	RStrip     bool   `json:"rstrip"`      // takes the white space after it
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// readFile reads at most maxFileBytes.
func readFile(path string) ([]byte, error) {
	text, err := smallfile.Read(path, maxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; a folder that has only tokenizer.model or vocab files must be saved again with transformers' save_pretrained", err)
	}
	return text, err
}

// parseFile reads and checks a tokenizer.json.
func parseFile(text []byte) (*file, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	f := &file{unknown: none}
	if err := json.Unmarshal(text, &f.parts); err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	vocab, err := f.readModel()
	if err != nil {
		return nil, err
	}
	if err := f.readAdded(vocab); err != nil {
		return nil, err
	}
	if err := checkNormalizer(f.parts["normalizer"]); err != nil {
		return nil, err
	}
	for _, name := range []string{"normalizer", "pre_tokenizer"} {
		if part := f.parts[name]; part != nil {
			if err := checkPatterns(part); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if err := checkPostProcessor(f.parts["post_processor"]); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	f.decoder, err = parseDecoder(f.parts["decoder"])
	return f, err
}

// checkText refuses what is not UTF-8 and any escaped NUL.
func checkText(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not a tokenizer.json: it is not UTF-8")
	}
	for rest := text; ; {
		i := bytes.Index(rest, []byte(`\u0000`))
		if i < 0 {
			return nil
		}
		backslashes := i - len(bytes.TrimRight(rest[:i], `\`))
		if backslashes%2 == 0 {
			return errors.New("it has a NUL character in a text, which the tokenizers library cannot take")
		}
		rest = rest[i+len(`\u0000`):]
	}
}

// readModel checks the model and returns its vocabulary.
func (f *file) readModel() (vocab map[string]uint32, err error) {
	raw, ok := f.parts["model"]
	if !ok {
		return nil, errors.New("not a tokenizer.json: it has no model")
	}
	if err := json.Unmarshal(raw, &f.model); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if err := checkModel(raw); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if err := json.Unmarshal(f.model["vocab"], &vocab); err != nil {
		return nil, fmt.Errorf("model: vocab: %w", err)
	}
	if len(vocab) == 0 {
		return nil, errors.New("model: vocab is empty")
	}
	for name, id := range vocab {
		if err := f.setName(id, name); err != nil {
			return nil, err
		}
	}
	return vocab, f.readUnknown(vocab)
}

// checkModel refuses what the library panics on, and what no Llama model has.
func checkModel(raw json.RawMessage) error {
	var m struct {
		Type    string  `json:"type"`
		Prefix  string  `json:"continuing_subword_prefix"`
		Suffix  string  `json:"end_of_word_suffix"`
		Dropout float64 `json:"dropout"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	switch {
	case m.Type != "BPE" && m.Type != "WordLevel":
		return fmt.Errorf("type %q is not supported; supported are BPE and WordLevel", m.Type)
	case m.Prefix != "" || m.Suffix != "":
		return errors.New("continuing_subword_prefix and end_of_word_suffix are not supported")
	case m.Dropout != 0:
		return errors.New("with dropout the same text has different tokens each time; remove it from the file")
	}
	return nil
}

// readUnknown reads the token for unknown words; without it in the vocabulary, the library fails when it needs it.
func (f *file) readUnknown(vocab map[string]uint32) error {
	var name *string
	if raw := f.model["unk_token"]; raw != nil {
		if err := json.Unmarshal(raw, &name); err != nil {
			return fmt.Errorf("model: unk_token: %w", err)
		}
	}
	if name == nil {
		return nil
	}
	id, ok := vocab[*name]
	if !ok {
		return fmt.Errorf("model: unk_token %q is not in the vocabulary", *name)
	}
	f.unknown = int32(id)
	return nil
}

// setName records a token.
func (f *file) setName(id uint32, name string) error {
	if id >= maxVocabTokens {
		return fmt.Errorf("token %q has the id %d; at most %d are accepted", name, id, maxVocabTokens-1)
	}
	if n := int(id) + 1 - len(f.names); n > 0 {
		f.names = append(f.names, make([]string, n)...)
	}
	if old := f.names[id]; old != "" && old != name {
		return fmt.Errorf("tokens %q and %q have the same id %d", min(old, name), max(old, name), id)
	}
	f.names[id] = name
	return nil
}

// readAdded reads added_tokens. The library ignores the ids there: it gives a token the id of its name in the vocabulary, else
// the next one after all others. A file where that is something else would make wrong ids in silence.
func (f *file) readAdded(vocab map[string]uint32) error {
	if raw := f.parts["added_tokens"]; raw != nil {
		if err := json.Unmarshal(raw, &f.added); err != nil {
			return fmt.Errorf("added_tokens: %w", err)
		}
	}
	given, next, specials := map[string]bool{}, uint32(len(vocab)), 0
	for _, a := range f.added {
		id, ok := vocab[a.Content]
		if !ok {
			id = next
		}
		next = max(next, id+1)
		switch {
		case a.Content == "" || given[a.Content]:
			return fmt.Errorf("added_tokens: %q is empty or there twice", a.Content)
		case strings.Contains(a.Content, escape):
			return fmt.Errorf("added_tokens: %q has the code point U+FDD0, which is used here inside", a.Content)
		case a.ID != id:
			return fmt.Errorf("added_tokens: %q has the id %d, but by the vocabulary it is %d", a.Content, a.ID, id)
		}
		if given[a.Content] = true; a.Special {
			specials++
		}
		if err := f.setName(a.ID, a.Content); err != nil {
			return fmt.Errorf("added_tokens: %w", err)
		}
	}
	if specials > maxSpecialTokens {
		return fmt.Errorf("added_tokens: %d are special; at most %d are accepted", specials, maxSpecialTokens)
	}
	return nil
}

// checkNormalizer looks for the kind that the library panics on.
func checkNormalizer(raw json.RawMessage) error {
	var n *struct {
		Type        string            `json:"type"`
		Normalizers []json.RawMessage `json:"normalizers"`
	}
	if raw == nil {
		return nil
	}
	if err := json.Unmarshal(raw, &n); err != nil {
		return fmt.Errorf("normalizer: %w", err)
	}
	if n == nil {
		return nil
	}
	if n.Type == "Precompiled" {
		return errors.New("normalizer: type Precompiled is not supported")
	}
	for _, inner := range n.Normalizers {
		if err := checkNormalizer(inner); err != nil {
			return err
		}
	}
	return nil
}

// checkPostProcessor looks for a template that would lose the text or names a token that it does not describe.
func checkPostProcessor(raw json.RawMessage) error {
	var p *struct {
		Type       string            `json:"type"`
		Processors []json.RawMessage `json:"processors"` // Sequence
		Single     []struct {        // TemplateProcessing
			Sequence     json.RawMessage      `json:"Sequence"`
			SpecialToken struct{ ID *string } `json:"SpecialToken"`
		} `json:"single"`
		SpecialTokens map[string]json.RawMessage `json:"special_tokens"`
	}
	if raw == nil {
		return nil
	}
	if err := json.Unmarshal(raw, &p); err != nil || p == nil {
		return err
	}
	texts := 0
	for _, piece := range p.Single {
		if piece.Sequence != nil {
			texts++
		}
		if name := piece.SpecialToken.ID; name != nil && p.SpecialTokens[*name] == nil {
			return fmt.Errorf("the template names %q, which special_tokens lacks", *name)
		}
	}
	if p.Type == "TemplateProcessing" && texts != 1 {
		return fmt.Errorf("the template has the text %d times", texts)
	}
	for _, inner := range p.Processors {
		if err := checkPostProcessor(inner); err != nil {
			return err
		}
	}
	return nil
}

// replaceNormalizer is the library's Replace; its pattern is a "String" or a "Regex".
type replaceNormalizer struct {
	Type    string            `json:"type"`
	Pattern map[string]string `json:"pattern"`
	Content string            `json:"content"`
}

func newReplace(kind, pattern, by string) replaceNormalizer {
	return replaceNormalizer{"Replace", map[string]string{kind: pattern}, by}
}

// forLibrary writes the file again for the library: marks added, their normalizers first, and without what cuts or fills texts
// up to a length, since a prompt is never cut in silence.
func (f *file) forLibrary(m *marks) []byte {
	parts := maps.Clone(f.parts)
	for _, name := range []string{"truncation", "padding", "decoder"} {
		delete(parts, name)
	}
	parts["model"] = writeObject(f.model)
	parts["added_tokens"] = encode(append(append([]addedToken{}, f.added...), m.addedTokens()...)) // never null
	var steps []any
	for _, n := range m.normalizers() {
		steps = append(steps, n)
	}
	if n := parts["normalizer"]; n != nil && string(n) != "null" {
		steps = append(steps, n)
	}
	parts["normalizer"] = encode(map[string]any{"type": "Sequence", "normalizers": steps})
	return writeObject(parts)
}

// writeObject writes a JSON object whose values are JSON already.
func writeObject(parts map[string]json.RawMessage) []byte {
	b, separator := bytes.NewBufferString("{"), ""
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		b.WriteString(separator)
		b.Write(encode(key))
		b.WriteByte(':')
		b.Write(parts[key])
		separator = ","
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encode writes what cannot fail to be JSON.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: cannot encode %T: %v", v, err))
	}
	return text
}
