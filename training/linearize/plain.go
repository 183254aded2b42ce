package linearize

import (
	"strings"
	"unicode/utf8"
)

// maxQuoteBytes bounds what a plain return quotes of the step that it goes back to.
const maxQuoteBytes = 160

// plainReturn is the sentence of a return as no model would write it: to the beginning, or to the first words of what was said at the
// step that is kept last.
func plainReturn(back int, said string) string {
	if back == 0 {
		return Restart + " from the beginning."
	}
	line, _, _ := strings.Cut(said, "\n")
	if len(line) > maxQuoteBytes {
		cut := maxQuoteBytes
		for !utf8.RuneStart(line[cut]) {
			cut--
		}
		line = line[:cut] + "..."
	}
	return BackPrefix + " said: " + line
}

// plainly counts a step that cannot be shown as it is under the reason of a reply that cannot.
func plainly(step string, err error) (string, error) {
	if err != nil {
		return "", &Failure{BadReply, err}
	}
	return step, nil
}
