package stablehlo

import (
	"fmt"
	"regexp"
	"strings"
)

// LibraryPrefix starts the name of every function that is linked in: the caller's module has only a stub of it.
const LibraryPrefix = "lib_"

// privateMark stands between a library function's name and the name of a helper that came with it.
const privateMark = "__"

var (
	callee = regexp.MustCompile(`callee = @(` + LibraryPrefix + `\w+)`)
	symbol = regexp.MustCompile(`@\w+`)
)

// Library turns a module that defines one library function into the functions to link: its @main becomes @name, its helpers
// become private to it, and its stubs of other library functions are dropped.
func (m *Module) Library(name string) ([]Func, error) {
	if !strings.HasPrefix(name, LibraryPrefix) || strings.Contains(name, privateMark) {
		panic(fmt.Sprintf("BUG: library function %q; want a name with prefix %q and without %q", name, LibraryPrefix, privateMark))
	}
	m.dropStubs()
	renamed := map[string]string{"@main": "@" + name}
	for _, f := range m.Funcs {
		if f.Name != "main" {
			renamed["@"+f.Name] = "@" + name + privateMark + f.Name
		}
	}
	var funcs []Func
	for _, f := range m.Funcs {
		f.Name = renamed["@"+f.Name][1:]
		f.Private = true
		f.Body = symbol.ReplaceAllStringFunc(f.Body, func(s string) string {
			if to, ok := renamed[s]; ok {
				return to
			}
			return s // another library function, or no function at all (a mesh)
		})
		funcs = append(funcs, f)
	}
	return funcs, nil
}

func (m *Module) dropStubs() {
	kept := m.Funcs[:0:0]
	for _, f := range m.Funcs {
		if !strings.HasPrefix(f.Name, LibraryPrefix) {
			kept = append(kept, f)
		}
	}
	m.Funcs = kept
}

// Link replaces the stubs of library functions by the functions themselves and those that they call. A function that define does
// not know is an error: its stub would compute zeros.
func (m *Module) Link(define func(name string) ([]Func, bool)) error {
	m.dropStubs()
	linked := map[string]bool{}
	for i := 0; i < len(m.Funcs); i++ { // Funcs grows on the way
		for _, call := range callee.FindAllStringSubmatch(m.Funcs[i].Body, -1) {
			name := call[1]
			if linked[name] || strings.Contains(name, privateMark) {
				continue
			}
			funcs, ok := define(name)
			if !ok {
				return fmt.Errorf("link module @%s: no library function @%s", m.Name, name)
			}
			linked[name] = true
			m.Funcs = append(m.Funcs, funcs...)
		}
	}
	return nil
}
