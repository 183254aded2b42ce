package lint

import (
	"fmt"
	"go/ast"
	"sort"
)

const (
	maxFunctionLines  = 70  // hard, tests too; near 10 is the habit
	longFunctionLines = 40  // above this a function is counted and named by the test
	maxFileLines      = 800 // hard, tests too; 100 to 400 is the habit
)

// longFunctions are the functions allowed above maxFunctionLines, each with its reason. An entry that is no longer needed is a
// finding, so the list can only shrink by itself.
var longFunctions = map[string]string{}

func checkFunctions(t *Tree) []Finding { return functionFindings(t, longFunctions) }

func functionFindings(t *Tree, allowed map[string]string) []Finding {
	var found []Finding
	used := map[string]bool{}
	for _, f := range t.Files {
		for _, fn := range f.Functions() {
			n, name := functionLines(f, fn), f.Dir+"."+functionName(fn)
			if n <= maxFunctionLines {
				continue
			}
			used[name] = true
			if allowed[name] == "" {
				found = append(found, at(f, fn, "%s has %d lines; want at most %d", name, n, maxFunctionLines))
			}
		}
	}
	for name := range allowed {
		if !used[name] {
			found = append(found, Finding{"internal/lint/sizes.go", name + " is allowed to be long but is not (any more): remove the entry"})
		}
	}
	return sorted(found)
}

// LongFunctions names the functions above longFunctionLines, longest first, for the reader of the test's output.
func LongFunctions(t *Tree) []string {
	type long struct {
		n    int
		name string
	}
	var all []long
	for _, f := range t.Files {
		for _, fn := range f.Functions() {
			if n := functionLines(f, fn); n > longFunctionLines {
				all = append(all, long{n, f.Dir + "." + functionName(fn)})
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].n > all[j].n || all[i].n == all[j].n && all[i].name < all[j].name
	})
	var names []string
	for _, l := range all {
		names = append(names, fmt.Sprintf("%d lines: %s", l.n, l.name))
	}
	return names
}

// functionLines counts from the line of func to that of the closing brace.
func functionLines(f *File, fn *ast.FuncDecl) int { return f.line(fn.End()) - f.line(fn.Pos()) + 1 }

// functionName is Name, or Type.Name for a method.
func functionName(fn *ast.FuncDecl) string {
	if r := receiver(fn); r != "" {
		return r + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// receiver is the name of the type that fn is a method of, or "".
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

func checkFiles(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Lines > maxFileLines {
			found = append(found, Finding{f.Path, fmt.Sprintf("%d lines; want at most %d: one file is one mechanism", f.Lines, maxFileLines)})
		}
	}
	return sorted(found)
}
