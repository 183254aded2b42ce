package server

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"

	"astro/openai"
	"astro/sampler/grammar"
)

// grammarCacheBytes bounds the compiled grammars that are kept for later requests.
const grammarCacheBytes = 256 << 20

// grammars compiles what answers must follow, and keeps it. The vocabulary is prepared when it is first needed.
type grammars struct {
	vocab func() (*grammar.Vocab, error)

	mu    sync.Mutex
	cache *grammar.Cache
}

func (s *Server) newGrammars() *grammars {
	return &grammars{cache: grammar.NewCache(grammarCacheBytes), vocab: sync.OnceValues(func() (*grammar.Vocab, error) {
		c := s.Engine.Config()
		tokens := make([][]byte, c.Vocab)
		for id := range min(c.Vocab, s.Tokenizer.Vocab()) {
			if !s.Tokenizer.Special(int32(id)) {
				tokens[id] = s.Tokenizer.Bytes(int32(id))
			}
		}
		return grammar.NewVocab(tokens, c.EOS)
	})}
}

// compile makes the Grammar of a Spec, outside of the lock: two that compile the same at once do no harm.
func (g *grammars) compile(spec grammar.Spec) (*grammar.Grammar, error) {
	vocab, err := g.vocab()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	found := g.cache.Get(spec.Key())
	g.mu.Unlock()
	if found != nil {
		return found, nil
	}
	made, err := grammar.Compile(spec, vocab, grammar.Limits{})
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cache.Put(spec.Key(), made)
	return made, nil
}

// grammarOf is the Grammar that a request asks for; nil = none.
func (s *Server) grammarOf(o *openai.Options) (*grammar.Grammar, *openai.Error) {
	spec, wanted := specOf(o.Constraint)
	switch {
	case !wanted:
		return nil, nil
	case o.IgnoreEOS:
		return nil, openai.Invalid("ignore_eos", "invalid_value", "Invalid 'ignore_eos': an answer that follows '%s' ends when it is complete.", o.Constraint.Param)
	case o.AllowedTokenIDs != nil:
		return nil, openai.Invalid("allowed_token_ids", "invalid_value", "Invalid 'allowed_token_ids': it cannot be combined with '%s'.", o.Constraint.Param)
	}
	return s.compile(o.Constraint.Param, spec)
}

// compile turns a refusal of the grammar into one for the client; param asked for it.
func (s *Server) compile(param string, spec grammar.Spec) (*grammar.Grammar, *openai.Error) {
	made, err := s.grammars.compile(spec)
	var refused *grammar.Error
	switch {
	case err == nil:
		return made, nil
	case !errors.As(err, &refused):
		s.log.Error("the vocabulary is not fit for grammars", "error", err)
		return nil, openai.Invalid(param, "unsupported_parameter", "Unsupported parameter: '%s' cannot be followed with this model's vocabulary.", param)
	}
	code := map[grammar.Problem]string{grammar.Invalid: "invalid_schema", grammar.Unsupported: "unsupported_schema", grammar.TooComplex: "schema_too_complex",
		grammar.Impossible: "impossible_schema"}[refused.Problem]
	return nil, openai.Invalid(param, code, "Invalid '%s': %s.", param, clipReason(refused))
}

// specOf translates what the wire says.
func specOf(c openai.Constraint) (spec grammar.Spec, wanted bool) {
	switch c.Kind {
	case openai.JSONObject:
		return grammar.JSONObject(), true
	case openai.JSONSchema:
		return grammar.JSONSchema(string(c.Schema)), true
	case openai.Regex:
		return grammar.Regex(c.Pattern), true
	case openai.Choice:
		return grammar.Choice(c.Choices...), true
	}
	return grammar.Spec{}, false
}

// maxForcedCalls bounds the calls of an answer that must call tools.
const maxForcedCalls = 16

// toolGrammar is what an answer follows that must call a tool; nil = the model is free.
func (s *Server) toolGrammar(t *openai.Tooling) (*grammar.Grammar, *openai.Error) {
	switch t.Choice.Mode {
	case openai.ToolsNamed:
		for i := range t.Tools {
			if t.Tools[i].Name == t.Choice.Name {
				return s.compile("tools", grammar.JSONSchema(string(parametersOf(&t.Tools[i]))))
			}
		}
	case openai.ToolsRequired:
		return s.compile("tools", grammar.JSONSchema(string(requiredSchema(t))))
	}
	return nil, nil
}

// requiredSchema is that of [{"name": ..., "parameters": ...}, ...], or, if there may be one call only, of its object.
func requiredSchema(t *openai.Tooling) []byte {
	defs, calls := openai.Object{}, []openai.Object{}
	for i := range t.Tools {
		tool, name := &t.Tools[i], "tool"+strconv.Itoa(i)
		defs[name] = json.RawMessage(moved(parametersOf(tool), "#/$defs/"+name))
		calls = append(calls, openai.Object{"type": "object", "additionalProperties": false, "required": []string{"name", "parameters"},
			"properties": inOrder{{"name", openai.Object{"const": tool.Name}}, {"parameters", openai.Object{"$ref": "#/$defs/" + name}}}})
	}
	schema := openai.Object{"$defs": defs, "anyOf": calls}
	if t.ParallelCall {
		schema = openai.Object{"$defs": defs, "type": "array", "minItems": 1, "maxItems": maxForcedCalls, "items": openai.Object{"anyOf": calls}}
	}
	return openai.Encode(schema)
}

// inOrder is a JSON object whose members keep their order: the name comes before the parameters.
type inOrder []struct {
	key   string
	value any
}

// MarshalJSON writes the members.
func (m inOrder) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, member := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(openai.Encode(member.key))
		b.WriteByte(':')
		b.Write(openai.Encode(member.value))
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// parametersOf is the schema of a tool's arguments, which are an object.
func parametersOf(t *openai.Tool) []byte {
	if t.Parameters == nil {
		return []byte(`{"type":"object"}`)
	}
	return t.Parameters
}
