package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The library has one switch for special tokens and takes one C string, so that alone it can neither tell trusted text from the
// rest nor read past a NUL. Text therefore goes to it escaped. escape is a code point that is never a character; where a text has
// it, self comes after it. escape and isNUL are a NUL, and escape and a private code point are a mark: an added token, in the
// library's copy of the file, that stands for a special token. So only trusted text can spell one. Normalizers in that copy take
// the escapes back, after the library has found added tokens in the raw text.
const (
	escape = "\uFDD0"
	isNUL  = "\uFDD1"
	self   = "\uFDD2"

	firstMark        = 0x100000 // marks are escape and one private code point from here on
	maxSpecialTokens = 0xFFFD   // as many as there are
)

// marks spells trusted special tokens so that the library cannot mistake anything else for them.
type marks struct {
	special   []addedToken // mark i stands for special[i]
	trusted   *strings.Replacer
	untrusted *strings.Replacer
	ids       map[uint32]int32 // the library's id of a mark -> the model's id
}

// newMarks takes all added tokens of the model.
func newMarks(added []addedToken) *marks {
	m := &marks{ids: map[uint32]int32{}, untrusted: strings.NewReplacer("\x00", escape+isNUL, escape, escape+self)}
	sorted := slices.Clone(added) // the longest name at a place counts, and tokens that are not special may be it
	slices.SortStableFunc(sorted, func(a, b addedToken) int { return cmp.Compare(len(b.Content), len(a.Content)) })
	pairs := []string{"\x00", escape + isNUL, escape, escape + self}
	for _, a := range sorted {
		as := a.Content
		if a.Special {
			as = m.mark(len(m.special))
			m.special = append(m.special, a)
		}
		pairs = append(pairs, a.Content, as)
	}
	m.trusted = strings.NewReplacer(pairs...)
	return m
}

func (m *marks) mark(i int) string { return escape + string(rune(firstMark+i)) }

// escape makes text as the library is to see it.
func (m *marks) escape(text string, trusted bool) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if trusted {
		return m.trusted.Replace(text)
	}
	return m.untrusted.Replace(text)
}

// addedTokens are the marks. To the library they are ordinary added tokens: its switch for special tokens is off.
func (m *marks) addedTokens() []addedToken {
	var added []addedToken
	for i, a := range m.special {
		a.Content, a.Special, a.Normalized = m.mark(i), false, false
		added = append(added, a)
	}
	return added
}

// normalizers take the escapes back. They change or drop one character at a time: so the library still knows what stood at the
// beginning of a text, where some models put a space. Only a mark with single_word can be left: it was refused between letters.
func (m *marks) normalizers() []replaceNormalizer {
	var steps []replaceNormalizer
	for i, a := range m.special {
		if a.SingleWord {
			steps = append(steps, newReplace("String", m.mark(i), a.Content))
		}
	}
	return append(steps, newReplace("Regex", escape+"(?="+isNUL+")", "\x00"),
		newReplace("Regex", `(?<=[\x00`+escape+"])["+isNUL+self+"]", ""))
}

// all is a text of all marks.
func (m *marks) all() string {
	var b strings.Builder
	for i := range m.special {
		b.WriteString(m.mark(i))
	}
	return b.String()
}

// learn takes the library's ids of all(). The library numbers the marks from the end of the vocabulary on; if that has gaps, the
// numbers may already mean something else.
func (m *marks) learn(ids []uint32, vocab int) error {
	if len(ids) != len(m.special) {
		return fmt.Errorf("the tokenizers library finds %d of %d", len(ids), len(m.special))
	}
	for i, id := range ids {
		if int(id) < vocab {
			return fmt.Errorf("the tokenizers library gives %q the id of another token, since the vocabulary's ids have gaps", m.special[i].Content)
		}
		m.ids[id] = int32(m.special[i].ID)
	}
	return nil
}
