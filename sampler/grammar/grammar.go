// Package grammar makes a model write only what a Spec allows: JSON of a schema, any JSON object, text that a regular expression
// matches, or one of some texts. It says which tokens may come next; drawing one of them is the sampler's.
//
// # How a caller uses it
//
// Once per model, NewVocab takes the bytes of all tokens. Once per request, Compile makes a Grammar of the Spec, or an *Error that
// is the client's to mend; a Cache keeps Grammars for requests that ask for the same. Each Sequence holds a State, which begins as
// Start. At each step:
//
//	g.Mask(state, mask)                // before sampling: tokens whose bit is not set get no probability
//	token := ...                       // drawn among the others
//	state, err = g.Next(state, token)  // after sampling
//
// An end token is allowed exactly where the text is complete. Next after an end token, or a text with nothing left to write (Done),
// ends the Sequence; without Done it would draw an end token at the next step, the only one that its mask allows. A State is a small
// value: to fork or preempt a Sequence is to copy it, and it holds no memory in the Grammar. A Grammar fills caches as it is used:
// one goroutine uses it at a time (the engine's, after the server's has compiled it), and so with a Cache; this package
// has no locks.
//
// # What is guaranteed
//
// Every complete text is valid; none is begun that cannot be completed. A byte that is no token by itself is never
// written, so each State has a token that leads on or an end token (if there is one). The automaton works on bytes, so characters
// that are split across tokens are exact, and no text has invalid UTF-8, raw surrogates or unpaired escapes of them. A cut text (the
// token limit) is a beginning of a valid one.
//
// Of the valid texts, some are not written, so that a model can end and a mask is cheap:
//   - white space is one space or none after ',' and ':' and nothing else; enum and const are compact;
//   - properties come in the order of the schema, then the others; without "additionalProperties" there are others only where
//     the schema names none at all;
//   - strings with a pattern, format, enum or const, and keys beside named ones, are spelled with the least escapes;
//   - numbers have at most 15 digits (integers 18, more where a bound has more), exponents two and only where there are no bounds;
//   - a schema without "type" means the types that its other keywords speak of;
//   - values are nested up to Limits.ValueDepth deep.
//
// Keywords that cannot be guaranteed are errors that name the keyword and its place: not, if, contains, uniqueItems and others. oneOf
// is accepted where its alternatives are provably apart.
//
// # How it works
//
// A Spec becomes a graph over bytes with calls (graph.go). Regular expressions are made deterministic over characters (runes.go) and
// then spelled in bytes. A State is a set of paths, each a place in the graph with a stack of calls; stacks are shared, counters
// of repeats stand in them. What follows from a State is computed when it is needed and kept (states.go). A mask walks the tree of
// the vocabulary along such states (mask.go).
package grammar

import "fmt"

// Grammar is a compiled Spec for one vocabulary. One goroutine uses it at a time.
type Grammar struct {
	limits   Limits
	vocab    *Vocab
	nodes    []node
	measures measures
	classOf  [256]uint8
	example  []byte // of each class
	start    State
	work     int

	maskSteps int

	*states
	masks maskCache
}

// Compile makes the Grammar of a Spec, within the limits; zero limits are the default ones. It fails with an *Error.
func Compile(spec Spec, vocab *Vocab, limits Limits) (*Grammar, error) {
	b := &budget{limits: limits.orDefault()}
	if n := spec.bytes(); n > b.limits.SpecBytes {
		return nil, fail(TooComplex, "", "too complex: %d bytes, limit %d; make it shorter", n, b.limits.SpecBytes)
	}
	g := newGraph(b)
	head, err := build(g, spec)
	if err != nil {
		return nil, err
	}
	complete, err := measure(g)
	if err != nil {
		return nil, err
	}
	if !finite(g, complete, head) {
		return nil, fail(Impossible, "", "nothing satisfies it%s", tooDeep(complete, head))
	}
	g.restrict(&vocab.have)
	measures, err := measure(g)
	if err != nil {
		return nil, err
	}
	if !finite(g, measures, head) {
		return nil, fail(Impossible, "", "the model's vocabulary has no tokens for the bytes that it needs")
	}
	a := &Grammar{limits: b.limits, vocab: vocab, nodes: g.nodes, measures: measures, work: b.work, maskSteps: manySteps}
	a.classOf, a.example = g.classes()
	a.states = newStates(a)
	a.masks.words = vocab.Words()
	a.start = a.handle(a.intern(a.close(nil, path{head, nil})))
	return a, nil
}

// build makes the graph of a Spec.
func build(g *graph, spec Spec) (int32, error) {
	switch spec.Kind {
	case KindJSONObject:
		return compileSchema(g, `{"type":"object"}`)
	case KindJSONSchema:
		return compileSchema(g, spec.Text)
	case KindRegex:
		r, err := compileRegex(g.budget, spec.Text, whole)
		if err != nil {
			return end, err
		}
		head := encode(g, r, asIs, end)
		return head, g.err
	case KindChoice:
		return choices(g, spec.Choices)
	}
	return end, fail(Unsupported, "", "a grammar of kind %d is not supported; use a JSON schema, a regular expression or a choice", spec.Kind)
}

// finite says that a text can be completed from the head within the depth of values.
func finite(g *graph, m measures, head int32) bool {
	return int(m.depth[head]) <= g.limits.ValueDepth-int(g.nodes[head].deeper)
}

func tooDeep(m measures, head int32) string {
	if m.depth[head] < infinite {
		return fmt.Sprintf(" without %d levels of arrays and objects, which is too deep", m.depth[head]+1)
	}
	return ": what it requires excludes each other, or needs itself without end"
}

// Start is the State before the first token.
func (g *Grammar) Start() State { return g.start }

// Accepts says that the text so far is complete: it may end here.
func (g *Grammar) Accepts(s State) bool { return g.lookup(s).accepts() }

// Done says that the text is complete and nothing may follow it.
func (g *Grammar) Done(s State) bool {
	e := g.lookup(s)
	return e.accepts() && len(e.paths) == 1
}

// Next is the State after one more token. It fails for a token that the mask of s does not allow. After an end token
// the State is Done.
func (g *Grammar) Next(s State, token int32) (State, error) {
	e := g.lookup(s)
	if token < 0 || int(token) >= len(g.vocab.tokens) {
		return s, fmt.Errorf("grammar: token %d is not in the vocabulary of %d", token, len(g.vocab.tokens))
	}
	if g.vocab.isEOS[token] && e.accepts() {
		return g.handle(g.intern([]path{{end, nil}})), nil
	}
	text := g.vocab.tokens[token]
	for _, b := range text {
		e = g.step(e, g.classOf[b])
	}
	if len(text) == 0 || len(e.paths) == 0 {
		return s, fmt.Errorf("grammar: token %d (%q) is not allowed here", token, text)
	}
	return g.handle(e), nil
}

// Mask sets the bit of each token that may come next and clears the others: bit id%64 of word id/64. allowed has Vocab.Words words.
func (g *Grammar) Mask(s State, allowed []uint64) {
	if len(allowed) != g.masks.words {
		panic(fmt.Sprintf("BUG: got a mask of %d words; want %d", len(allowed), g.masks.words))
	}
	copy(allowed, g.mask(g.lookup(s)))
}

// WorkUnits is what compiling took, as Limits counts it.
func (g *Grammar) WorkUnits() int { return g.work }

// Bytes is about the memory that the Grammar holds at most: its automaton, and its caches when they are full.
func (g *Grammar) Bytes() int {
	n := len(g.nodes) * 96
	for i := range g.nodes {
		n += len(g.nodes[i].edges)*8 + len(g.nodes[i].alternatives)*4
	}
	return n + g.limits.CacheBytes
}
