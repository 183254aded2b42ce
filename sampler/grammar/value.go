package grammar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// typeSet is a set of JSON types. A whole number is of both number types.
type typeSet uint8

const (
	typeNull typeSet = 1 << iota
	typeBoolean
	typeString
	typeInteger
	typeNumber // with integers, if typeInteger is there too; alone it stands for numbers that are not whole
	typeArray
	typeObject
	noType  typeSet = 0
	anyType         = typeNull | typeBoolean | typeString | typeInteger | typeNumber | typeArray | typeObject
	nested          = typeArray | typeObject
	numeric         = typeInteger | typeNumber
)

// value is a JSON value with its place in the schema. The order of an object's members is kept.
type value struct {
	id      int // in the order of the text
	is      typeSet
	text    string // of a string its content, of a number its digits, else true, false or null
	number  decimal
	items   []*value
	members []member
	index   map[string]*value // of members, made when it is first needed
	parent  *value
	name    string // in the parent
}

type member struct {
	name  string
	value *value
}

// pointer is the RFC 6901 pointer to the value.
func (v *value) pointer() string {
	if v.parent == nil {
		return ""
	}
	return v.parent.pointer() + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(v.name)
}

// get is a member of an object, or nil.
func (v *value) get(name string) *value {
	if v.index == nil {
		v.index = make(map[string]*value, len(v.members))
		for _, m := range v.members {
			v.index[m.name] = m.value
		}
	}
	return v.index[name]
}

func (v *value) isTrue() bool  { return v.is == typeBoolean && v.text == "true" }
func (v *value) isFalse() bool { return v.is == typeBoolean && v.text == "false" }

// identity is the same for values that JSON Schema holds equal: numbers by value, objects without order.
func (v *value) identity() string {
	switch {
	case v.is&numeric != 0:
		return fmt.Sprint(v.number.negative, v.number.whole, ".", v.number.part)
	case v.is == typeArray:
		all := make([]string, len(v.items))
		for i, item := range v.items {
			all[i] = item.identity()
		}
		return fmt.Sprintf("%q", all)
	case v.is == typeObject:
		all := make([]string, len(v.members))
		for i, m := range v.members {
			all[i] = fmt.Sprintf("%q:%s", m.name, m.value.identity())
		}
		slices.Sort(all)
		return fmt.Sprintf("{%q}", all)
	case v.is == typeString:
		return strconv.Quote(v.text)
	}
	return v.text
}

// appendJSON writes the value in the only spelling that the automaton gives it: compact.
func (v *value) appendJSON(out []byte) []byte {
	switch v.is {
	case typeString:
		return append(out, quote(v.text)...)
	case typeArray:
		out = append(out, '[')
		for i, item := range v.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = item.appendJSON(out)
		}
		return append(out, ']')
	case typeObject:
		out = append(out, '{')
		for i, m := range v.members {
			if i > 0 {
				out = append(out, ',')
			}
			out = m.value.appendJSON(append(append(out, quote(m.name)...), ':'))
		}
		return append(out, '}')
	}
	return append(out, v.text...)
}

// quote is the spelling of a string that encode gives too.
func quote(s string) string {
	out := []byte{'"'}
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\\' {
			out = append(out, escape(r)...)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return string(append(out, '"'))
}

// reader makes values of JSON text.
type reader struct {
	*budget
	decoder *json.Decoder
	values  int
}

// readValue reads a whole text. Its errors say what is wrong and where.
func readValue(b *budget, text string) (*value, error) {
	if !utf8.ValidString(text) {
		return nil, fail(Invalid, "", "the schema is not valid UTF-8")
	}
	r := &reader{budget: b, decoder: json.NewDecoder(bytes.NewReader([]byte(text)))}
	r.decoder.UseNumber()
	v, err := r.value(nil, "", 0)
	if err != nil {
		return nil, err
	}
	if _, err := r.decoder.Token(); err != io.EOF {
		return nil, fail(Invalid, "", "the schema goes on after its end")
	}
	return v, nil
}

func (r *reader) token() (json.Token, error) {
	t, err := r.decoder.Token()
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, fail(Invalid, "", "the schema is not JSON: it ends too early")
	case err != nil:
		return nil, fail(Invalid, "", "the schema is not JSON: %v", err)
	}
	return t, r.spend(5)
}

func (r *reader) value(parent *value, name string, depth int) (*value, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	v := &value{id: r.values, parent: parent, name: name}
	r.values++
	switch t := t.(type) {
	case nil:
		v.is, v.text = typeNull, "null"
	case bool:
		v.is, v.text = typeBoolean, strconv.FormatBool(t)
	case string:
		v.is, v.text = typeString, t
	case json.Number:
		return v, v.setNumber(t.String())
	case json.Delim:
		if depth++; depth > r.limits.SchemaDepth {
			return nil, fail(TooComplex, "", "too complex: the schema is nested deeper than %d levels, the limit; use $defs and $ref", r.limits.SchemaDepth)
		}
		if t == '[' {
			return v, r.array(v, depth)
		}
		return v, r.object(v, depth)
	}
	return v, nil
}

func (v *value) setNumber(text string) error {
	d, ok := parseDecimal(text)
	if !ok {
		return fail(Unsupported, v.pointer(), "the number %.40q has an exponent beyond %d", text, maxExponent)
	}
	v.is, v.text, v.number = typeNumber, text, d
	if d.isWhole() {
		v.is = typeInteger
	}
	return nil
}

func (r *reader) array(v *value, depth int) error {
	v.is = typeArray
	for r.decoder.More() {
		item, err := r.value(v, strconv.Itoa(len(v.items)), depth)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	_, err := r.token()
	return err
}

func (r *reader) object(v *value, depth int) error {
	v.is = typeObject
	seen := map[string]bool{}
	for r.decoder.More() {
		t, err := r.token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return fail(Invalid, v.pointer(), "the schema is not JSON: the key %v is not a string", t)
		}
		if seen[name] {
			return fail(Invalid, v.pointer(), "the key %.100q stands here twice", name)
		}
		seen[name] = true
		child, err := r.value(v, name, depth)
		if err != nil {
			return err
		}
		v.members = append(v.members, member{name, child})
	}
	_, err := r.token()
	return err
}

// typeNames are the names of types in schemas.
var typeNames = map[string]typeSet{
	"null": typeNull, "boolean": typeBoolean, "string": typeString, "integer": typeInteger, "number": numeric,
	"array": typeArray, "object": typeObject,
}

// names lists what the name of a type can be, for errors.
func names[V any](of map[string]V) string {
	all := make([]string, 0, len(of))
	for name := range of {
		all = append(all, name)
	}
	slices.Sort(all)
	return fmt.Sprint(strings.Join(all, ", "))
}
