package tokenizer

import (
	"strings"
	"testing"

	"astro/internal/growthtest"
	"astro/model/chat"
)

// Texts that make backtracking expressions, merges and marks work take time in proportion to their length, in every tokenizer.
func TestSec_R09TokenizersAreLinear(t *testing.T) {
	for _, model := range []string{"llama3", "countdown", "bpe512", "spm-first", "spm-gguf"} {
		tok := load(t, model)
		for name, unit := range map[string]string{"words": "The quick fox ", "letters": "a", "spaces": " ", "lines": "\n", "spaces and lines": " \n", "digits": "7", "marks": "!?", "apostrophes": "'",
			"special": "<|eot_id|><s>", "escapes": escape, "nul": "\x00", "wide": "界", "combining": "e\u0301", "not UTF-8": "\xff"} {
			growthtest.Linear(t, model+" "+name, 1<<12/len(unit), func(n int) {
				text := strings.Repeat(unit, n)
				tok.Encode(text)
				tok.EncodeSegments([]chat.Segment{{Text: text, Trusted: true}, {Text: text}})
			})
		}
	}
}

// Ids become text in proportion to their number, those that are pieces of characters too.
func TestSec_R09DetokenizersAreLinear(t *testing.T) {
	for _, model := range []string{"llama3", "spm-first", "spm-legacy", "spm-gguf"} {
		tok := load(t, model)
		for _, text := range []string{"The quick fox", "\xf0\x9f\x98", "界", "\x80"} {
			ids := tok.Encode(text)
			growthtest.Linear(t, model+" "+text, 1<<14, func(n int) {
				s := tok.NewStream()
				for i := range n {
					s.Push(ids[i%len(ids)])
				}
				s.Flush()
			})
		}
	}
}
