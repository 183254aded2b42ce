package openai

import "slices"

// harmless are documented parameters that cannot change an answer here; they are accepted silently.
var harmless = []string{
	"safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_retention",
	"prompt_cache_options", "verbosity", "prediction", "moderation",
}

// unsupported are parameters that this server understands and does not have. The values listed mean "as without it" and are
// accepted, as null always is; any other is refused by name, because an answer without it would not be what was asked for.
var unsupported = map[string][]string{
	"functions": nil, "function_call": nil, "json_schema": nil, "regex": nil, "ebnf": nil, "grammar": nil,
	"guided_json": nil, "guided_regex": nil, "guided_choice": nil, "guided_grammar": nil,
	"audio": nil, "modalities": {`["text"]`}, "web_search_options": nil, "reasoning_effort": nil,
	"logprob_token_ids": nil,
	"chat_template":     nil, "chat_template_kwargs": {"{}"}, "add_generation_prompt": {"true"}, "continue_final_message": {"false"},
	"bad_words":       {"[]"},
	"use_beam_search": {"false"}, "length_penalty": {"1", "1.0"}, "skip_special_tokens": {"true"},
	"spaces_between_special_tokens": {"true"}, "suffix": {`""`}, "logits_processors": nil, "documents": nil,
}

// readUnsupported takes one of the values that change nothing and refuses the rest.
func readUnsupported(r *reader, allowed ...string) {
	value := r.raw()
	if r.err == nil && !slices.Contains(allowed, value) {
		r.fail("unsupported_parameter", "Unsupported parameter: '%s' is not supported by this server with this value.", r.param())
	}
}

// readOther handles a parameter that is neither common nor the endpoint's own: harmless, unsupported or unknown.
func readOther(r *reader, o *Options, key string) {
	allowed, known := unsupported[key]
	switch {
	case known:
		readUnsupported(r, allowed...)
	case slices.Contains(harmless, key):
		r.skip()
	default:
		o.ignore(r)
	}
}

// readRequest walks the top-level object of a request. own says whether it knew the key and consumed the value.
func readRequest(body []byte, o *Options, own func(r *reader, key string) bool) *Error {
	r := newReader(body)
	if k := r.kind(); r.err == nil && k != '{' {
		r.fail("invalid_type", "Invalid type for the request body: expected an object, but got %s instead.", r.kindName())
	}
	r.object(func(key string) {
		if r.null() || own(r, key) {
			return
		}
		if read, ok := optionFields[key]; ok {
			read(r, o)
			return
		}
		readOther(r, o, key)
	})
	r.end()
	return r.err
}
