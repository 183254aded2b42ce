package openai

import (
	"encoding/json"
	"io"
	"slices"
)

// TuneExample is a line of a training or validation file. It has Messages or a Prompt; nothing of it is tokenised.
type TuneExample struct {
	Line       int             // of the file, from 1
	Messages   []Message       // a conversation; of supervised files its last message is the answer
	Tools      []Tool          // that the conversation knows
	Prompt     string          // a text that is continued
	Completion string          // how it is continued; of supervised files
	Item       json.RawMessage // the line's object, whose members a grader sees as item; of reinforcement files
}

// ReadTuneFile reads and checks a file for a kind of fine-tuning: JSON lines {"messages": [...]} or {"prompt": "...", "completion": "..."} for
// TuneSupervised, where the last message is the assistant's; {"messages": [...], ...} or {"prompt": "...", ...} for TuneReinforcement, whose
// other members are the item's. The error is a 400 that names the line; its Param is the caller's to set.
func ReadTuneFile(from io.Reader, kind string) ([]TuneExample, *Error) {
	if kind != TuneSupervised && kind != TuneReinforcement {
		panic("BUG: got fine-tuning of kind " + kind + "; want supervised or reinforcement")
	}
	var all []TuneExample
	err := eachLine(from, func(n int, line []byte) *Error {
		e, err := readExample(line, kind)
		e.Line = n
		all = append(all, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// readExample reads a line.
func readExample(line []byte, kind string) (e TuneExample, err *Error) {
	var ignored Options
	var tooling Tooling
	given := map[string]bool{}
	r := newReader(line)
	r.object(func(key string) {
		if r.null() {
			return
		}
		switch given[key] = true; {
		case key == "messages":
			e.Messages = readMessages(r, &ignored)
		case key == "prompt":
			e.Prompt = r.text(len(line))
		case key == "completion" && kind == TuneSupervised:
			e.Completion = r.text(len(line))
		case key == "tools":
			readTooling(r, key, &tooling)
		case kind == TuneReinforcement, key == "parallel_tool_calls":
			r.skip()
		default:
			r.err = UnknownParameter(r.param())
		}
	})
	r.end()
	e.Tools = tooling.Tools
	switch {
	case r.err != nil:
		return e, r.err
	case len(ignored.Ignored) > 0:
		return e, Invalid("", "", "'%s' is not known here; remove it.", ignored.Ignored[0])
	case kind == TuneReinforcement:
		e.Item = slices.Clone(json.RawMessage(line))
		return e, e.checkPrompt()
	}
	return e, e.checkAnswer(given)
}

// checkPrompt tests what reinforcement needs: something to answer.
func (e *TuneExample) checkPrompt() *Error {
	switch {
	case (e.Messages == nil) == (e.Prompt == ""):
		return Invalid("", "", "want either 'messages' or a 'prompt' that is not empty.")
	case e.Tools != nil && e.Messages == nil:
		return Invalid("", "", "'tools' need 'messages'.")
	case e.Messages != nil && e.Messages[len(e.Messages)-1].Role == "assistant":
		return Invalid("", "", "the last message is the assistant's, and nothing is left to answer; put a reference answer into a member of its own.")
	}
	return nil
}

// checkAnswer tests what supervised fine-tuning needs: something to imitate.
func (e *TuneExample) checkAnswer(given map[string]bool) *Error {
	switch {
	case given["messages"] == given["prompt"] || given["messages"] && given["completion"]:
		return Invalid("", "", "want either 'messages', or 'prompt' and 'completion'.")
	case e.Messages == nil && e.Completion == "":
		return Invalid("", "", "want a 'completion' that is not empty.")
	case e.Tools != nil && e.Messages == nil:
		return Invalid("", "", "'tools' need 'messages'.")
	case e.Messages != nil && e.Messages[len(e.Messages)-1].Role != "assistant":
		return Invalid("", "", "the last message must be the assistant's, which is the answer to learn.")
	}
	return nil
}

// ItemFields are the members of an item as texts, by their names; those of an object inside are there as "outer.inner", too. A text is
// itself, anything else its JSON.
func ItemFields(item json.RawMessage) map[string]string {
	all := map[string]string{}
	addFields(all, "", item)
	return all
}

func addFields(all map[string]string, prefix string, object json.RawMessage) {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return // no object
	}
	for name, value := range members {
		text := ""
		if json.Unmarshal(value, &text) != nil || value[0] != '"' {
			text = string(value)
		}
		all[prefix+name] = text
		if value[0] == '{' {
			addFields(all, prefix+name+".", value)
		}
	}
}
