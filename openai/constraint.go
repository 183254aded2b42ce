package openai

import "encoding/json"

// Limits of structured output; what a schema or expression may cost is the grammar's to say.
const (
	MaxSchemaBytes = 64 << 10
	MaxPatternSize = 16 << 10 // bytes of a regular expression
	MaxAlternative = 4096     // entries of a choice
	MaxChoiceBytes = 4096     // of each
)

// ConstraintKind says what the text of an answer must be.
type ConstraintKind string

// The kinds of Constraint.
const (
	AnyText    ConstraintKind = ""            // no constraint
	JSONObject ConstraintKind = "json_object" // any JSON object
	JSONSchema ConstraintKind = "json_schema" // a JSON value that the schema allows
	Regex      ConstraintKind = "regex"       // a text that the expression matches as a whole
	Choice     ConstraintKind = "choice"      // one of some texts
)

// Constraint is what response_format or structured_outputs ask for.
type Constraint struct {
	Kind    ConstraintKind
	Param   string // that asked for it, for errors
	Schema  json.RawMessage
	Pattern string
	Choices []string
}

// readResponseFormat reads OpenAI's three formats.
func readResponseFormat(r *reader, o *Options) {
	kind, c := "", Constraint{Kind: JSONSchema, Param: "response_format"}
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "type":
			kind = r.text(MaxModelBytes)
		case key == "json_schema":
			readNamedSchema(r, &c)
		default:
			r.skip()
		}
	})
	if r.err == nil && kind == string(JSONSchema) && c.Schema == nil {
		r.err = missing("response_format.json_schema")
	}
	o.useFormat(r, kind, c)
}

// useFormat sets the constraint that one of OpenAI's three formats is; c is that of the third.
func (o *Options) useFormat(r *reader, kind string, c Constraint) {
	switch {
	case r.err != nil:
	case kind == "":
		r.err = missing(c.Param + ".type")
	case kind == "text":
	case kind == string(JSONObject):
		o.constrain(r, Constraint{Kind: JSONObject, Param: c.Param})
	case kind != string(JSONSchema):
		r.fail("invalid_value", "Invalid value for '%s.type': supported values are 'text', 'json_object' and 'json_schema'.", c.Param)
	default:
		o.constrain(r, c)
	}
}

// readNamedSchema reads {"name": ..., "schema": {...}, "strict": ...}. A schema is always followed to the letter.
func readNamedSchema(r *reader, c *Constraint) {
	named := false
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "name":
			named = r.text(MaxModelBytes) != ""
		case key == "schema":
			c.Schema = readSchema(r)
		case key == "strict":
			r.boolean()
		default:
			r.skip()
		}
	})
	switch {
	case r.err != nil:
	case !named:
		r.err = missing(r.param() + ".name")
	case c.Schema == nil:
		c.Schema = json.RawMessage("{}")
	}
}

// readSchema takes a schema as it is.
func readSchema(r *reader) json.RawMessage {
	if k := r.kind(); k != '{' && k != 't' && k != 'f' {
		r.wrongType("an object")
		return nil
	}
	raw := r.raw()
	if len(raw) > MaxSchemaBytes {
		r.fail("string_above_max_length", "Invalid '%s': a schema has at most %d bytes; this one has %d.", r.param(), MaxSchemaBytes, len(raw))
	}
	return json.RawMessage(raw)
}

// readStructured reads vLLM's structured_outputs: an object with one constraint.
func readStructured(r *reader, o *Options) {
	r.object(func(key string) {
		c := Constraint{Param: r.param()}
		switch {
		case r.null():
			return
		case key == "json":
			c.Kind, c.Schema = JSONSchema, readSchema(r)
		case key == "regex":
			c.Kind, c.Pattern = Regex, r.text(MaxPatternSize)
		case key == "choice":
			c.Kind = Choice
			r.array(MaxAlternative, func(int) { c.Choices = append(c.Choices, r.text(MaxChoiceBytes)) })
			if len(c.Choices) == 0 {
				r.fail("empty_array", "Invalid '%s': an array cannot be empty.", r.param())
			}
		case key == "json_object":
			if c.Kind = JSONObject; !r.boolean() {
				return
			}
		case key == "grammar" || key == "structural_tag":
			readUnsupported(r)
			return
		default:
			o.ignore(r)
			return
		}
		o.constrain(r, c)
	})
}

// constrain sets the constraint, of which there can be one.
func (o *Options) constrain(r *reader, c Constraint) {
	if r.err == nil && o.Constraint.Kind != AnyText {
		r.fail("invalid_value", "Invalid '%s': an answer can follow one format only, and '%s' asks for another.", r.param(), o.Constraint.Param)
		return
	}
	o.Constraint = c
}
