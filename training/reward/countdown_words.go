package reward

import "strings"

// The words of a Countdown derivation. One word is one token of the Countdown model; the longer ones are the fixed sentences
// of ASTRO (astro-method.md 1.4), so that a completion reads as text.
const (
	WordArrow  = "->"
	WordColon  = ":"
	WordBar    = "|"
	WordEnd    = ";"
	WordEquals = "="

	WordButWait = "But wait, are we solving the problem correctly so far? Hmm..."
	WordNotSure = "I'm not sure if we're solving the problem correctly so far."
	WordLooksOK = "Our solution seems to be correct so far."
	WordAnswer  = "The answer is"
	WordRestart = "Let's restart our solution from the beginning."
	WordGoBack1 = "Let's go back to where we had taken one step."
	WordGoBack2 = "Let's go back to where we had taken two steps."
)

// WordsGoBack[d-1] returns to the state after d steps.
var WordsGoBack = [...]string{WordGoBack1, WordGoBack2}

// CountdownSentences are the words that contain spaces.
var CountdownSentences = [...]string{
	WordButWait, WordNotSure, WordLooksOK, WordAnswer, WordRestart, WordGoBack1, WordGoBack2,
}

// countdownWords cuts a text into words just as the Countdown tokenizer does: sentences whole, runs of digits, the arrow,
// single symbols, and anything else up to a space, digit or symbol. It stops after limit words; the flag then is false.
func countdownWords(text string, limit int) (words []string, whole bool) {
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" {
			return words, true
		}
		if len(words) == limit {
			return words, false
		}
		n := wordLength(text)
		words = append(words, text[:n])
		text = text[n:]
	}
}

// wordLength is the number of bytes of the first word of text, which does not begin with a space.
func wordLength(text string) int {
	for _, s := range CountdownSentences {
		if strings.HasPrefix(text, s) {
			return len(s)
		}
	}
	switch {
	case strings.HasPrefix(text, WordArrow):
		return len(WordArrow)
	case isSymbol(text[0]):
		return 1
	case isDigit(text[0]):
		return runLength(text, isDigit)
	}
	return runLength(text, func(b byte) bool { return !isDigit(b) && !isSymbol(b) && !isSpace(b) })
}

func runLength(text string, in func(byte) bool) int {
	n := 1
	for n < len(text) && in(text[n]) {
		n++
	}
	return n
}

func isDigit(b byte) bool  { return '0' <= b && b <= '9' }
func isSymbol(b byte) bool { return strings.IndexByte(":|;=+-*/", b) >= 0 }
func isSpace(b byte) bool  { return strings.IndexByte(" \t\r\n", b) >= 0 }

// number reads a positive decimal number of at most three digits without leading zeros; 0 = it is none.
func number(word string) int {
	if len(word) == 0 || len(word) > 3 || word[0] == '0' {
		return 0
	}
	n := 0
	for i := range len(word) {
		if !isDigit(word[i]) {
			return 0
		}
		n = n*10 + int(word[i]-'0')
	}
	return n
}
