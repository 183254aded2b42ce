package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// checkPanics: a panic of ours says "BUG: got X; want Y". Files that build graphs are free: there a panic is how GoMLX reports,
// and internal/device makes it an error. Only texts written at the call can be judged.
func checkPanics(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Test || f.Imports()["github.com/gomlx/gomlx/core/graph"] != nil {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isIdent(call.Fun, "panic") || len(call.Args) != 1 {
				return true
			}
			if text, ok := literal(call.Args[0]); ok && !strings.HasPrefix(text, "BUG: ") {
				found = append(found, at(f, call, "panic(%q): a panic says \"BUG: got X; want Y\"; a failure of the world is an error", text))
			}
			return true
		})
	}
	return sorted(found)
}

// literal is the text that e surely begins with: of a string, a concatenation, or the format of Sprintf, Errorf or errors.New.
func literal(e ast.Expr) (string, bool) {
	switch x := e.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			text, err := strconv.Unquote(x.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		return literal(x.X)
	case *ast.ParenExpr:
		return literal(x.X)
	case *ast.CallExpr:
		if s, ok := x.Fun.(*ast.SelectorExpr); ok && len(x.Args) > 0 && (isIdent(s.X, "fmt") || isIdent(s.X, "errors")) {
			return literal(x.Args[0])
		}
	}
	return "", false
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// checkSkips: a skipped test says what is missing.
func checkSkips(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := call.Fun.(*ast.SelectorExpr)
			if ok && (s.Sel.Name == "SkipNow" || s.Sel.Name == "Skip" && len(call.Args) == 0 && isIdent(s.X, "t")) {
				found = append(found, at(f, call, "a test that skips says what is missing: t.Skip(\"...\")"))
			}
			return true
		})
	}
	return sorted(found)
}

// The patterns are spelled in pieces so that this file does not find itself.
var (
	marks  = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	paths  = regexp.MustCompile(`(?m)(?:^|[\s"'=:,(\x60])/(wo` + `rk|ro` + `ot|ho` + `me/[a-z][a-z0-9]*|Users/[A-Za-z]+)/[A-Za-z0-9._]`)
	hosts  = regexp.MustCompile(`(?i)\b(pypi\.o` + `rg|pythonhosted\.o` + `rg|proxy\.golang\.o` + `rg|sum\.golang\.o` + `rg|index\.crates\.i` + `o|static\.crates\.i` + `o|registry\.[a-z0-9.-]+|gcr\.i` + `o|ghcr\.i` + `o|quay\.i` + `o|docker\.i` + `o)\b`)
	exempt = map[string]string{"scripts/libtokenizers/Cargo.lock": "cargo writes the name of its index into every lock file"}
)

// checkMarks: what is not done yet stands in the change log or the issue, not in the code.
func checkMarks(t *Tree) []Finding {
	return matching(t, marks, "unfinished work is done or written down as an issue, never marked in a file")
}

// checkPlaces: nothing in the repository knows the machine that it was written on, or where packages come from.
func checkPlaces(t *Tree) []Finding {
	found := matching(t, paths, "no path of one machine")
	return sorted(append(found, matching(t, hosts, "no registry's host: the tools are configured outside")...))
}

func matching(t *Tree, pattern *regexp.Regexp, why string) []Finding {
	var found []Finding
	for name, text := range t.Texts {
		if exempt[name] != "" || !pattern.MatchString(text) {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			if m := pattern.FindString(line); m != "" {
				found = append(found, Finding{fmt.Sprintf("%s:%d", name, i+1), fmt.Sprintf("%q: %s", strings.TrimSpace(m), why)})
			}
		}
	}
	return sorted(found)
}
