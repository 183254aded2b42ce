// Package openai says exactly what is on the wire of the OpenAI API: requests are decoded and validated strictly, answers and
// stream frames are encoded with every field that the specification requires, errors carry OpenAI's own codes. Anthropic's messages
// are here too: their requests become those of a chat, so that both are validated in one place.
//
// It knows no model, tokenizer or socket and needs only the standard library. Whatever depends on the model (vocabulary,
// context length, names of models) is checked by the server, which finds the error constructors for it here.
package openai
