package openai

import "encoding/json"

// Rendering says how a conversation becomes a prompt.
type Rendering struct {
	AddGenerationPrompt  bool            // end with the beginning of an answer; default true unless the last message is continued
	ContinueFinalMessage bool            // leave the last message open, so that the answer goes on with it
	Kwargs               json.RawMessage // chat_template_kwargs, an object; nil = none

	addGiven bool // add_generation_prompt was given
}

// readRendering handles the parameters of rendering; false = key is another one.
func readRendering(r *reader, key string, d *Rendering) bool {
	switch key {
	case "add_generation_prompt":
		d.AddGenerationPrompt, d.addGiven = r.boolean(), true
	case "continue_final_message":
		d.ContinueFinalMessage = r.boolean()
	case "chat_template_kwargs":
		if r.kind() != '{' {
			r.wrongType("an object")
			return true
		}
		d.Kwargs = json.RawMessage(r.raw())
	default:
		return false
	}
	return true
}

// check fills in the default and tests what concerns both.
func (d *Rendering) check() *Error {
	if !d.addGiven {
		d.AddGenerationPrompt = !d.ContinueFinalMessage
	}
	if d.AddGenerationPrompt && d.ContinueFinalMessage {
		return Invalid("continue_final_message", "invalid_value",
			"Invalid 'continue_final_message': it excludes 'add_generation_prompt', since the first leaves the last message open and the second begins a new one.")
	}
	return nil
}
