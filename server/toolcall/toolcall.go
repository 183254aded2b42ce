// Package toolcall finds the calls of tools in what a model writes, as it writes it.
//
// It reads the formats of several families: Llama 3's bare objects {"name": ..., "parameters": {...}}, one or several with ';' or ','
// between or in an array; Hermes' and Qwen's <tool_call>{"name": ..., "arguments": {...}}</tool_call>, with text before and after; and
// Mistral's array. Model output is data: nothing of it is run, and the time is linear in its length.
package toolcall

import (
	"slices"
	"strings"
)

// Delta is what one piece of text adds to the calls of an answer.
type Delta struct {
	Index     int    // of the call in its answer
	Name      string // set in the first Delta of a call
	Arguments string // JSON text to append
}

// The marks of Hermes' format.
const openMark, closeMark = "<tool_call>", "</tool_call>"

// Parser follows one answer. Make it with New or Named.
type Parser struct {
	known []string // names of tools
	calls int      // begun

	named   bool   // all text is the arguments of the call
	state   state  //
	held    string // text that may yet be the beginning of a call, or of a mark
	object  *scanner
	marked  bool // the object stands behind openMark
	started bool // some text that is no space was content
}

// state is where a Parser is.
type state uint8

const (
	inText   state = iota // outside of calls
	inObject              // within an object that is a call, or may be
	between               // after a call: separators, another call, or text
)

// New makes the Parser of an answer in which a model may call some tools.
func New(known []string) *Parser { return &Parser{known: known} }

// Named makes the Parser of an answer that is nothing but the arguments of one call.
func Named(name string) *Parser { return &Parser{known: []string{name}, named: true} }

// Calls is the number of calls so far.
func (p *Parser) Calls() int { return p.calls }

// Push takes text and returns what of it is content, and what belongs to calls.
func (p *Parser) Push(text string) (content string, deltas []Delta) {
	if p.named {
		return "", p.argument(text)
	}
	var out strings.Builder
	text, p.held = p.held+text, ""
	for text != "" {
		rest := text
		switch p.state {
		case inObject:
			rest = p.object.read(text)
			content, more := p.advance(text[:len(text)-len(rest)])
			out.WriteString(content)
			deltas = append(deltas, more...)
		default:
			var said string
			said, rest = p.outside(text)
			out.WriteString(said)
			if rest == text && p.state != inObject { // it cannot be decided yet
				p.held = text
				return out.String(), deltas
			}
		}
		text = rest
	}
	return out.String(), deltas
}

// End says what is left when the answer is over: text that was held back.
func (p *Parser) End() (content string, deltas []Delta) {
	if p.named {
		return "", nil
	}
	content, p.held = p.held, ""
	if p.state == between && strings.Trim(content, separators) == "" {
		content = ""
	}
	if p.state == inObject && !p.object.confirmed {
		content = p.object.raw.String() + content
	}
	return content, nil
}

// argument is Push of a named call.
func (p *Parser) argument(text string) []Delta {
	d := Delta{Arguments: text}
	if p.calls == 0 {
		p.calls, d.Name = 1, p.known[0]
	} else if text == "" {
		return nil
	}
	return []Delta{d}
}

// separators may stand between two calls.
const separators = " \t\r\n,;]"

// maxHeldSpaces bounds the spaces that are held back before the first content.
const maxHeldSpaces = 64

// outside consumes text that is in no object. rest equal to text means that more must come first.
func (p *Parser) outside(text string) (content, rest string) {
	skip := " \t\r\n"
	if p.state == between {
		skip = separators
	}
	bare := strings.TrimLeft(text, skip)
	switch {
	case p.started:
		return p.inContent(text)
	case bare == "" && len(text) <= maxHeldSpaces:
		return "", text // spaces before a call are not content
	case bare == "":
		return p.say(text), ""
	case strings.HasPrefix(bare, openMark):
		p.begin(true)
		return "", bare[len(openMark):]
	case p.marked && strings.HasPrefix(bare, closeMark):
		p.marked = false
		return "", bare[len(closeMark):]
	case strings.HasPrefix(openMark, bare), p.marked && strings.HasPrefix(closeMark, bare):
		return "", text
	case bare[0] == '{':
		p.begin(false)
		return "", bare
	case bare[0] == '[' && p.state == inText:
		p.begin(false)
		p.object.raw.WriteString(text[:len(text)-len(bare)] + "[") // content, if no call follows
		return "", bare[1:]
	}
	return p.say(text[:len(text)-len(bare)+1]), bare[1:]
}

// inContent consumes text after the first word of content, where only a mark begins a call.
func (p *Parser) inContent(text string) (content, rest string) {
	if at := strings.Index(text, openMark); at >= 0 {
		p.begin(true)
		return text[:at], text[at+len(openMark):]
	}
	keep := partial(text, openMark)
	return text[:len(text)-keep], text[len(text)-keep:]
}

// say makes text content. From the first word on, bare objects are content too.
func (p *Parser) say(text string) string {
	if p.state == between {
		text = strings.TrimLeft(text, separators)
	}
	if strings.TrimSpace(text) != "" {
		p.started, p.state = true, inText
	}
	return text
}

// begin starts an object that may be a call.
func (p *Parser) begin(marked bool) {
	p.state, p.marked, p.object = inObject, marked, &scanner{}
	if marked {
		p.object.raw.WriteString(openMark)
	}
}

// partial is the length of the longest end of text that begins mark.
func partial(text, mark string) int {
	for n := min(len(mark)-1, len(text)); n > 0; n-- {
		if strings.HasSuffix(text, mark[:n]) {
			return n
		}
	}
	return 0
}

// advance looks at what the object is after it read some text.
func (p *Parser) advance(read string) (content string, deltas []Delta) {
	o := p.object
	if o.confirmed {
		return p.flow()
	}
	o.raw.WriteString(read)
	switch {
	case o.failed, o.named && !slices.Contains(p.known, o.name), o.over && !o.named:
		p.state, p.started = inText, true
		return o.raw.String(), nil
	case !o.named:
		return "", nil
	}
	o.confirmed = true
	deltas = []Delta{{Index: p.calls, Name: o.name}}
	p.calls++
	content, more := p.flow()
	return content, append(deltas, more...)
}

// flow passes arguments on, and leaves a call that is over.
func (p *Parser) flow() (content string, deltas []Delta) {
	o := p.object
	if text := o.take(); text != "" {
		deltas = append(deltas, Delta{Index: p.calls - 1, Arguments: text})
	}
	if !o.over && !o.failed {
		return "", deltas
	}
	if !o.hadArguments {
		deltas = append(deltas, Delta{Index: p.calls - 1, Arguments: "{}"})
	}
	p.state, p.started = between, false
	return "", deltas
}
