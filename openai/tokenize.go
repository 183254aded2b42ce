package openai

// TokenizeRequest is a decoded body of POST /tokenize, in vLLM's form: a text, or a conversation.
type TokenizeRequest struct {
	Options
	Rendering
	Tooling
	Text       *string   // nil = Messages
	Messages   []Message // nil = Text
	AddSpecial bool      // add_special_tokens: what the tokenizer puts around a text; default true of a text
	Strings    bool      // return_token_strs
}

// DecodeTokenizeRequest reads and validates a body.
func DecodeTokenizeRequest(body []byte) (*TokenizeRequest, *Error) {
	q := &TokenizeRequest{Options: defaultOptions(), AddSpecial: true}
	err := readRequest(body, &q.Options, func(r *reader, key string) bool {
		switch key {
		case "prompt":
			text := r.text(len(r.data))
			q.Text = &text
		case "messages":
			q.Messages = readMessages(r, &q.Options)
		case "add_special_tokens":
			q.AddSpecial = r.boolean()
		case "return_token_strs":
			q.Strings = r.boolean()
		default:
			return readRendering(r, key, &q.Rendering) || readTooling(r, key, &q.Tooling) || q.ignoreSampling(r, key)
		}
		return true
	})
	switch {
	case err != nil:
	case q.Text == nil && q.Messages == nil:
		err = missing("prompt")
	case q.Text != nil && q.Messages != nil:
		err = Invalid("messages", "invalid_value", "Invalid 'messages': send either 'prompt' or 'messages'.")
	default:
		if err = q.Rendering.check(); err == nil {
			err = q.Tooling.check()
		}
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// ignoreSampling ignores, visibly, what only matters where something is generated: clients send their whole chat request to be counted.
func (o *Options) ignoreSampling(r *reader, key string) bool {
	_, sampling := optionFields[key]
	if sampling = sampling && key != "model"; sampling {
		o.ignore(r)
	}
	return sampling
}

// TokenizeAnswer is the answer to a TokenizeRequest.
type TokenizeAnswer struct {
	Count       int      `json:"count"`
	MaxModelLen int      `json:"max_model_len"`
	Tokens      []int32  `json:"tokens"`
	Strings     []string `json:"token_strs"`
}

// DetokenizeRequest is a decoded body of POST /detokenize.
type DetokenizeRequest struct {
	Options
	Tokens []int32 // not yet checked against the vocabulary; maybe none
}

// DecodeDetokenizeRequest reads and validates a body.
func DecodeDetokenizeRequest(body []byte) (*DetokenizeRequest, *Error) {
	q, given := &DetokenizeRequest{Options: defaultOptions()}, false
	err := readRequest(body, &q.Options, func(r *reader, key string) bool {
		if key == "tokens" {
			q.Tokens, given = readTokenIDs(r, len(r.data)), true
			return true
		}
		return q.ignoreSampling(r, key)
	})
	if err == nil && !given {
		err = missing("tokens")
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// DetokenizeAnswer is the answer to a DetokenizeRequest.
type DetokenizeAnswer struct {
	Prompt string `json:"prompt"`
}
