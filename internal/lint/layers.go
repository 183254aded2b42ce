package lint

import (
	"slices"
	"strings"
)

// module is the prefix of our own import paths.
const module = "astro/"

// layers is the table of docs/ARCHITECTURE.md: a package may import what lies in a lower row, and its own folder's packages
// within `inside`; packages of one row do not know each other. A name covers the folders below it.
var layers = [][]string{
	{"internal/device", "internal/telemetry", "internal/invariant", "internal/growthtest", "internal/strictjson", "internal/smallfile", "internal/fault"},
	{"openai", "kernels"},
	{"model", "sampler", "feedback"},
	{"engine"},
	{"server", "training", "benchmarks"},
	{"cmd/astro"},
}

// outside are packages that stand beside the table: they import nothing of ours and nothing imports them.
var outside = []string{"internal/lint", "scripts"}

// sideways are the only edges inside one row, or upwards.
var sideways = map[[2]string]string{
	{"sampler/grammar", "model/tokenizer"}:    "a grammar is compiled to token ids",
	{"internal/device", "internal/invariant"}: "its self-checks follow the same build tag",
	{"server", "training/reward"}:             "pure verdicts, shared by everything in row 4",
	{"server", "training/eval"}:               "statistics, shared by everything in row 4",
	{"benchmarks", "training/reward"}:         "pure verdicts, shared by everything in row 4",
	{"benchmarks", "training/eval"}:           "statistics, shared by everything in row 4",
}

// inside orders the packages of the two folders that hold more than one concept: a package may import those in lower rows,
// and, where two share a row, neither may import the other. Other folders (engine, server, ...) order themselves.
var inside = map[string][][]string{
	"model": {
		{"model/safetensors", "model/gguf", "model/chat", "model/hub"},
		{"model", "model/tokenizer"},
		{"model/llama"},
	},
	"training": {
		{"training/reward", "training/eval", "training/random"},
		{"training/checkpoint", "training/tree"},
		{"training/search", "training/linearize", "training/trainer", "training/countdown"},
		{"training/sft", "training/grpo", "training/kto"},
		{"training"},
		{"training/recipe"},
	},
}

// low folders import nothing above a given row but what lies in them, whatever row they are in.
var low = map[string]int{"training/reward": 1, "training/eval": 1}

func checkLayers(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if !placed(f.Dir) {
			found = append(found, Finding{f.Path, "package " + f.Dir + " has no place in the layer table of internal/lint/layers.go"})
			continue
		}
		for p, spec := range f.Imports() {
			to, ours := strings.CutPrefix(p, module)
			if !ours {
				continue
			}
			why := forbidden(f.Dir, to)
			if support(to) && !f.Test && !support(f.Dir) {
				why = "a package called ...test is for tests only"
			}
			if why != "" {
				found = append(found, at(f, spec, "%s must not import %s: %s", f.Dir, to, why))
			}
		}
	}
	return sorted(found)
}

// placed says that the table knows the package.
func placed(pkg string) bool {
	folder := unit(layers, pkg)
	return under(pkg, outside...) || folder != "" && (inside[folder] == nil || support(pkg) || insideUnit(folder, pkg) != "")
}

// support says that the package holds fixtures and fakes for the tests of its folder and of those above.
func support(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// forbidden says why package from must not import package to, or "".
func forbidden(from, to string) string {
	fromRow, toRow := row(layers, from), row(layers, to)
	for folder, limit := range low {
		if under(from, folder) && !under(to, folder) && toRow > limit {
			return "it may import nothing above layer " + string(rune('0'+limit))
		}
	}
	switch {
	case under(from, outside...) || under(to, outside...):
		return "it stands outside the layers"
	case !placed(to):
		return "it has no place in the layer table"
	case toRow < fromRow:
		return ""
	case toRow > fromRow:
		return "imports point down"
	case unit(layers, from) == unit(layers, to):
		return forbiddenInside(from, to)
	}
	for edge := range sideways {
		if under(from, edge[0]) && under(to, edge[1]) {
			return ""
		}
	}
	return "packages of one layer do not know each other"
}

// forbiddenInside is forbidden for two packages of one folder.
func forbiddenInside(from, to string) string {
	folder := unit(layers, from)
	if inside[folder] == nil || support(from) || support(to) {
		return ""
	}
	a, b := insideUnit(folder, from), insideUnit(folder, to)
	if a == b || row(inside[folder], b) < row(inside[folder], a) {
		return ""
	}
	return "inside " + folder + " imports point down"
}

// insideUnit is unit in the order inside folder, whose own name stands for its own package only.
func insideUnit(folder, pkg string) string {
	if u := unit(inside[folder], pkg); u != folder || pkg == folder {
		return u
	}
	return ""
}

// row is the index of the row that holds the package, or -1; the longest matching name wins.
func row(rows [][]string, pkg string) int {
	name := unit(rows, pkg)
	return slices.IndexFunc(rows, func(r []string) bool { return slices.Contains(r, name) })
}

// unit is the longest name in rows that covers the package, or "".
func unit(rows [][]string, pkg string) string {
	best := ""
	for _, r := range rows {
		for _, name := range r {
			if under(pkg, name) && len(name) > len(best) {
				best = name
			}
		}
	}
	return best
}

// under says that pkg is one of the folders or lies below one.
func under(pkg string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") })
}
