package algebra

import (
	"slices"
	"strings"

	"astro/training/reward/latex"
)

// maxVariables bounds the free variables of a pair of formulas.
const maxVariables = 6

// Key is a text that is the same for the same formula: the name of a symbol, or of an unknown function with its arguments.
func Key(n *latex.Node) string {
	if n.Kind == latex.Sym {
		return n.Name
	}
	var b strings.Builder
	writeKey(&b, n)
	return b.String()
}

func writeKey(b *strings.Builder, n *latex.Node) {
	if b.Len() > latex.MaxBytes {
		return
	}
	b.WriteByte('A' + byte(n.Kind))
	b.WriteString(n.Name)
	if n.Rat != nil {
		b.WriteString(n.Rat.RatString())
	}
	b.WriteString(strings.Join(n.Ops, ""))
	b.WriteByte('(')
	for _, a := range n.Args {
		writeKey(b, a)
		b.WriteByte(' ')
	}
	b.WriteByte(')')
}

// variables are the free variables of a formula and what is known about them.
type variables struct {
	names   map[string]bool
	integer map[string]bool // it counts: n!, (-1)^n, the bound of a sum
	complex bool            // the imaginary unit occurs
	log     bool            // a logarithm without base occurs
	bad     bool            // a part of the formula has no value that can be computed
}

func (v *variables) collect(n *latex.Node, bound []string) {
	switch n.Kind {
	case latex.Sym, latex.Apply:
		v.free(n, bound)
		return
	case latex.Const:
		v.complex = v.complex || n.Name == "i" && !slices.Contains(bound, "i")
	case latex.Big:
		for _, a := range n.Args[1:3] {
			v.counts(a)
			v.collect(a, bound)
		}
		v.collect(n.Args[3], append(bound[:len(bound):len(bound)], n.Args[0].Name))
		return
	case latex.Func:
		if n.Name == "factorial" || n.Name == "binom" {
			v.counts(n)
		}
		v.log = v.log || n.Name == "log" && len(n.Args) == 1
	case latex.Pow:
		if n.Args[0].Kind == latex.Neg {
			v.counts(n.Args[1])
		}
	}
	for _, a := range n.Args {
		v.collect(a, bound)
	}
}

// free records a variable. A symbol whose subscript has a bound variable changes from term to term and has no value.
func (v *variables) free(n *latex.Node, bound []string) {
	key := Key(n)
	for _, name := range bound {
		if key == name {
			return
		}
		if n.Kind == latex.Apply || strings.Contains(key, "_") && strings.Contains(key[strings.Index(key, "_"):], name) {
			v.bad = true
		}
	}
	v.names[key] = true
}

// counts marks the variables below n as integers.
func (v *variables) counts(n *latex.Node) {
	n.Walk(func(m *latex.Node) bool {
		if m.Kind == latex.Sym {
			v.integer[m.Name] = true
		}
		return true
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
