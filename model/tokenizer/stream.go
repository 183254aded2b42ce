package tokenizer

import "unicode/utf8"

// Stream turns the tokens of one completion into text, piece by piece. All pieces together are what Hugging Face's
// decode(ids, skip_special_tokens=True) makes of all ids, without its cleaning up of spaces, which byte-level texts do not need.
// Pieces end at UTF-8 borders; bytes that are no UTF-8 become U+FFFD. One thing differs: where a model with byte fallback writes
// a run of byte tokens that is UTF-8 only in part, Hugging Face shows U+FFFD for every byte of the run, which nobody can know
// before the run ends; here the characters that were whole stay. The work per token depends on the token alone.
// A Stream is for one goroutine.
type Stream struct {
	tokenizer *Tokenizer
	cut       []byte // the beginning of a character, at most 3 bytes
	begun     bool   // a token was shown
	strip     int    // leading characters that may still be dropped
	keeps     bool   // the first token is one as any other
}

// NewStream begins a text.
func (t *Tokenizer) NewStream() *Stream { return &Stream{tokenizer: t, strip: t.decoder.stripMax} }

// NewContinuation begins a text that goes on with another one, or whose first character counts: the space that a first token may bring is
// not dropped, as models with SentencePiece's tokens otherwise want.
func (t *Tokenizer) NewContinuation() *Stream { return &Stream{tokenizer: t, keeps: true} }

// Push adds a token and returns the text that is certain now, maybe none. Special tokens and ids without a token add nothing.
func (s *Stream) Push(id int32) string {
	t := s.tokenizer
	name := t.name(id)
	if name == "" || t.special[id] {
		return ""
	}
	spelled := t.decoder.spell(name, !s.begun && !s.keeps)
	if s.begun && t.decoder.join != "" {
		spelled = append([]byte(t.decoder.join), spelled...)
	}
	s.begun = true
	text, cut := repair(append(s.cut, spelled...), t.decoder.byteFallback)
	s.cut = append(s.cut[:0], cut...)
	return s.trim(text)
}

// Flush ends the text: a character that is still cut becomes U+FFFD.
func (s *Stream) Flush() string {
	text := ""
	for n := len(s.cut); n > 0; n-- {
		if text += string(utf8.RuneError); !s.tokenizer.decoder.byteFallback {
			break
		}
	}
	s.cut = nil
	return s.trim(text)
}

// trim drops what the decoder strips from the beginning of the whole text.
func (s *Stream) trim(text string) string {
	for s.strip > 0 && text != "" {
		r, n := utf8.DecodeRuneInString(text)
		if r != s.tokenizer.decoder.strip {
			s.strip = 0
			break
		}
		s.strip--
		text = text[n:]
	}
	return text
}

// repair returns what is certain of text, and the beginning of a character at its end. U+FFFD stands for each byte that is wrong,
// or for each longest beginning of a character where the rest did not come.
func repair(text []byte, eachByte bool) (string, []byte) {
	fixed := make([]byte, 0, len(text))
	for len(text) > 0 && utf8.FullRune(text) {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 && !eachByte {
			n = wrongBytes(text)
		}
		fixed = utf8.AppendRune(fixed, r)
		text = text[n:]
	}
	return string(fixed), text
}

// wrongBytes is the length of the beginning of a character at the front of text, whose next byte is not its own; at least 1.
func wrongBytes(text []byte) int {
	for n := min(len(text)-1, utf8.UTFMax-1); n > 1; n-- {
		if !utf8.FullRune(text[:n]) {
			return n
		}
	}
	return 1
}
