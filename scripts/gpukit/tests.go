package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// marks are what a test that runs on each device reaches: names of a package, or of devicetest behind its dot.
var marks = []string{"onEach", "onEachDevice", "devicetest.OnEach", "devicetest.Kinds"}

// deviceTests names the Test functions in files, of one package, that reach a mark through functions and variables of these files.
func deviceTests(files []string) ([]string, error) {
	uses := map[string][]string{} // top-level name -> names that it mentions
	var tests []string
	set := token.NewFileSet()
	for _, file := range files {
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				uses[fn.Name.Name] = mentions(fn)
				if strings.HasPrefix(fn.Name.Name, "Test") && fn.Name.Name != "TestMain" {
					tests = append(tests, fn.Name.Name)
				}
			}
		}
	}
	return slices.DeleteFunc(tests, func(t string) bool { return !reaches(uses, t, map[string]bool{}) }), nil
}

// mentions are the identifiers in a node, and those behind the dot of a package with its name before it.
func mentions(n ast.Node) (names []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				names = append(names, x.Name+"."+n.Sel.Name)
			}
		case *ast.Ident:
			names = append(names, n.Name)
		}
		return true
	})
	return names
}

func reaches(uses map[string][]string, name string, seen map[string]bool) bool {
	if slices.Contains(marks, name) {
		return true
	}
	if seen[name] {
		return false
	}
	seen[name] = true
	return slices.ContainsFunc(uses[name], func(next string) bool { return reaches(uses, next, seen) })
}
