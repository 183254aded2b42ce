// Package lint is the law of this repository as tests: layers, sizes, comments, words. Prose keeps the reasons
// (docs/STYLE.md, docs/ARCHITECTURE.md); what can be checked is checked here, in about a second, by parsing alone.
//
// A Rule looks at a Tree and returns Findings. Each rule has bad examples in rules_test.go that it must find, because a check
// that cannot fail is worthless.
package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"sort"
)

// Rule is one law.
type Rule struct {
	Name  string
	Check func(*Tree) []Finding
}

// Finding is one place that breaks a law.
type Finding struct {
	Where string // path, or path:line, relative to the repository root
	What  string // what is wrong and what would be right
}

// String is the line that a reader sees, in the form that editors jump to.
func (f Finding) String() string { return f.Where + ": " + f.What }

// Rules returns every law.
func Rules() []Rule {
	return []Rule{
		{"layers", checkLayers},
		{"imports", checkImports},
		{"core", checkCore},
		{"names", checkNames},
		{"glossary", checkGlossary},
		{"functions", checkFunctions},
		{"files", checkFiles},
		{"docs", checkDocs},
		{"packages", checkPackageComments},
		{"panics", checkPanics},
		{"skips", checkSkips},
		{"data", checkData},
		{"clock", checkClock},
		{"chance", checkChance},
		{"marks", checkMarks},
		{"places", checkPlaces},
	}
}

// at makes a Finding at a node of f.
func at(f *File, n ast.Node, format string, args ...any) Finding {
	return atPos(f, n.Pos(), format, args...)
}

func atPos(f *File, p token.Pos, format string, args ...any) Finding {
	return Finding{fmt.Sprintf("%s:%d", f.Path, f.line(p)), fmt.Sprintf(format, args...)}
}

// sorted orders findings by place, so that two runs print the same.
func sorted(found []Finding) []Finding {
	sort.Slice(found, func(i, j int) bool { return found[i].String() < found[j].String() })
	return found
}
