package openai

import (
	"strconv"
	"strings"
)

// Limits of a request, checked before anything in proportion to them is allocated. The limit on the whole body is the server's.
const (
	MaxChoicesPerPrompt = 128       // n
	MaxPrompts          = 256       // prompts of one completions request
	MaxChoices          = 1024      // prompts x n
	MaxTopLogprobs      = 20        // top_logprobs, and logprobs of completions
	MaxStopStrings      = 4         // stop
	MaxStopBytes        = 4096      // of one stop string
	MaxStopTokens       = 128       // stop_token_ids
	MaxLogitBiases      = 1024      // entries of logit_bias
	MaxPriority         = 1 << 20   // priority, and its negative
	MaxSaltBytes        = 128       // cache_salt
	MaxRequestIDBytes   = 64        // request_id
	MaxMessages         = 4096      // messages
	MaxContentParts     = 1024      // parts of one message's content
	MaxTokens           = 1 << 24   // max_tokens and the like; the context length is the real limit
	MaxModelBytes       = 256       // model
	maxIgnored          = 16        // names listed in Ignored
	maxTokenID          = 1<<31 - 1 // of token ids; the vocabulary is the real limit
)

// Options is what chat and text completion requests have in common, with OpenAI's defaults filled in.
type Options struct {
	Model string // name of the served model; never empty

	Temperature       float64           // in [0, 2]; default 1
	TopP              float64           // in (0, 1]; default 1
	TopK              int               // 0 = all
	MinP              float64           // in [0, 1]
	PresencePenalty   float64           // in [-2, 2]
	FrequencyPenalty  float64           // in [-2, 2]
	RepetitionPenalty float64           // > 0; default 1
	LogitBias         map[int32]float64 // token id -> [-100, 100]; nil = none. Ids are not yet checked against the vocabulary
	Seed              *int64            // nil = the server draws one

	N            int      // choices per prompt; default 1
	MaxTokens    int      // new tokens per choice; -1 = not given
	MinTokens    int      // no end of sequence or stop before
	Stop         []string // stop strings, none empty
	StopTokenIDs []int32  // not yet checked against the vocabulary
	IncludeStop  bool     // include_stop_str_in_output: the text keeps the stop string that ended it
	IgnoreEOS    bool     // generate past the end of sequence

	AllowedTokenIDs []int32 // allowed_token_ids: no other token is drawn; nil = all. Not yet checked against the vocabulary
	PromptLogprobs  int     // prompt_logprobs: alternatives per prompt token, 0 to MaxTopLogprobs; -1 = none wanted
	TruncatePrompt  int     // truncate_prompt_tokens: only the last so many tokens of a prompt are read; 0 = all

	Stream          bool
	IncludeUsage    bool // stream_options.include_usage
	ContinuousUsage bool // stream_options.continuous_usage_stats: every event has the counts so far
	ReturnTokenIDs  bool // return_token_ids
	TokensAsIDs     bool // return_tokens_as_token_ids: log-probabilities spell a token "token_id:123"
	ReturnVersions  bool // return_weight_versions

	Constraint Constraint // response_format or structured_outputs

	Priority  int               // among waiting requests the lowest goes first; 0 = as all others
	CacheSalt string            // only requests with the same salt share cached prefixes; "" = none
	NoStore   bool              // store is false: the server does not keep this completion
	Metadata  map[string]string // the client's own, kept beside the completion; nil = none
	RequestID string            // "" = the server makes one
	User      string            // the client's name for its end user; "" = none

	// Ignored lists the parameters that the server does not know, sorted as they came, at most 16, safe in a header.
	Ignored []string

	streamOptions bool // stream_options was given
}

// defaultOptions is a request that says nothing.
func defaultOptions() Options {
	return Options{Temperature: 1, TopP: 1, RepetitionPenalty: 1, N: 1, MaxTokens: -1, PromptLogprobs: -1}
}

// smallestPositive stands for "greater than zero" in ranges.
const smallestPositive = 1e-6

// optionFields reads one common parameter each. A null was already taken as "not given".
var optionFields = map[string]func(r *reader, o *Options){
	"model":              readModel,
	"temperature":        func(r *reader, o *Options) { o.Temperature = r.decimal(0, 2) },
	"top_p":              func(r *reader, o *Options) { o.TopP = r.decimal(smallestPositive, 1) },
	"top_k":              func(r *reader, o *Options) { o.TopK = int(max(0, r.integer(-1, maxTokenID))) },
	"min_p":              func(r *reader, o *Options) { o.MinP = r.decimal(0, 1) },
	"presence_penalty":   func(r *reader, o *Options) { o.PresencePenalty = r.decimal(-2, 2) },
	"frequency_penalty":  func(r *reader, o *Options) { o.FrequencyPenalty = r.decimal(-2, 2) },
	"repetition_penalty": func(r *reader, o *Options) { o.RepetitionPenalty = r.decimal(smallestPositive, 100) },
	"logit_bias":         func(r *reader, o *Options) { o.LogitBias = readLogitBias(r) },
	"seed":               func(r *reader, o *Options) { v := r.integer(-1<<63, 1<<63-1); o.Seed = &v },
	"n":                  func(r *reader, o *Options) { o.N = int(r.integer(1, MaxChoicesPerPrompt)) },
	"min_tokens":         func(r *reader, o *Options) { o.MinTokens = int(r.integer(0, MaxTokens)) },
	"stop":               func(r *reader, o *Options) { o.Stop = readStop(r) },
	"stop_token_ids":     func(r *reader, o *Options) { o.StopTokenIDs = readTokenIDs(r, MaxStopTokens) },
	"ignore_eos":         func(r *reader, o *Options) { o.IgnoreEOS = r.boolean() },
	"stream":             func(r *reader, o *Options) { o.Stream = r.boolean() },
	"stream_options":     readStreamOptions,
	"return_token_ids":   func(r *reader, o *Options) { o.ReturnTokenIDs = r.boolean() },

	"allowed_token_ids":          readAllowedTokens,
	"response_format":            readResponseFormat,
	"structured_outputs":         readStructured,
	"prompt_logprobs":            func(r *reader, o *Options) { o.PromptLogprobs = int(r.integer(0, MaxTopLogprobs)) },
	"truncate_prompt_tokens":     func(r *reader, o *Options) { o.TruncatePrompt = int(r.integer(1, MaxTokens)) },
	"return_tokens_as_token_ids": func(r *reader, o *Options) { o.TokensAsIDs = r.boolean() },
	"return_weight_versions":     func(r *reader, o *Options) { o.ReturnVersions = r.boolean() },
	"priority":                   func(r *reader, o *Options) { o.Priority = int(r.integer(-MaxPriority, MaxPriority)) },
	"cache_salt":                 func(r *reader, o *Options) { o.CacheSalt = readSalt(r) },
	"request_id":                 func(r *reader, o *Options) { o.RequestID = readRequestID(r) },
	"store":                      func(r *reader, o *Options) { o.NoStore = !r.boolean() },
	"metadata":                   func(r *reader, o *Options) { o.Metadata = readMetadata(r) },

	"user":                       func(r *reader, o *Options) { o.User = r.text(len(r.data)) },
	"include_stop_str_in_output": func(r *reader, o *Options) { o.IncludeStop = r.boolean() },
}

// readModel reads a name, which is not empty.
func readModel(r *reader, o *Options) {
	if o.Model = r.text(MaxModelBytes); o.Model == "" && r.err == nil {
		r.err = missing(r.param())
	}
}

// readLogitBias reads {"token id": bias}.
func readLogitBias(r *reader) map[int32]float64 {
	biases := map[int32]float64{}
	r.object(func(key string) {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil || id < 0 || strconv.FormatInt(id, 10) != key {
			r.fail("invalid_value", "Invalid key in 'logit_bias': expected a token id, an integer from 0.")
			return
		}
		if len(biases) == MaxLogitBiases {
			r.fail("object_above_max_properties", "Invalid 'logit_bias': expected at most %d entries.", MaxLogitBiases)
			return
		}
		biases[int32(id)] = r.decimal(-100, 100)
	})
	return biases
}

// readStop reads one stop string or a list of them.
func readStop(r *reader) []string {
	if r.kind() == '"' {
		return []string{readStopString(r)}
	}
	if r.kind() != '[' {
		r.wrongType("a string or an array of strings")
		return nil
	}
	var stop []string
	r.array(MaxStopStrings, func(int) { stop = append(stop, readStopString(r)) })
	return stop
}

func readStopString(r *reader) string {
	s := r.text(MaxStopBytes)
	if s == "" {
		r.fail("string_below_min_length", "Invalid '%s': a stop string cannot be empty.", r.param())
	}
	return s
}

// readTokenIDs reads an array of token ids.
func readTokenIDs(r *reader, maxLength int) []int32 {
	var ids []int32
	r.array(maxLength, func(int) { ids = append(ids, int32(r.integer(0, maxTokenID))) })
	return ids
}

// readAllowedTokens reads the ids; with none of them nothing could be generated.
func readAllowedTokens(r *reader, o *Options) {
	if o.AllowedTokenIDs = readTokenIDs(r, len(r.data)); len(o.AllowedTokenIDs) == 0 {
		r.fail("empty_array", "Invalid 'allowed_token_ids': an array cannot be empty.")
	}
}

// readSalt reads a cache salt, with vLLM's rules.
func readSalt(r *reader) string {
	salt := r.text(MaxSaltBytes)
	if salt == "" || strings.ContainsAny(salt, "@/\\\x00") {
		r.fail("invalid_value", "Invalid 'cache_salt': expected 1 to %d characters without @, / and \\.", MaxSaltBytes)
	}
	return salt
}

// readRequestID reads an id that is safe in headers and logs.
func readRequestID(r *reader) string {
	id := r.text(MaxRequestIDBytes)
	if !ValidRequestID(id) {
		r.fail("invalid_value", "Invalid 'request_id': expected 1 to %d letters, digits, '.', '_' and '-'.", MaxRequestIDBytes)
	}
	return id
}

// ValidRequestID says whether a client's id is harmless in headers and logs.
func ValidRequestID(id string) bool {
	for i := range len(id) {
		if c := id[i]; !isWord(c) && c != '.' || i == MaxRequestIDBytes {
			return false
		}
	}
	return id != ""
}

// readStreamOptions reads the object; it only makes sense with stream.
func readStreamOptions(r *reader, o *Options) {
	o.streamOptions = true
	r.object(func(key string) {
		switch {
		case r.null():
		case key == "include_usage":
			o.IncludeUsage = r.boolean()
		case key == "include_obfuscation":
			r.boolean()
		case key == "continuous_usage_stats":
			o.ContinuousUsage = r.boolean()
		default:
			o.ignore(r)
		}
	})
}

// ignore skips an unknown parameter and remembers its path for x-ignored-params.
func (o *Options) ignore(r *reader) {
	if len(o.Ignored) < maxIgnored {
		o.Ignored = append(o.Ignored, headerSafe(r.param()))
	}
	r.skip()
}

// headerSafe replaces what could break a header value.
func headerSafe(name string) string {
	safe := []byte(name)
	for i, c := range safe {
		if !isWord(c) && c != '.' && c != '[' && c != ']' {
			safe[i] = '?'
		}
	}
	return string(safe)
}

// isWord says whether c is a letter, a digit, '_' or '-'.
func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// check tests what concerns more than one parameter, after defaults.
func (o *Options) check() *Error {
	switch {
	case o.Model == "":
		return missing("model")
	case o.streamOptions && !o.Stream:
		return Invalid("stream_options", "invalid_value", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case o.Stream && o.PromptLogprobs >= 0:
		return Invalid("prompt_logprobs", "invalid_value", "Invalid 'prompt_logprobs': it is not available when 'stream' is enabled.")
	case o.MaxTokens >= 0 && o.MinTokens > o.MaxTokens:
		return Invalid("min_tokens", "invalid_value", "Invalid 'min_tokens': %d is more than the %d tokens that may be generated.", o.MinTokens, o.MaxTokens)
	}
	return nil
}

// missing is the 400 for a parameter that must be there.
func missing(param string) *Error {
	return Invalid(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
}

// UnknownParameter is the 400 that strict servers give for an ignored parameter.
func UnknownParameter(param string) *Error {
	return Invalid(param, "unknown_parameter", "Unknown parameter: '%s'.", param)
}
