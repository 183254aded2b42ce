package openai

import "encoding/json"

// Limits of tools.
const (
	MaxTools         = 128 // tools, and tool calls of one message
	MaxToolNameBytes = 64  // name of a function
)

// Tool is a function that the model may call.
type Tool struct {
	Name       string
	Parameters json.RawMessage // JSON schema of an object; nil = an object with any members
	Raw        json.RawMessage // the whole entry as it was sent, for the chat template
}

// ToolMode says whether the model calls tools.
type ToolMode string

// The modes of tool_choice.
const (
	ToolsNone     ToolMode = "none"     // none is called
	ToolsAuto     ToolMode = "auto"     // the model decides
	ToolsRequired ToolMode = "required" // at least one is called
	ToolsNamed    ToolMode = "function" // the named one is called
)

// ToolChoice is tool_choice with its default filled in.
type ToolChoice struct {
	Mode ToolMode
	Name string // of ToolsNamed
}

// Tooling is what a chat says about tools.
type Tooling struct {
	Tools        []Tool
	Choice       ToolChoice // ToolsNone without tools
	ParallelCall bool       // parallel_tool_calls: an answer may hold several calls
}

// readTooling handles the parameters of tools; false = key is another one.
func readTooling(r *reader, key string, t *Tooling) bool {
	switch key {
	case "tools":
		r.array(MaxTools, func(int) { t.Tools = append(t.Tools, readTool(r)) })
		if len(t.Tools) == 0 {
			r.fail("empty_array", "Invalid 'tools': an array cannot be empty.")
		}
	case "tool_choice":
		t.Choice = readToolChoice(r)
	case "parallel_tool_calls":
		t.ParallelCall = r.boolean()
	default:
		return false
	}
	return true
}

// readTool reads {"type": "function", "function": {...}}.
func readTool(r *reader) Tool {
	var t Tool
	var kind string
	start := r.mark()
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			kind = readFunctionType(r)
		case key == "function":
			readFunction(r, &t)
		default:
			r.skip()
		}
	})
	t.Raw = json.RawMessage(r.since(start))
	switch {
	case r.err != nil:
	case kind == "":
		r.err = missing(r.param() + ".type")
	case t.Name == "":
		r.err = missing(r.param() + ".function")
	}
	return t
}

// readFunction reads what the model is told about a function.
func readFunction(r *reader, t *Tool) {
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "name":
			t.Name = readToolName(r)
		case key == "description":
			r.text(len(r.data))
		case key == "parameters":
			if r.kind() != '{' {
				r.wrongType("an object")
				return
			}
			t.Parameters = json.RawMessage(r.raw())
		case key == "strict":
			r.boolean() // arguments of required and named calls always follow the schema
		default:
			r.skip()
		}
	})
	if r.err == nil && t.Name == "" {
		r.err = missing(r.param() + ".name")
	}
}

// readToolName reads letters, digits, '_' and '-'.
func readToolName(r *reader) string {
	name := r.text(MaxToolNameBytes)
	for _, c := range []byte(name) {
		if !isWord(c) {
			r.fail("invalid_value", "Invalid '%s': expected letters, digits, '_' and '-'.", r.param())
		}
	}
	return name
}

// readFunctionType reads the only type of tool that there is.
func readFunctionType(r *reader) string {
	kind := r.text(MaxModelBytes)
	if r.err == nil && kind != "function" {
		r.fail("invalid_value", "Invalid value for '%s': the supported value is 'function'.", r.param())
	}
	return kind
}

// readToolChoice reads a mode or {"type": "function", "function": {"name": ...}}.
func readToolChoice(r *reader) ToolChoice {
	if r.kind() == '{' {
		c := ToolChoice{Mode: ToolsNamed}
		r.object(func(key string) {
			switch key {
			case "type":
				readFunctionType(r)
			case "function":
				r.object(func(key string) {
					if key == "name" {
						c.Name = readToolName(r)
						return
					}
					r.skip()
				})
			default:
				r.skip()
			}
		})
		if r.err == nil && c.Name == "" {
			r.err = missing("tool_choice.function.name")
		}
		return c
	}
	mode := ToolMode(r.text(MaxModelBytes))
	if r.err == nil && mode != ToolsNone && mode != ToolsAuto && mode != ToolsRequired {
		r.fail("invalid_value", "Invalid value for 'tool_choice': supported values are 'none', 'auto', 'required' and an object that names a function.")
	}
	return ToolChoice{Mode: mode}
}

// check fills in the default mode and tests what concerns several parameters.
func (t *Tooling) check() *Error {
	names := map[string]bool{}
	for _, tool := range t.Tools {
		if names[tool.Name] {
			return Invalid("tools", "invalid_value", "Invalid 'tools': there are two functions called '%s'.", tool.Name)
		}
		names[tool.Name] = true
	}
	switch {
	case t.Choice.Mode == "" && len(t.Tools) > 0:
		t.Choice.Mode = ToolsAuto
	case t.Choice.Mode == "":
		t.Choice.Mode = ToolsNone
	case t.Choice.Mode != ToolsNone && len(t.Tools) == 0:
		return Invalid("tool_choice", "invalid_value", "Invalid 'tool_choice': it is only allowed with 'tools'.")
	case t.Choice.Mode == ToolsNamed && !names[t.Choice.Name]:
		return Invalid("tool_choice", "invalid_value", "Invalid 'tool_choice': no function is called '%s'.", t.Choice.Name)
	}
	return nil
}
