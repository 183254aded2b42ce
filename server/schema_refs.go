package server

import (
	"encoding/json"
	"strings"

	"astro/openai"
)

// level is an object or array that is open while a schema is read.
type level struct {
	object bool
	key    string // of the member whose value comes next
	keyed  bool   // it was read
}

// moved makes the references of a schema right that stands at another place, such as "#/$defs/tool0". Everything else stays as it is,
// with the order of members, which answers follow. What is no JSON is left to whoever compiles it.
func moved(schema []byte, to string) []byte {
	d := json.NewDecoder(strings.NewReader(string(schema)))
	d.UseNumber()
	var out strings.Builder
	var open []level
	last := int64(0)
	for {
		token, err := d.Token()
		if err != nil {
			break
		}
		piece := string(schema[last:d.InputOffset()])
		last = d.InputOffset()
		if text, isReference := reference(&open, token); isReference && strings.HasPrefix(text, "#") {
			piece = piece[:strings.IndexByte(piece, '"')] + string(openai.Encode(to+text[1:]))
		}
		out.WriteString(piece)
	}
	out.Write(schema[last:])
	return []byte(out.String())
}

// reference follows a token and says whether it is the value of a "$ref".
func reference(open *[]level, token json.Token) (text string, is bool) {
	top := &level{}
	if n := len(*open); n > 0 {
		top = &(*open)[n-1]
	}
	text, isText := token.(string)
	if isText && top.object && !top.keyed {
		top.key, top.keyed = text, true
		return "", false
	}
	is = isText && top.object && top.key == "$ref"
	switch token {
	case json.Delim('{'), json.Delim('['):
		top.keyed = false // its value is over when the new level is
		*open = append(*open, level{object: token == json.Delim('{')})
	case json.Delim('}'), json.Delim(']'):
		*open = (*open)[:len(*open)-1]
	default:
		top.keyed = false
	}
	return text, is
}
