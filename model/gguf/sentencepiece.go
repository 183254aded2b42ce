package gguf

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// spaceMark is what a space is in SentencePiece's pieces.
const spaceMark = "\u2581"

// pieces are the tokens of a SentencePiece model of the kind BPE.
type pieces struct {
	names   []string
	kinds   []int32
	scores  []float32
	unknown string // the token for what no other token spells
}

// sentencePiece writes tokenizer.json as Hugging Face's converter does for such a model, in the form that it calls legacy: a space is put
// before every stretch of text between added tokens, which is what llama.cpp does too.
func sentencePiece(k *Keys) ([]byte, error) {
	p, err := readPieces(k)
	if err != nil {
		return nil, err
	}
	merges, err := p.merges()
	if err != nil {
		return nil, err
	}
	if err := otherNormalizer(k); err != nil {
		return nil, err
	}
	prefix, post := k.Bool("tokenizer.ggml.add_space_prefix", true), template(k, true)
	if k.Err != nil {
		return nil, k.Err
	}
	normalizers := []any{object{"type": "Replace", "pattern": object{"String": " "}, "content": spaceMark}}
	decoders := []any{object{"type": "Replace", "pattern": object{"String": spaceMark}, "content": " "}, object{"type": "ByteFallback"}, object{"type": "Fuse"}}
	if prefix {
		normalizers = slices.Insert(normalizers, 0, any(object{"type": "Prepend", "prepend": spaceMark}))
		decoders = append(decoders, object{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	vocab, added := p.vocab()
	return encode(object{"version": "1.0", "added_tokens": added, "normalizer": object{"type": "Sequence", "normalizers": normalizers}, "pre_tokenizer": nil,
		"post_processor": post, "decoder": object{"type": "Sequence", "decoders": decoders},
		"model": object{"type": "BPE", "unk_token": p.unknown, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab, "merges": merges}}), nil
}

// otherNormalizer refuses files that say that texts are changed before they are cut. No Llama's does.
func otherNormalizer(k *Keys) error {
	for _, key := range []string{"tokenizer.ggml.precompiled_charsmap", "tokenizer.ggml.normalizer.lowercase"} {
		if k.Has(key) {
			return fmt.Errorf("metadata key %q is there: a tokenizer that changes texts is not supported; %s", key, advice)
		}
	}
	if k.Bool("tokenizer.ggml.remove_extra_whitespaces", false) {
		return fmt.Errorf("a tokenizer that removes white space is not supported; %s", advice)
	}
	return k.Err
}

// readPieces reads and checks the tokens. Those that the file names as begin, end, unknown or padding are control tokens whatever their type,
// and so are user-defined ones such as <|im_start|>: older converters gave that type to all added tokens, and what a user writes must not
// become one of these.
func readPieces(k *Keys) (*pieces, error) {
	names, kinds, err := readNames(k)
	if err != nil {
		return nil, err
	}
	p := &pieces{names: names, kinds: kinds, scores: k.Floats("tokenizer.ggml.scores")}
	if k.Err == nil && len(p.scores) != len(names) {
		return nil, fmt.Errorf("%d tokens with %d scores; want a score of each, which say how texts are cut: %s", len(names), len(p.scores), advice)
	}
	for _, special := range ids {
		if id := k.Int(special.key, 0); k.Has(special.key) && id >= len(names) {
			k.fail(special.key, "not a token")
		} else if k.Has(special.key) && (kinds[id] == tokenNormal || kinds[id] == tokenUserDefined) && utf8.RuneCountInString(names[id]) > 1 {
			kinds[id] = tokenControl
		}
	}
	for id, name := range names {
		if kinds[id] == tokenUserDefined && strings.HasPrefix(name, "<|") && strings.HasSuffix(name, "|>") {
			kinds[id] = tokenControl
		}
	}
	if k.Err != nil {
		return nil, k.Err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, p.findUnknown(k)
}

// check looks at each token, and whether each byte has one.
func (p *pieces) check() error {
	bytes := 0
	for id, name := range p.names {
		score := float64(p.scores[id])
		switch kind := p.kinds[id]; {
		case kind < tokenNormal || kind > tokenByte:
			return fmt.Errorf("token %d (%q) has the type %d; want %d to %d", id, clip(name), kind, tokenNormal, tokenByte)
		case kind == tokenByte && !isByteName(name):
			return fmt.Errorf("token %d (%q) has the type of a byte; want a name such as <0x0A>", id, clip(name))
		case kind == tokenByte:
			bytes++
		case kind == tokenNormal && (math.IsNaN(score) || math.IsInf(score, 0)):
			return fmt.Errorf("token %d (%q) has the score %g", id, clip(name), score)
		}
	}
	if bytes != 256 {
		return fmt.Errorf("%d tokens are bytes (type %d); want 256, one for each byte of characters without a token", bytes, tokenByte)
	}
	return nil
}

func isByteName(name string) bool {
	var b byte
	_, err := fmt.Sscanf(name, "<0x%02X>", &b)
	return err == nil && name == fmt.Sprintf("<0x%02X>", b)
}

// findUnknown finds the unknown token: the one that the file names, else the one of that type.
func (p *pieces) findUnknown(k *Keys) error {
	id := slices.Index(p.kinds, tokenUnknown)
	if key := "tokenizer.ggml.unknown_token_id"; k.Has(key) {
		id = k.Int(key, 0) // readPieces looked whether it is a token
	}
	if id < 0 {
		return fmt.Errorf("there is no unknown token: no token has type %d, and unknown_token_id is missing", tokenUnknown)
	}
	p.unknown = p.names[id]
	return nil
}

// vocab gives the vocabulary and the added tokens, which are in both, since ids must have no gaps. Unused tokens are ones of the vocabulary
// that no merge makes; those behind all others are left out.
func (p *pieces) vocab() (vocab map[string]int, added []addedToken) {
	vocab = map[string]int{}
	end := len(p.names)
	for end > 0 && p.kinds[end-1] == tokenUnused {
		end--
	}
	for id, name := range p.names[:end] {
		vocab[name] = id
		switch kind := p.kinds[id]; kind {
		case tokenControl, tokenUnknown, tokenUserDefined:
			added = append(added, addedToken{ID: id, Content: name, Special: kind != tokenUserDefined})
		}
	}
	return vocab, added
}
