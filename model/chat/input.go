package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// input is the variable of that name which the render was started with. What the template's own names stand for, no variable
// hides. Values are made when a template first asks for them.
func (m *machine) input(name string) (value, error) {
	switch name {
	case "messages":
		return m.messages()
	case "add_generation_prompt":
		return m.in.AddGenerationPrompt, nil
	case "tools":
		return m.tools()
	}
	if special, known := m.template.special[name]; known {
		return literal(strings.ToValidUTF8(special, "\uFFFD")), nil
	}
	if v, known := m.in.Vars[name]; known {
		return m.convert(v, 0)
	}
	if name == "documents" {
		return nil, nil // transformers defines it always
	}
	return undefined{name}, nil
}

func (m *machine) messages() (value, error) {
	all := &list{}
	for i := range m.in.Messages {
		v, err := m.message(&m.in.Messages[i])
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		all.items = append(all.items, v)
	}
	return all, nil
}

// valid is untrusted text in valid UTF-8.
func valid(s string) text { return untrusted(strings.ToValidUTF8(s, "\uFFFD")) }

func (m *machine) tools() (value, error) {
	if m.in.Tools == nil {
		return nil, nil
	}
	all := &list{}
	for i, tool := range m.in.Tools {
		v, err := m.decode(tool, 0)
		if err != nil {
			return nil, fmt.Errorf("tool %d: %w", i, err)
		}
		all.items = append(all.items, v)
	}
	return all, nil
}

// convert makes a template's value of one that the caller gave. All text in it is untrusted.
func (m *machine) convert(v any, depth int) (value, error) {
	if err := m.spend(1); err != nil {
		return nil, err
	}
	if depth > maxValueDepth {
		return nil, errDeepValue
	}
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return v, nil
	case int:
		return int64(v), nil
	case string:
		return valid(v), nil
	case json.RawMessage:
		return m.decode(v, depth)
	case []any:
		l := &list{}
		for _, item := range v {
			converted, err := m.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			l.items = append(l.items, converted)
		}
		return l, nil
	case map[string]any:
		d := newDict()
		for _, key := range slices.Sorted(maps.Keys(v)) {
			converted, err := m.convert(v[key], depth+1)
			if err != nil {
				return nil, err
			}
			d.set(valid(key), converted)
		}
		return d, nil
	}
	return nil, fmt.Errorf("a value has the Go type %T; want nil, bool, int, int64, float64, string, []any, map[string]any or json.RawMessage", v)
}

// decode reads one JSON value; objects keep the order of their keys.
func (m *machine) decode(raw json.RawMessage, depth int) (value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := m.decodeNext(d, depth)
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("read JSON: more than one value")
	}
	return v, nil
}

func (m *machine) decodeNext(d *json.Decoder, depth int) (value, error) {
	if err := m.spend(1); err != nil {
		return nil, err
	}
	if depth > maxValueDepth {
		return nil, errDeepValue
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case string:
		return valid(t), nil
	case json.Number:
		return decodeNumber(t.String())
	case json.Delim:
		if t == '[' {
			return m.decodeList(d, depth)
		}
		return m.decodeDict(d, depth)
	}
	return t, nil // nil or a boolean
}

// decodeNumber: what has a point or exponent is a float, as in Python.
func decodeNumber(s string) (value, error) {
	if !strings.ContainsAny(s, ".eE") {
		n, err := json.Number(s).Int64()
		if err != nil {
			return nil, fmt.Errorf("the number %.30s is beyond 64 bits", s)
		}
		return n, nil
	}
	f, _ := parseFloat(s) // the decoder has checked its form; too large is infinite
	return f, nil
}

func (m *machine) decodeList(d *json.Decoder, depth int) (value, error) {
	l := &list{}
	for d.More() {
		item, err := m.decodeNext(d, depth+1)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, item)
	}
	_, err := d.Token()
	return l, err
}

func (m *machine) decodeDict(d *json.Decoder, depth int) (value, error) {
	mapping := newDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := m.decodeNext(d, depth+1)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			panic(fmt.Sprintf("BUG: got an object's key of type %T; want a string", key))
		}
		mapping.set(valid(name), v)
	}
	_, err := d.Token()
	return mapping, err
}
