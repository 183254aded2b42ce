package server

// stopFilter lets generated text through up to the first stop string, however tokens cut it. The stop string that is complete
// first ends the text; of several that end at the same byte the longest counts. It holds back only bytes that may still become
// part of a stop string, so a client never sees text that is cut later. Work is linear in the text: one Knuth-Morris-Pratt
// automaton per stop string.
type stopFilter struct {
	stops   []stopString
	include bool   // the text keeps the stop string
	held    string // text that may be the beginning of a stop string
}

// stopString is the automaton of one stop string.
type stopString struct {
	text  string
	fail  []int // fail[i] = length of the longest proper border of text[:i+1]
	match int   // length of the longest prefix of text that ends the text seen so far
}

// newStopFilter makes a filter; stops are not empty.
func newStopFilter(stops []string, include bool) *stopFilter {
	f := &stopFilter{include: include}
	for _, text := range stops {
		f.stops = append(f.stops, stopString{text: text, fail: borders(text)})
	}
	return f
}

// borders is the failure function of Knuth, Morris and Pratt.
func borders(text string) []int {
	fail := make([]int, len(text))
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = fail[k-1]
		}
		if text[i] == text[k] {
			k++
		}
		fail[i] = k
	}
	return fail
}

// next follows one byte and says whether the stop string is complete.
func (s *stopString) next(c byte) bool {
	for s.match > 0 && (s.match == len(s.text) || s.text[s.match] != c) {
		s.match = s.fail[s.match-1]
	}
	if s.text[s.match] == c {
		s.match++
	}
	return s.match == len(s.text)
}

// push adds text and returns what may be shown. If a stop string is complete it is returned as hit, and out ends the text.
func (f *stopFilter) push(text string) (out, hit string) {
	whole := f.held + text
	for i := range len(text) {
		if hit := f.next(text[i]); hit != "" {
			end := len(f.held) + i + 1
			if !f.include {
				end -= len(hit)
			}
			f.held = ""
			return whole[:end], hit
		}
	}
	longest := 0
	for i := range f.stops {
		longest = max(longest, f.stops[i].match)
	}
	f.held = whole[len(whole)-longest:]
	return whole[:len(whole)-longest], ""
}

// next moves every automaton by one byte and returns the longest stop string that is complete now, or "".
func (f *stopFilter) next(c byte) (hit string) {
	for i := range f.stops {
		if s := &f.stops[i]; s.next(c) && len(s.text) > len(hit) {
			hit = s.text
		}
	}
	return hit
}

// flush returns what was held back; the text ends without a stop string.
func (f *stopFilter) flush() string {
	held := f.held
	f.held = ""
	return held
}
