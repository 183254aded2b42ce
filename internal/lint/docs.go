package lint

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
)

// checkDocs: every exported function, method of an exported type, type, constant and variable says what it promises. Names in
// test files and in package main are for nobody else.
func checkDocs(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Test || f.Syntax.Name.Name == "main" {
			continue
		}
		for _, d := range f.Syntax.Decls {
			found = append(found, undocumented(f, d)...)
		}
	}
	return sorted(found)
}

func undocumented(f *File, d ast.Decl) []Finding {
	switch d := d.(type) {
	case *ast.FuncDecl:
		owner := receiver(d)
		if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(owner)) && blank(d.Doc) {
			return []Finding{at(f, d, "exported %s has no doc comment", functionName(d))}
		}
	case *ast.GenDecl:
		return undocumentedSpecs(f, d)
	}
	return nil
}

// undocumentedSpecs: one comment over a group of constants or variables covers it; types have one each.
func undocumentedSpecs(f *File, d *ast.GenDecl) []Finding {
	var found []Finding
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && blank(s.Doc) && (blank(d.Doc) || d.Lparen.IsValid()) {
				found = append(found, at(f, s, "exported %s has no doc comment", s.Name.Name))
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && blank(s.Doc) && blank(s.Comment) && blank(d.Doc) {
					found = append(found, at(f, name, "exported %s has no doc comment", name.Name))
				}
			}
		}
	}
	return found
}

func blank(c *ast.CommentGroup) bool { return c == nil || strings.TrimSpace(c.Text()) == "" }

// checkPackageComments: one file of each package says what the package is for.
func checkPackageComments(t *Tree) []Finding {
	has, first := map[string]bool{}, map[string]*File{}
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		if first[f.Dir] == nil || f.Path < first[f.Dir].Path {
			first[f.Dir] = f
		}
		name := f.Syntax.Name.Name
		if doc := f.Syntax.Doc; !blank(doc) && (name == "main" || strings.HasPrefix(doc.Text(), "Package "+name+" ")) {
			has[f.Dir] = true
		}
	}
	var found []Finding
	for dir, f := range first {
		if !has[dir] {
			found = append(found, Finding{f.Path, "no file of the package begins with a comment \"Package " + f.Syntax.Name.Name + " ...\" (any comment in package main)"})
		}
	}
	return sorted(found)
}

// banned are folder names that say nothing.
var banned = []string{"util", "utils", "common", "types", "helper", "helpers", "pkg", "misc", "lib", "base", "core"}

func checkNames(t *Tree) []Finding {
	var found []Finding
	seen := map[string]bool{}
	for _, f := range t.Files {
		if seen[f.Dir] {
			continue
		}
		seen[f.Dir] = true
		for _, b := range banned {
			if path.Base(f.Dir) == b || strings.HasPrefix(f.Dir, b+"/") || strings.Contains(f.Dir, "/"+b+"/") {
				found = append(found, Finding{f.Dir, "a folder called " + b + " says nothing: name the concept"})
			}
		}
	}
	return sorted(found)
}

// glossary: words that would be a second name for a concept of docs/ARCHITECTURE.md, as part of a declared type's name.
var glossary = map[string]string{
	"Trajectory": "Rollout", "Episode": "Rollout", "Lane": "Slot", "Tick": "Step", "Iteration": "Step", "Snapshot": "Checkpoint",
	"Reload": "Swap", "Delta": "Event (Delta is a word of the wire: openai and server)",
}

func checkGlossary(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		for _, d := range f.Syntax.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				name := spec.(*ast.TypeSpec).Name
				for _, word := range words(name.Name) {
					if use := glossary[word]; use != "" && !(word == "Delta" && under(f.Dir, "openai", "server", "cmd/astro")) {
						found = append(found, at(f, name, "type %s: say %s", name.Name, use))
					}
				}
			}
		}
	}
	return sorted(found)
}

// words splits a name at its capitals and gives each word one: "bigTickCount" is Big, Tick, Count.
func words(name string) []string {
	var all []string
	start := 0
	for i := 1; i <= len(name); i++ {
		if i == len(name) || name[i] >= 'A' && name[i] <= 'Z' {
			all = append(all, strings.ToUpper(name[start:start+1])+name[start+1:i])
			start = i
		}
	}
	return all
}
