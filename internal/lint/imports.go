package lint

import (
	"go/ast"
	"slices"
	"strings"
)

// reserved are imports that only some folders may have. "C" is cgo.
var reserved = []struct {
	prefix string
	in     []string
	why    string
}{
	{"C", []string{"internal/device", "model/tokenizer", "kernels"}, "cgo stays at the three borders that need it"},
	{"github.com/valyala/fasthttp", []string{"server"}, "HTTP is the server's"},
	{"github.com/daulet/tokenizers", []string{"model/tokenizer"}, "one package owns text to tokens"},
	{"github.com/spf13/cobra", []string{"cmd/astro"}, "flags exist only in the command"},
	{"github.com/spf13/pflag", []string{"cmd/astro"}, "flags exist only in the command"},
	{"flag", []string{"cmd/astro", "scripts"}, "flags exist only in the command"},
	{"modernc.org/sqlite", []string{"feedback"}, "one package owns the store"},
	{"github.com/prometheus/", []string{"internal/telemetry"}, "one package owns the metrics"},
	{"go.opentelemetry.io/", []string{"internal/telemetry"}, "one package owns the traces"},
	{"github.com/gomlx/go-xla", []string{"internal/device"}, "one package owns the plugin"},
	{"github.com/gomlx/", []string{"internal/device", "kernels", "model", "sampler", "engine", "training", "benchmarks", "cmd/astro", "scripts"}, "graphs stay in the packages that compute"},
}

// standardOnly packages import nothing but the standard library.
var standardOnly = []string{"openai"}

// httpOnly: benchmarks measure any server through HTTP, so that a comparison is fair; only those that measure what HTTP does not
// show drive the engine.
const httpOnly = "benchmarks"

var drivesEngine = []string{"benchmarks/step", "benchmarks/quality"}

func checkImports(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		for p, spec := range f.Imports() {
			if why := reservedFor(f, p); why != "" {
				found = append(found, at(f, spec, "%s must not import %q: %s", f.Dir, p, why))
			}
		}
	}
	return sorted(found)
}

func reservedFor(f *File, p string) string {
	for _, r := range reserved {
		if p == "flag" && f.Test {
			continue // go test's own flags, such as one that rewrites golden files
		}
		if (p == r.prefix || strings.HasPrefix(p, strings.TrimSuffix(r.prefix, "/")+"/")) && !under(f.Dir, r.in...) {
			return r.why
		}
	}
	if under(f.Dir, standardOnly...) && !standard(p) && !strings.HasPrefix(p, module+"openai") {
		return "it needs only the standard library"
	}
	if under(f.Dir, httpOnly) && !under(f.Dir, drivesEngine...) && under(strings.TrimPrefix(p, module), "engine", "server") {
		return "benchmarks other than " + strings.Join(drivesEngine, " and ") + " reach a server through HTTP only"
	}
	return ""
}

// standard says that the import path is of the standard library: its first element has no dot, and it is not ours.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".") && first != strings.TrimSuffix(module, "/")
}

// core are the files, by the beginning of their path, that decide and never act: the same calls give the same answers. Tests
// are free.
var core = []string{"engine/kvcache/", "engine/scheduler", "engine/sequence", "server/auth/ledger", "sampler/grammar/", "training/reward/", "training/linearize/"}

// acts are the imports that would let them: clocks, logs, goroutines' tools, files, sockets, shared randomness.
var acts = []string{"time", "log", "log/slog", "sync", "sync/atomic", "os", "net", "net/http", "math/rand", "math/rand/v2", module + "internal/device", module + "internal/telemetry"}

func checkCore(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Test || !slices.ContainsFunc(core, func(prefix string) bool { return strings.HasPrefix(f.Path, prefix) }) {
			continue
		}
		for p, spec := range f.Imports() {
			if under(p, acts...) {
				found = append(found, at(f, spec, "the core decides, the shell acts: no %q here", p))
			}
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				found = append(found, at(f, g, "the core decides, the shell acts: no goroutine here"))
			}
			return true
		})
	}
	return sorted(found)
}
