package countdown

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"astro/training/reward"
)

// ContextTokens is the demo model's context length.
const ContextTokens = 512

// chatTemplate turns the last message into a prompt, `<bos>3 7 2 9 -> 27 :`, and leaves the rest to the model. Earlier
// messages are dropped: the model has only ever seen one problem at a time.
const chatTemplate = `{{- bos_token }}{%- for message in messages %}{%- if loop.last %}{{- message['content'] | trim }}{%- endif %}{%- endfor %}{{- ' :' }}`

// WriteTokenizer writes tokenizer.json and tokenizer_config.json, in Hugging Face's formats, into a folder.
func (d Domain) WriteTokenizer(dir string) error {
	if err := writeJSON(filepath.Join(dir, "tokenizer.json"), d.tokenizerJSON()); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, "tokenizer_config.json"), tokenizerConfig())
}

type object = map[string]any

// tokenizerJSON is a word-level tokenizer. The first pre-tokenizer cuts a text into words just as the verifier does, and the
// second puts a space before each, so that a token's text is " 3" or " But wait, ..." and decoding is plain concatenation:
// the text of a completion is the sum of its tokens' texts, and encodes to the same tokens again.
func (d Domain) tokenizerJSON() object {
	return object{
		"version": "1.0", "truncation": nil, "padding": nil, "normalizer": nil,
		"added_tokens": addedTokens(),
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{
			{"type": "Split", "pattern": object{"Regex": wordPattern()}, "behavior": "Removed", "invert": true},
			{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false},
		}},
		"post_processor": object{
			"type":           "TemplateProcessing",
			"single":         []object{specialPiece(), {"Sequence": object{"id": "A", "type_id": 0}}},
			"pair":           []object{specialPiece(), {"Sequence": object{"id": "A", "type_id": 0}}, {"Sequence": object{"id": "B", "type_id": 0}}},
			"special_tokens": object{Text(BOS): object{"id": Text(BOS), "ids": []int32{BOS}, "tokens": []string{Text(BOS)}}},
		},
		"decoder": object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model":   object{"type": "WordLevel", "vocab": d.vocabulary(), "unk_token": Text(Unknown)},
	}
}

func specialPiece() object { return object{"SpecialToken": object{"id": Text(BOS), "type_id": 0}} }

func addedTokens() []object {
	var added []object
	for id := Unknown; id <= Pad; id++ {
		added = append(added, object{"id": id, "content": Text(id), "single_word": false, "lstrip": false, "rstrip": false,
			"normalized": false, "special": true})
	}
	return added
}

// vocabulary maps each token's text to its id; a space is written Ġ, as byte-level tokenizers do.
func (d Domain) vocabulary() object {
	vocab := object{}
	for id := range int32(d.VocabSize()) {
		text := Text(id)
		if id > Pad {
			text = "Ġ" + strings.ReplaceAll(text, " ", "Ġ")
		}
		vocab[text] = id
	}
	return vocab
}

// wordPattern matches one word: a sentence, a number, the arrow, a symbol, or a run of anything else.
func wordPattern() string {
	const symbols = `:|;=+*/\-`
	var words []string
	for _, s := range reward.CountdownSentences {
		words = append(words, regexp.QuoteMeta(s))
	}
	words = append(words, `[0-9]+`, `->`, `[`+symbols+`]`, `[^\s0-9`+symbols+`]+`)
	return strings.Join(words, "|")
}

func tokenizerConfig() object {
	return object{
		"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": ContextTokens, "clean_up_tokenization_spaces": false,
		"bos_token": Text(BOS), "eos_token": Text(EOS), "unk_token": Text(Unknown), "pad_token": Text(Pad),
		"chat_template": chatTemplate,
	}
}

// writeJSON writes value as indented JSON without escaping < and >.
func writeJSON(path string, value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		panic(fmt.Sprintf("BUG: cannot encode %s: %v", path, err))
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("cannot write the tokenizer: %w", err)
	}
	return nil
}
