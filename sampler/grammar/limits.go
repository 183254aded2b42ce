package grammar

import "fmt"

// Limits bounds what one Grammar may cost. A field that is zero has the value of DefaultLimits.
type Limits struct {
	SpecBytes        int // of the schema, the expression, or all choices together
	PatternBytes     int // of one regular expression
	SchemaDepth      int // levels of nesting in the schema's own text
	ValueDepth       int // levels of arrays and objects in the output; a deeper value is not begun
	ObjectProperties int // that one object schema names
	Nodes            int // of the automaton
	WorkUnits        int // steps of compiling, each some tens of nanoseconds
	StatePaths       int // readings of the output so far that are followed at once; the later ones are given up
	MaskWorkUnits    int // steps of one mask beyond one per node of the vocabulary's trie
	CacheBytes       int // of states and masks that are kept for later steps
}

// DefaultLimits compiles what people write within some milliseconds, and refuses the rest within 200 ms.
func DefaultLimits() Limits {
	return Limits{
		SpecBytes: 256 << 10, PatternBytes: 4 << 10, SchemaDepth: 100, ValueDepth: 32, ObjectProperties: 1000,
		Nodes: 100_000, WorkUnits: 1_000_000, StatePaths: 1200, MaskWorkUnits: 100_000, CacheBytes: 16 << 20,
	}
}

// orDefault fills the fields that are zero.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ have, want *int }{
		{&l.SpecBytes, &d.SpecBytes}, {&l.PatternBytes, &d.PatternBytes}, {&l.SchemaDepth, &d.SchemaDepth},
		{&l.ValueDepth, &d.ValueDepth}, {&l.ObjectProperties, &d.ObjectProperties}, {&l.Nodes, &d.Nodes},
		{&l.WorkUnits, &d.WorkUnits}, {&l.StatePaths, &d.StatePaths}, {&l.MaskWorkUnits, &d.MaskWorkUnits},
		{&l.CacheBytes, &d.CacheBytes},
	} {
		if *f.have <= 0 {
			*f.have = *f.want
		}
	}
	return l
}

// Problem is the kind of an Error.
type Problem uint8

// The kinds of an Error.
const (
	Invalid     Problem = iota + 1 // not a schema, not an expression
	Unsupported                    // right, but this package cannot guarantee it
	TooComplex                     // past one of the Limits
	Impossible                     // no text satisfies it, or none that the vocabulary can spell
)

// Error says why a Spec was refused. It is the caller's to mend: a server answers 400 with its text.
type Error struct {
	Problem Problem
	Pointer string // RFC 6901 pointer into the schema; "" is its root, or there is no schema
	Reason  string // says what is wrong and what to do
}

// Error is the reason, after the place in the schema if it is not the root.
func (e *Error) Error() string {
	if e.Pointer == "" {
		return e.Reason
	}
	return "at " + e.Pointer + ": " + e.Reason
}

func fail(problem Problem, pointer, format string, args ...any) error {
	return &Error{problem, pointer, fmt.Sprintf(format, args...)}
}

// budget counts the work of one compilation.
type budget struct {
	limits Limits
	work   int
}

// spend counts n steps and fails when there are none left.
func (b *budget) spend(n int) error {
	b.work += n
	if b.work > b.limits.WorkUnits {
		return fail(TooComplex, "", "too complex: more than %d steps of compiling, the limit; use fewer alternatives, shorter patterns or smaller bounds", b.limits.WorkUnits)
	}
	return nil
}
