package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Limits of what a request may hand to a template beside the conversation.
const (
	maxKwargs         = 64       // variables
	maxKwargsBytes    = 32 << 10 // of their JSON
	maxKwargNameBytes = 64
	maxKwargDepth     = 8 // of lists and maps within each other
)

// ownNames are those that no request may give a value: the conversation itself, and what templates call.
var ownNames = []string{"messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "chat_template", "tokenize", "loop", "self"}

// ParseKwargs makes Input.Vars of a request's chat_template_kwargs, such as {"enable_thinking": false}: a JSON object of
// strings, numbers, booleans, null, lists and maps. Objects keep the order of their keys, and no text in it is trusted. An
// error says which variable is wrong, and is one for the client.
func ParseKwargs(object json.RawMessage) (map[string]any, error) {
	if len(object) > maxKwargsBytes {
		return nil, fmt.Errorf("chat_template_kwargs has %d bytes; at most %d are accepted", len(object), maxKwargsBytes)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return nil, fmt.Errorf("chat_template_kwargs is not a JSON object")
	}
	if len(fields) > maxKwargs {
		return nil, fmt.Errorf("chat_template_kwargs has %d variables; at most %d are accepted", len(fields), maxKwargs)
	}
	vars := make(map[string]any, len(fields))
	for key, raw := range fields {
		if err := checkKwarg(key, raw); err != nil {
			return nil, fmt.Errorf("chat_template_kwargs: %w", err)
		}
		vars[key] = raw
	}
	return vars, nil
}

func checkKwarg(key string, raw json.RawMessage) error {
	own := slices.Contains(ownNames, key) || globals[key] != nil || strings.HasSuffix(key, "_token") || strings.HasSuffix(key, "_tokens")
	switch {
	case len(key) > maxKwargNameBytes || key == "" || isDigit(rune(key[0])) || strings.TrimFunc(key, isNameRune) != "" || strings.HasPrefix(key, "_"):
		return fmt.Errorf("%.80q cannot be a variable: want a letter, then letters, digits and _, at most %d of them", key, maxKwargNameBytes)
	case own:
		return fmt.Errorf("%q belongs to the server and cannot be set", key)
	case jsonDepth(raw) > maxKwargDepth:
		return fmt.Errorf("%q has more than %d lists or maps within each other", key, maxKwargDepth)
	}
	return nil
}

// jsonDepth is how many brackets of valid JSON are open at once.
func jsonDepth(raw json.RawMessage) (deepest int) {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '{' || c == '['):
			depth++
			deepest = max(deepest, depth)
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
	}
	return deepest
}
