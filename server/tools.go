package server

import (
	"crypto/rand"
	"encoding/hex"

	"astro/engine"
	"astro/openai"
	"astro/server/toolcall"
)

// finishToolCalls is the finish_reason of an answer in which the model chose to call tools.
const finishToolCalls = "tool_calls"

// useTools has the choices of a call look for calls of tools, or make some.
func (c *call) useTools(t *openai.Tooling) *openai.Error {
	if t.Choice.Mode == openai.ToolsNone {
		return nil
	}
	forced, err := c.server.toolGrammar(t)
	if err != nil {
		return err
	}
	if forced != nil {
		if c.options.IgnoreEOS || c.allowed != nil {
			return openai.Invalid("tool_choice", "invalid_value", "Invalid 'tool_choice': an answer that must call a tool excludes 'ignore_eos' and 'allowed_token_ids'.")
		}
		c.grammar = forced
	}
	var names []string
	for i := range t.Tools {
		names = append(names, t.Tools[i].Name)
	}
	for _, choice := range c.choices {
		if choice.tools = toolcall.New(names); t.Choice.Mode == openai.ToolsNamed {
			choice.tools, choice.named = toolcall.Named(t.Choice.Name), true
		}
	}
	return nil
}

// callTools takes calls of tools out of an update's text.
func (c *choice) callTools(u *update) {
	if c.tools == nil {
		return
	}
	text, deltas := c.tools.Push(u.text)
	if u.finish != "" {
		rest, more := c.tools.End()
		text, deltas = text+rest, append(deltas, more...)
		if u.finish == string(engine.FinishStop) && c.tools.Calls() > 0 && !c.named {
			u.finish = finishToolCalls
		}
	}
	u.text = text
	for _, d := range deltas {
		u.calls = append(u.calls, toolCallOf(d))
	}
}

// toolCallOf is a part of a call as a stream sends it.
func toolCallOf(d toolcall.Delta) openai.ToolCall {
	call := openai.ToolCall{Index: &d.Index, Function: openai.FunctionCall{Name: d.Name, Arguments: d.Arguments}}
	if d.Name != "" {
		var b [12]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		call.ID, call.Type = "call_"+hex.EncodeToString(b[:]), "function"
	}
	return call
}

// wholeCalls puts the parts of calls together, as an answer that is not streamed has them.
func wholeCalls(parts []openai.ToolCall) []openai.ToolCall {
	var whole []openai.ToolCall
	for _, part := range parts {
		if part.ID != "" {
			part.Index = nil
			whole = append(whole, part)
			continue
		}
		whole[len(whole)-1].Function.Arguments += part.Function.Arguments
	}
	return whole
}
