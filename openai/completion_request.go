package openai

// DefaultCompletionTokens is OpenAI's max_tokens of text completions where none is given; chats go on to the end of the context.
const DefaultCompletionTokens = 16

// CompletionRequest is a decoded and validated body of POST /v1/completions.
type CompletionRequest struct {
	Options
	Prompts  []Prompt // 1 to MaxPrompts
	Echo     bool     // answers begin with the prompt
	Logprobs int      // alternatives per token, 0 to MaxTopLogprobs; -1 = no log-probabilities
}

// Prompt is text or token ids.
type Prompt struct {
	Text string
	IDs  []int32 // not yet checked against the vocabulary; nil = use Text
}

// DecodeCompletionRequest reads and validates a body; an error is always one for the client.
func DecodeCompletionRequest(body []byte) (*CompletionRequest, *Error) {
	q := &CompletionRequest{Options: defaultOptions(), Logprobs: -1}
	bestOf := -1
	err := readRequest(body, &q.Options, func(r *reader, key string) bool {
		switch key {
		case "prompt":
			q.Prompts = readPrompts(r)
		case "max_tokens":
			q.MaxTokens = int(r.integer(0, MaxTokens))
		case "echo":
			q.Echo = r.boolean()
		case "logprobs":
			q.Logprobs = int(r.integer(0, MaxTopLogprobs))
		case "best_of":
			bestOf = int(r.integer(1, MaxChoicesPerPrompt))
		default:
			return false
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if err := q.finish(bestOf); err != nil {
		return nil, err
	}
	return q, nil
}

// finish checks what concerns several parameters.
func (q *CompletionRequest) finish(bestOf int) *Error {
	switch {
	case q.Prompts == nil:
		return missing("prompt")
	case bestOf >= 0 && bestOf != q.N:
		return Invalid("best_of", "unsupported_parameter", "Unsupported parameter: 'best_of' must be equal to 'n' on this server.")
	case q.MaxTokens == 0 && !q.Echo:
		return Invalid("max_tokens", "integer_below_min_value", "Invalid 'max_tokens': 0 is only allowed with 'echo', to score a prompt.")
	case q.MaxTokens == 0 && q.N > 1:
		return Invalid("n", "invalid_value", "Invalid 'n': it must be 1 when no tokens are generated.")
	case len(q.Prompts)*q.N > MaxChoices:
		return Invalid("n", "invalid_value", "Invalid 'n': %d prompts with %d choices each are more than %d.", len(q.Prompts), q.N, MaxChoices)
	}
	return q.check()
}

// readPrompts reads the four forms: string, array of strings, array of token ids, array of arrays of token ids.
func readPrompts(r *reader) []Prompt {
	switch r.kind() {
	case '"':
		return []Prompt{{Text: r.text(len(r.data))}}
	case '[':
		return readPromptArray(r)
	}
	r.wrongType("a string or an array")
	return nil
}

// readPromptArray tells the array forms apart by their first element.
func readPromptArray(r *reader) []Prompt {
	first := *r
	first.pos++
	first.space()
	if first.pos < len(first.data) && first.data[first.pos] == ']' {
		r.fail("empty_array", "Invalid 'prompt': an array cannot be empty.")
		return nil
	}
	if first.kind() == '0' {
		return []Prompt{{IDs: readTokenIDs(r, len(r.data))}}
	}
	var prompts []Prompt
	r.array(MaxPrompts, func(int) { prompts = append(prompts, readPrompt(r)) })
	return prompts
}

// readPrompt reads one element of a list of prompts.
func readPrompt(r *reader) Prompt {
	switch r.kind() {
	case '"':
		return Prompt{Text: r.text(len(r.data))}
	case '[':
		ids := readTokenIDs(r, len(r.data))
		if len(ids) == 0 {
			r.fail("empty_array", "Invalid '%s': an array cannot be empty.", r.param())
		}
		return Prompt{IDs: ids}
	}
	r.wrongType("a string or an array of token ids")
	return Prompt{}
}
