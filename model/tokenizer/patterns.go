package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp/syntax"
	"slices"
)

// maxPatternBytes bounds one regular expression of a file.
const maxPatternBytes = 4 << 10

// known are the expressions of published models that look ahead, or repeat more than one piece, and yet take time in proportion to
// the text: GPT-2's, that of Llama 3, and Qwen's.
var known = []string{
	`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
}

// checkPatterns refuses a part of a file with a regular expression that might go back over a text again and again: the library's
// engine backtracks, and an expression such as (a+)+$ makes it give up, or worse. Every key Regex is looked at, wherever it is and
// however often.
func checkPatterns(part json.RawMessage) error {
	return eachPattern(json.NewDecoder(bytes.NewReader(part)), func(pattern string) error {
		if len(pattern) <= maxPatternBytes && (slices.Contains(known, pattern) || plain(pattern)) {
			return nil
		}
		return fmt.Errorf("the regular expression %.200q is refused: it is not one of GPT-2, Llama 3 or Qwen, nor one where only the end "+
			"of an alternative repeats without bound, so it could take very long on some texts", pattern)
	})
}

// eachPattern visits the texts under the keys Regex of the next value. The value is known to be JSON of a bounded depth.
func eachPattern(d *json.Decoder, visit func(string) error) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	for d.More() {
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if key == "Regex" {
				var pattern any
				if err := d.Decode(&pattern); err != nil {
					return err
				}
				text, ok := pattern.(string)
				if !ok {
					return fmt.Errorf("a regular expression is not a text")
				}
				if err := visit(text); err != nil {
					return err
				}
				continue
			}
		}
		if err := eachPattern(d, visit); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// plain says that a backtracking engine never reads a character twice for one alternative: single characters, at most one of which
// repeats without bound, the last.
func plain(pattern string) bool {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	return err == nil && plainTree(tree, true)
}

func plainTree(r *syntax.Regexp, last bool) bool {
	switch r.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpEmptyMatch:
		return true
	case syntax.OpQuest:
		return single(r.Sub[0])
	case syntax.OpStar, syntax.OpPlus:
		return last && single(r.Sub[0])
	case syntax.OpRepeat:
		return (last || r.Max >= 0) && single(r.Sub[0])
	case syntax.OpAlternate:
		return last && !slices.ContainsFunc(r.Sub, func(sub *syntax.Regexp) bool { return !plainTree(sub, true) })
	case syntax.OpConcat:
		for i, sub := range r.Sub {
			if !plainTree(sub, last && i == len(r.Sub)-1) {
				return false
			}
		}
		return true
	}
	return false
}

// single says that r matches one character.
func single(r *syntax.Regexp) bool {
	return r.Op == syntax.OpCharClass || r.Op == syntax.OpAnyChar || r.Op == syntax.OpAnyCharNotNL || r.Op == syntax.OpLiteral && len(r.Rune) == 1
}
