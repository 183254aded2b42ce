package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// decoder is the file's decoder, as far as Llama models have one: how the name of a token becomes its bytes, and what happens
// where tokens meet. The zero value joins names as they are.
type decoder struct {
	replace      [][2]string // in names, in this order
	firstDrops   string      // what the first token of a text loses wherever it has it; "" = nothing
	byteLevel    bool        // names are bytes, each as one printable character
	byteFallback bool        // <0x0A> is the byte 10
	strip        rune        // leading character of a text that is dropped, at most stripMax times
	stripMax     int
	join         string // between tokens
}

// decoderStep is one entry of the file's decoder.
type decoderStep struct {
	Type     string            `json:"type"`
	Decoders []json.RawMessage `json:"decoders"` // Sequence
	Pattern  struct {          // Replace
		String *string `json:"String"`
	} `json:"pattern"`
	Content       string `json:"content"` // Replace and Strip
	Start         int    `json:"start"`   // Strip
	Stop          int    `json:"stop"`
	Replacement   string `json:"replacement"` // Metaspace
	PrependScheme string `json:"prepend_scheme"`
	AddPrefix     *bool  `json:"add_prefix_space"` // the older form of prepend_scheme
}

// parseDecoder reads a decoder; without one tokens are joined by spaces.
func parseDecoder(raw json.RawMessage) (decoder, error) {
	var d decoder
	if raw == nil || string(raw) == "null" {
		d.join = " "
		return d, nil
	}
	fused := false
	if err := d.add(raw, &fused, 0); err != nil {
		return d, fmt.Errorf("decoder: %w", err)
	}
	return d, nil
}

// add takes one step, or the steps of a sequence. fused says that the steps before it made one text of all tokens.
func (d *decoder) add(raw json.RawMessage, fused *bool, depth int) error {
	const maxDepth = 8
	var s decoderStep
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	early := !*fused && !d.byteFallback
	switch {
	case s.Type == "Sequence" && depth < maxDepth:
		for _, inner := range s.Decoders {
			if err := d.add(inner, fused, depth+1); err != nil {
				return err
			}
		}
	case s.Type == "Replace" && early && s.Pattern.String != nil:
		d.replace = append(d.replace, [2]string{*s.Pattern.String, s.Content})
	case s.Type == "Metaspace" && early && d.replace == nil:
		d.addMetaspace(s)
	case s.Type == "ByteFallback" && early:
		d.byteFallback = true
	case s.Type == "ByteLevel" && early && d.replace == nil:
		d.byteLevel, *fused = true, true
	case s.Type == "Fuse":
		*fused = true
	case s.Type == "Strip" && *fused && d.stripMax == 0 && s.Stop == 0 && s.Start >= 0:
		return d.addStrip(s)
	default:
		return fmt.Errorf("step %q is not supported in this form or place; Llama models have ByteLevel, or Replace, ByteFallback, Fuse and Strip in this order, or Metaspace", s.Type)
	}
	return nil
}

// addMetaspace: a mark stands for a space, and the first token loses all its marks if the model puts one before a text.
func (d *decoder) addMetaspace(s decoderStep) {
	d.replace = [][2]string{{s.Replacement, " "}}
	if s.PrependScheme != "never" && (s.AddPrefix == nil || *s.AddPrefix) {
		d.firstDrops = s.Replacement
	}
}

func (d *decoder) addStrip(s decoderStep) error {
	content := []rune(s.Content)
	if len(content) != 1 {
		return errors.New("step \"Strip\" needs one character as its content")
	}
	d.strip, d.stripMax = content[0], s.Start
	return nil
}

// spell makes the bytes of a token; first says that none stands before it in its text.
func (d *decoder) spell(name string, first bool) []byte {
	if first && d.firstDrops != "" {
		name = strings.ReplaceAll(name, d.firstDrops, "")
	}
	for _, r := range d.replace {
		name = strings.ReplaceAll(name, r[0], r[1])
	}
	if d.byteLevel {
		return spellBytes(name)
	}
	if b, ok := fallbackByte(name); ok && d.byteFallback {
		return []byte{b}
	}
	return []byte(name)
}

// fallbackByte reads <0x0A>.
func fallbackByte(name string) (byte, bool) {
	if len(name) != 6 || !strings.HasPrefix(name, "<0x") || name[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(name[3:5], 16, 8)
	return byte(b), err == nil
}

// byteOf is the byte-level alphabet: printable characters of Latin-1 are themselves, and the other bytes, in order, are the
// characters from U+0100 on.
var byteOf = func() map[rune]byte {
	alphabet, next := map[rune]byte{}, rune(0x100)
	for b := range rune(256) {
		if '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xFF && b != 0xAD {
			alphabet[b] = byte(b)
			continue
		}
		alphabet[next] = byte(b)
		next++
	}
	return alphabet
}()

// spellBytes takes a byte-level name apart. A name with other characters, of an added token, is its own text.
func spellBytes(name string) []byte {
	spelled := make([]byte, 0, len(name))
	for _, c := range name {
		b, ok := byteOf[c]
		if !ok {
			return []byte(name)
		}
		spelled = append(spelled, b)
	}
	return spelled
}
