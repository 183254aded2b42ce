package chat

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Message is one turn of a conversation. Invalid UTF-8 becomes U+FFFD.
type Message struct {
	Role       string
	Content    string
	NoContent  bool           // the template sees no content at all, as of a message that only calls tools
	Parts      []string       // text parts; not nil = they are the content: a list, and their joined text where the template wants a string
	Name       string         // "" = absent
	ToolCalls  []ToolCall     // what an assistant asked for; nil = absent
	ToolCallID string         // of a tool's answer; "" = absent
	Extra      map[string]any // further keys; values as in Input.Vars, nil = absent
}

// ToolCall is a call of a function. Arguments are the JSON text of an object, which templates see as one; "" is an empty
// object. What is no JSON object, such as arguments that a model left unfinished, stays text.
type ToolCall struct {
	ID        string // "" = absent
	Name      string
	Arguments string
}

// message is a mapping of role, content, name, tool_calls and tool_call_id, then the further keys in alphabetical order.
func (m *machine) message(message *Message) (value, error) {
	const steps, stepsPerPart, stepsPerCall = 8, 4, 8 // for the memory that mappings take
	if err := m.spend(steps + stepsPerPart*len(message.Parts) + stepsPerCall*len(message.ToolCalls)); err != nil {
		return nil, err
	}
	d := newDict()
	if thinking := message.reasoning(); thinking != nil {
		if err := m.put(d, "thinking", thinking); err != nil {
			return nil, err
		}
	}
	d.set(untrusted("role"), valid(message.Role))
	if !message.NoContent {
		d.set(untrusted("content"), m.content(message))
	}
	if message.Name != "" {
		d.set(untrusted("name"), valid(message.Name))
	}
	if message.ToolCalls != nil {
		calls, err := m.toolCalls(message.ToolCalls)
		if err != nil {
			return nil, err
		}
		d.set(untrusted("tool_calls"), calls)
	}
	if message.ToolCallID != "" {
		d.set(untrusted("tool_call_id"), valid(message.ToolCallID))
	}
	return d, m.extra(d, message)
}

// joinParts are the messages with strings as contents; some says whether one had parts.
func joinParts(messages []Message) (joined []Message, some bool) {
	joined = slices.Clone(messages)
	for i := range joined {
		if parts := joined[i].Parts; parts != nil {
			joined[i].Content, joined[i].Parts, some = strings.Join(parts, ""), nil, true
		}
	}
	return joined, some
}

func (m *machine) content(message *Message) value {
	if message.Parts == nil {
		return valid(message.Content)
	}
	whole := valid(strings.Join(message.Parts, ""))
	parts := &list{spelled: &whole}
	for _, part := range message.Parts {
		p := newDict()
		p.set(untrusted("type"), untrusted("text"))
		p.set(untrusted("text"), valid(part))
		parts.items = append(parts.items, p)
	}
	return parts
}

// extra adds the further keys, and the reasoning under the name that most templates read.
func (m *machine) extra(d *dict, message *Message) error {
	for _, key := range slices.Sorted(maps.Keys(message.Extra)) {
		if message.Extra[key] == nil || key == "thinking" {
			continue
		}
		if err := m.put(d, key, message.Extra[key]); err != nil {
			return err
		}
	}
	if thinking := message.reasoning(); thinking != nil {
		return m.put(d, "reasoning_content", thinking)
	}
	return nil
}

func (m *machine) put(d *dict, key string, v any) error {
	converted, err := m.convert(v, 1)
	if err != nil {
		return fmt.Errorf("%.60q: %w", key, err)
	}
	d.set(valid(key), converted)
	return nil
}

// reasoning is what the message's author thought, under the names that transformers knows for it; nil = nothing.
func (m *Message) reasoning() any {
	for _, key := range []string{"reasoning_content", "thinking", "reasoning"} {
		if v := m.Extra[key]; v != nil {
			return v
		}
	}
	return nil
}

func (m *machine) toolCalls(calls []ToolCall) (value, error) {
	all := &list{}
	for i, c := range calls {
		arguments, err := m.callArguments(c.Arguments)
		if err != nil {
			return nil, fmt.Errorf("the arguments of tool call %d: %w", i, err)
		}
		f, d := newDict(), newDict()
		f.set(untrusted("name"), valid(c.Name))
		f.set(untrusted("arguments"), arguments)
		if c.ID != "" {
			d.set(untrusted("id"), valid(c.ID))
		}
		d.set(untrusted("type"), untrusted("function"))
		d.set(untrusted("function"), f)
		all.items = append(all.items, d)
	}
	return all, nil
}

// callArguments is the mapping that the JSON text spells, or else the text.
func (m *machine) callArguments(s string) (value, error) {
	if s == "" {
		return newDict(), nil
	}
	if !json.Valid([]byte(s)) || !strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "{") {
		return valid(s), nil
	}
	return m.decode(json.RawMessage(s), 0)
}
