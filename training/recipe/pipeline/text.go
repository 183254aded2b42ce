package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"astro/training/countdown"
)

// setOf names the numbers of a problem, whatever their order.
func setOf(p countdown.Problem) string {
	return fmt.Sprint(slices.Sorted(slices.Values(p.Numbers)))
}

// textOf is tokens as the tokenizer decodes them, up to the end of sequence.
func textOf(tokens []int32) string {
	var words []string
	for _, id := range tokens {
		if id == countdown.EOS {
			break
		}
		words = append(words, countdown.Text(id))
	}
	return strings.Join(words, " ")
}
