package lint

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// code are the imports that make code, types or text for a shell or a browser of what somebody sent. Input is JSON, safetensors, or a
// format of ours with fixed fields; templates of models run in model/chat's own small language.
var code = map[string]string{
	"plugin": "no code is loaded at run time", "encoding/gob": "gob makes types of what it reads", "net/rpc": "rpc reads gob", "text/template": "model/chat is the one template language",
	"html/template": "no pages are made here", "database/sql": "one package owns the store", "go/parser": "no Go source is read at run time", "go/types": "no Go source is read at run time",
}

// runs are the only files that start programs, and which.
var runs = map[string]string{"internal/device/cuda_find.go": "python3, with a fixed program, to ask where its packages are"}

// reads are folders that may do what code forbids: the law reads Go source.
var reads = []string{"internal/lint"}

// owners are the folders that may use one import of code, because they alone do what it is for.
var owners = map[string]string{"database/sql": "feedback"}

// checkData: nothing that is read can become code, and nothing that is written by a model is run.
func checkData(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Test || under(f.Dir, reads...) || under(f.Dir, "scripts") {
			continue
		}
		for p, spec := range f.Imports() {
			if why := code[p]; why != "" && !(owners[p] != "" && under(f.Dir, owners[p])) {
				found = append(found, at(f, spec, "%q is not used: %s", p, why))
			}
			if p == "os/exec" && runs[f.Path] == "" {
				found = append(found, at(f, spec, "only %s starts programs: what a program is given could come from a request or a model", keys(runs)))
			}
		}
	}
	return sorted(found)
}

// clocks are the folders whose code may ask what time it is; everywhere else a time is an argument, so that the same calls give the
// same answers. In engine it is Options.Clock, and Busy of the Runner.
var clocks = map[string]string{
	"cmd": "the shell", "server": "deadlines, logs, answers", "benchmarks": "they measure", "openai/client": "when to ask again", "model/hub": "how long a download takes", "training/recipe": "reports say how long", "training/loop.go": "patience", "training/phases.go": "how long learning takes", "training/update.go": "reports say how long", "training/served.go": "the age of a vote", "training/status.go": "how long a phase takes", "training/jobs.go": "when a job ended", "training/sft": "reports say how long",
	"training/grpo": "reports say how long", "training/kto": "reports say how long", "training/trainer/speed.go": "it measures", "engine/engine.go": "the default of Options.Clock", "engine/runner.go": "how long the device worked",
	"sampler/device.go": "how long the device worked", "model/chat/globals.go": "strftime_now, unless Input.Now is given", "internal/device": "how long compiling took; ages of cached programs",
	"internal/growthtest": "it measures", "feedback/store.go": "the default of Options.Now", "internal/telemetry": "when something happened", "scripts": "they measure",
}

// checkClock: few places know the time.
func checkClock(t *Tree) []Finding {
	return callers(t, clocks, "time", []string{"Now", "Since", "Until"}, "here a time is an argument (internal/lint/data.go lists who may ask the clock)")
}

// secrets are the folders that draw what nobody may guess; streams are those that draw with a seed that is an argument; jitter is the
// waiting of two clients, the only draws that nobody can repeat.
var (
	secrets = map[string]string{"server": "keys and ids", "feedback": "ids", "engine/engine.go": "the default of Options.Random", "cmd": "keys"}
	jitter  = map[string]string{"model/hub": "waits between tries, names of files in work", "openai/client": "waits between tries"}
)

// shared are the functions of math/rand/v2 that draw from the process's own source.
var shared = []string{"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN", "Float32", "Float64", "NormFloat64", "ExpFloat64", "Perm", "Shuffle", "N"}

// checkChance: chance comes from a seed that is an argument, or is a secret, or only decides how long to wait.
func checkChance(t *Tree) []Finding {
	found := callers(t, jitter, "rand/v2", shared, "draw from rand.New with a seed that is an argument, so that a run can be repeated")
	for _, f := range t.Files {
		if spec := f.Imports()["math/rand"]; spec != nil {
			found = append(found, at(f, spec, "math/rand/v2 instead: its seeds give the same numbers everywhere"))
		}
		if spec := f.Imports()["crypto/rand"]; spec != nil && !f.Test && !listed(secrets, f) {
			found = append(found, at(f, spec, "only %s draw secrets; for anything else a seed is an argument", keys(secrets)))
		}
	}
	return sorted(found)
}

// callers finds uses of a package's functions outside of the files and folders in list. pkg is the end of its path.
func callers(t *Tree, list map[string]string, pkg string, names []string, why string) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Test || listed(list, f) {
			continue
		}
		local := ""
		for p, spec := range f.Imports() {
			if p == pkg || strings.HasSuffix(p, "/"+pkg) {
				if local = strings.TrimSuffix(pkg, "/v2"); spec.Name != nil {
					local = spec.Name.Name
				}
			}
		}
		if local == "" {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isIdent(s.X, local) && slices.Contains(names, s.Sel.Name) {
				found = append(found, at(f, s, "%s.%s: %s", local, s.Sel.Name, why))
			}
			return true
		})
	}
	return sorted(found)
}

// listed says that a file or its folder is in list.
func listed(list map[string]string, f *File) bool {
	return list[f.Path] != "" || slices.ContainsFunc(slices.Collect(maps.Keys(list)), func(dir string) bool { return under(f.Dir, dir) })
}

// keys names what is in list.
func keys(list map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(list)), ", ")
}
