// Command gpukit makes one test program of the tests of several packages that run on a device, for machines without Go.
//
// It writes an overlay for go test: the test files of each package are laid beside its sources as ordinary ones (those of package x_test
// into a package of their own), with a list of the tests that reach devicetest's OnEach, and a test of all lists stands in
// internal/gpukit. Nothing in the tree is changed. In the built program each list runs in the folder of its package.
//
//	go run ./scripts/gpukit DIR PACKAGE...    # writes DIR/overlay.json; then go test -c -overlay DIR/overlay.json ./internal/gpukit
package main

import (
	"encoding/json"
	"fmt"
	"go/build"
	"os"
	"path"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: gpukit DIR PACKAGE...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "gpukit:", err)
		os.Exit(1)
	}
}

// kit is the overlay in work.
type kit struct {
	root, dir string            // of the module; of what is generated
	replace   map[string]string // the overlay: where the compiler looks -> what it reads
	imports   []string
	tests     []string // functions of the last file
}

func run(dir string, packages []string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	k := &kit{root: root, dir: dir, replace: map[string]string{}}
	for _, p := range packages {
		if err := k.add(p); err != nil {
			return fmt.Errorf("package %s: %w", p, err)
		}
	}
	if len(k.tests) == 0 {
		return fmt.Errorf("no test of %v runs on each device", packages)
	}
	if err := k.generate("internal/gpukit/gpukit_test.go", fmt.Sprintf(suites, strings.Join(k.imports, "\n"), strings.Join(k.tests, "\n"))); err != nil {
		return err
	}
	text, err := json.MarshalIndent(map[string]any{"Replace": k.replace}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "overlay.json"), text, 0o644)
}

const suites = `package gpukit

import (
	"os"
	"path/filepath"
	"testing"

%s
)

// suite runs the tests of the package in dir there.
func suite(t *testing.T, dir string, tests []testing.InternalTest) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(root, dir))
	for _, test := range tests {
		t.Run(test.Name, test.F)
	}
}

%s
`

// add lays out the tests of one package.
func (k *kit) add(pkg string) error {
	c := build.Default
	c.BuildTags = append(c.BuildTags, "invariants")
	p, err := c.ImportDir(filepath.Join(k.root, pkg), 0)
	if err != nil {
		return err
	}
	word := strings.NewReplacer("/", "_").Replace(pkg)
	inside, err := k.layOut(pkg, pkg, p.TestGoFiles)
	if err != nil {
		return err
	}
	if len(inside) > 0 {
		k.list(pkg, pkg, p.Name, word, inside)
	}
	outside := path.Join("internal/gpukit", word)
	beside, err := k.layOut(pkg, outside, p.XTestGoFiles)
	if err != nil {
		return err
	}
	if len(beside) > 0 {
		k.list(pkg, outside, p.Name+"_test", word+"_test", beside)
	}
	return nil
}

// layOut has the compiler see test files of from as ordinary files in to, and says which of their tests run on each device.
func (k *kit) layOut(from, to string, files []string) ([]string, error) {
	var paths []string
	for _, name := range files {
		file := filepath.Join(k.root, from, name)
		paths = append(paths, file)
		k.replace[filepath.Join(k.root, to, "kit_"+strings.TrimSuffix(name, "_test.go")+".go")] = file
	}
	return deviceTests(paths)
}

// list makes the list of tests of a package, and the test that runs them.
func (k *kit) list(pkg, in, name, word string, tests []string) error {
	text := "package " + name + "\n\nimport \"testing\"\n\n// KitTests are the tests that run on each device.\nvar KitTests = []testing.InternalTest{\n"
	for _, t := range tests {
		text += fmt.Sprintf("\t{Name: %q, F: %s},\n", t, t)
	}
	k.imports = append(k.imports, fmt.Sprintf("\t%s %q", word, path.Join("astro", in)))
	k.tests = append(k.tests, fmt.Sprintf("func TestKit_%s(t *testing.T) { suite(t, %q, %s.KitTests) }", word, pkg, word))
	return k.generate(path.Join(in, "kit_list.go"), text+"}\n")
}

// generate writes a file that the compiler sees at a place in the tree.
func (k *kit) generate(at, text string) error {
	file := filepath.Join(k.dir, strings.ReplaceAll(at, "/", "_"))
	k.replace[filepath.Join(k.root, at)] = file
	return os.WriteFile(file, []byte(text), 0o644)
}
