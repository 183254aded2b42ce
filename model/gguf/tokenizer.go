package gguf

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

const (
	tokensKey      = "tokenizer.ggml.tokens"
	maxVocabTokens = 1 << 21

	// advice ends errors about tokenizers that do not follow from the file.
	advice = "put the tokenizer.json of the model that the file was made from beside it"
)

// Kinds of tokens, by their numbers in the format.
const (
	tokenNormal      = 1
	tokenUnknown     = 2
	tokenControl     = 3
	tokenUserDefined = 4
	tokenUnused      = 5
	tokenByte        = 6
)

// object is a JSON object in the making.
type object = map[string]any

// splits says how byte-level models cut a text into words, by the name in the file. Only those whose rule is known for certain are here.
var splits = map[string]struct {
	pre          any
	ignoreMerges bool // a word that is a token is not made from its parts
	bos          bool // where the file does not say
}{
	"gpt-2":  {pre: byteLevel(true)},
	"smollm": {pre: sequence(object{"type": "Digits", "individual_digits": true}, byteLevel(true))},
	"llama-bpe": {pre: sequence(object{"type": "Split", "pattern": object{"Regex": llama3Pattern}, "behavior": "Isolated", "invert": false}, byteLevel(false)),
		ignoreMerges: true, bos: true},
}

// llama3Pattern is the regular expression of Llama 3's tokenizer.json.
const llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

func byteLevel(regex bool) object {
	return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex}
}

func sequence(steps ...any) object { return object{"type": "Sequence", "pretokenizers": steps} }

// tokenizer writes tokenizer.json.
func (f *File) tokenizer() ([]byte, error) {
	k := f.Keys()
	model, pre := k.Text("tokenizer.ggml.model"), k.Text("tokenizer.ggml.pre")
	if k.Err != nil {
		return nil, k.Err
	}
	if model == "llama" {
		return sentencePiece(k)
	}
	split, known := splits[pre]
	if model != "gpt2" || !known {
		return nil, unknownTokenizer{clip(model), clip(pre)}
	}
	vocab, added, err := readTokens(k)
	if err != nil {
		return nil, err
	}
	merges := k.Texts("tokenizer.ggml.merges")
	if k.Err == nil && len(merges) == 0 {
		k.fail("tokenizer.ggml.merges", "missing or empty")
	}
	post := template(k, split.bos)
	if err := errors.Join(k.Err, checkMerges(merges)); err != nil {
		return nil, err
	}
	return encode(object{"version": "1.0", "added_tokens": added, "normalizer": nil, "pre_tokenizer": split.pre, "post_processor": post, "decoder": byteLevel(true),
		"model": object{"type": "BPE", "ignore_merges": split.ignoreMerges, "vocab": vocab, "merges": merges}}), nil
}

// unknownTokenizer is the error for a tokenizer that cannot be written as a tokenizer.json: the file has none.
type unknownTokenizer struct{ model, pre string }

func (u unknownTokenizer) Error() string {
	return fmt.Sprintf("the file's tokenizer (model %q, pre-tokenizer %q) is not supported; supported are model llama, which is SentencePiece's BPE, and model gpt2 with "+
		"llama-bpe, gpt-2 or smollm: %s", u.model, u.pre, advice)
}

// Is makes it an fs.ErrNotExist.
func (u unknownTokenizer) Is(target error) bool { return target == fs.ErrNotExist }

// addedToken is an entry of added_tokens.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// readTokens gives the vocabulary and the tokens beside it. As in Hugging Face's files, added tokens behind all others are not in the
// vocabulary, so that no text can spell them; where their ids would not follow from that, they are in both.
func readTokens(k *Keys) (vocab map[string]int, added []addedToken, err error) {
	tokens, kinds, err := readNames(k)
	if err != nil {
		return nil, nil, err
	}
	vocab = map[string]int{}
	for id, token := range tokens {
		switch kinds[id] {
		case tokenNormal:
			vocab[token] = id
		case tokenControl, tokenUnknown, tokenUserDefined:
			added = append(added, addedToken{ID: id, Content: token, Special: kinds[id] != tokenUserDefined})
		case tokenUnused:
		default:
			return nil, nil, fmt.Errorf("token %d (%q) has the type %d, which byte-level models do not have", id, clip(token), kinds[id])
		}
	}
	for i, a := range added {
		if a.ID != len(vocab)+i {
			return withAdded(vocab, added), added, nil
		}
	}
	return vocab, added, nil
}

// readNames gives the tokens, each another text, and their kinds.
func readNames(k *Keys) (tokens []string, kinds []int32, err error) {
	tokens, kinds = k.Texts(tokensKey), k.Ints("tokenizer.ggml.token_type")
	if k.Err != nil {
		return nil, nil, k.Err
	}
	if len(tokens) == 0 || len(tokens) > maxVocabTokens || len(kinds) != len(tokens) {
		return nil, nil, fmt.Errorf("%d tokens with %d types; want 1 to %d, and a type of each", len(tokens), len(kinds), maxVocabTokens)
	}
	ids := map[string]int{}
	for id, token := range tokens {
		if other, twice := ids[token]; twice || token == "" || !utf8.ValidString(token) {
			return nil, nil, fmt.Errorf("token %d (%q) is empty, not UTF-8, or the same as token %d", id, clip(token), other)
		}
		ids[token] = id
	}
	return tokens, kinds, nil
}

func withAdded(vocab map[string]int, added []addedToken) map[string]int {
	for _, a := range added {
		vocab[a.Content] = a.ID
	}
	return vocab
}

func checkMerges(merges []string) error {
	for i, m := range merges {
		if strings.Count(m, " ") != 1 || !utf8.ValidString(m) {
			return fmt.Errorf("merge %d (%q) is not two texts with a space between them", i, clip(m))
		}
	}
	return nil
}

// template is the post-processor: what is put before and behind a text.
func template(k *Keys, bos bool) any {
	single, special := []any{}, object{}
	add := func(flag, key string, otherwise bool) {
		if !k.Bool(flag, otherwise) || !k.Has(key) {
			return
		}
		id, tokens := k.Int(key, 0), k.Texts(tokensKey)
		if k.Err != nil || id >= len(tokens) {
			k.fail(key, "not a token")
			return
		}
		name := tokens[id]
		single = append(single, object{"SpecialToken": object{"id": name, "type_id": 0}})
		special[name] = object{"id": name, "ids": []int{id}, "tokens": []string{name}}
	}
	add("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", bos)
	single = append(single, object{"Sequence": object{"id": "A", "type_id": 0}})
	add("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", false)
	pair := append(append([]any{}, single...), object{"Sequence": object{"id": "B", "type_id": 1}})
	return object{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}
}

// clip shortens text from a file for an error message.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
