package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// repository reads this repository.
func repository(t *testing.T) (root string, tree *Tree) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = Load(root); err != nil {
		t.Fatal(err)
	}
	return root, tree
}

func wantNone(t *testing.T, found []Finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

// R15 and R10: nothing that is read can become code, and nothing that a model wrote reaches a shell, a template or a query.
func TestSec_R15NoCodeInData(t *testing.T) {
	_, tree := repository(t)
	wantNone(t, checkData(tree))
}

// R29: the folders that know the time and draw by chance are few, and listed with the reason.
func TestSec_R29ClockAndChance(t *testing.T) {
	_, tree := repository(t)
	wantNone(t, append(append(checkClock(tree), checkChance(tree)...), checkCore(tree)...))
}

// R21: every module is pinned by version and checksum, from one source, and none is replaced.
func TestSec_R21ModulesArePinned(t *testing.T) {
	root, _ := repository(t)
	mod, sum := text(t, root, "go.mod"), text(t, root, "go.sum")
	if found := regexp.MustCompile(`(?m)^\s*(replace|exclude|retract|tool)\b.*`).FindString(mod); found != "" {
		t.Errorf("go.mod has %q", found)
	}
	needs := regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) (v\S+)`).FindAllStringSubmatch(mod, -1)
	if len(needs) < 20 {
		t.Fatalf("only %d modules were found in go.mod", len(needs))
	}
	for _, m := range needs {
		for _, of := range []string{"", "/go.mod"} {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(m[1]+" "+m[2]+of) + ` h1:[A-Za-z0-9+/]{43}=$`).MatchString(sum) {
				t.Errorf("go.sum has no checksum of %s %s%s", m[1], m[2], of)
			}
		}
	}
	for _, dir := range []string{"vendor", "go.work", "third_party"} {
		if _, err := os.Stat(filepath.Join(root, dir)); err == nil {
			t.Errorf("there is %s: a second source of modules", dir)
		}
	}
}

// fetches are ways to get something over a network, each with what must stand in the same file to pin it.
var fetches = []struct{ what, pinned string }{
	{`\bcurl\b[^|\n]*\|\s*(ba)?sh`, `never`}, {`(?m)^[^#\n]*\b(wget|curl -[A-Za-z]*[oO])\b`, `never`}, {`\bcargo build\b`, `cargo build[^\n]*--locked`}, {`\bcargo install\b`, `never`}, {`\bgo install \S+@`, `never`}, {`-mod=mod\b`, `never`},
	{`\bpip(3)?"?,? "?(install|download)\b`, `--require-hashes|\$got == "\$want"|"-r", str\(wanted\)|install [a-z-]+==\d`}, {`\bnpm (install|i)\b`, `never`}, {`\b(GONOSUMDB|GONOSUMCHECK|GOFLAGS=-insecure|GOINSECURE)\b`, `never`}, {`--(trusted-host|extra-index-url|index-url)\b`, `never`},
}

// R21: what scripts, the Makefile and the image fetch is pinned by a checksum, a lock file or a tag; what only tests use, by version.
func TestSec_R21FetchesArePinned(t *testing.T) {
	root, tree := repository(t)
	for name, content := range tree.Texts {
		if strings.HasPrefix(filepath.Base(name), "requirements-") {
			for _, line := range strings.Split(strings.TrimSpace(content), "\n") {
				if !regexp.MustCompile(`^(#.*|[A-Za-z0-9._\[\]-]+==[A-Za-z0-9.]+( .*)?)?$`).MatchString(line) {
					t.Errorf("%s: %q has no version", name, line)
				}
			}
		}
		if name != "Makefile" && name != "Dockerfile" && !strings.HasPrefix(name, "scripts/") && !strings.HasPrefix(name, ".ci/") || strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".json") {
			continue
		}
		for _, f := range fetches {
			if found := regexp.MustCompile(f.what).FindString(content); found != "" && !regexp.MustCompile(f.pinned).MatchString(content) {
				t.Errorf("%s: %q is not pinned: want %s", name, found, f.pinned)
			}
		}
	}
	from := regexp.MustCompile(`(?m)^FROM (\S+)(?: AS (\S+))?`).FindAllStringSubmatch(text(t, root, "Dockerfile"), -1)
	stages := map[string]bool{}
	for _, image := range from {
		stages[image[2]] = true
		if stages[image[1]] {
			continue
		}
		if _, tag, ok := strings.Cut(image[1], ":"); !ok || tag == "latest" {
			t.Errorf("the image %s has no tag", image[1])
		}
	}
	if adds := regexp.MustCompile(`(?m)^ADD .*|^COPY --from=[^br].*`).FindString(text(t, root, "Dockerfile")); adds != "" || len(from) == 0 {
		t.Errorf("the Dockerfile has %d base images and %q", len(from), adds)
	}
	lock := text(t, root, "scripts/libtokenizers/Cargo.lock")
	if sources, sums := strings.Count(lock, "\nsource = "), strings.Count(lock, "\nchecksum = "); sources != sums || sums < 20 {
		t.Errorf("Cargo.lock has %d sources and %d checksums", sources, sums)
	}
}

// R21: no library or program is in the repository; the demo models hold weights and text.
func TestSec_R21NoBinaries(t *testing.T) {
	root, _ := repository(t)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if err != nil || entry.IsDir() && ignored(filepath.ToSlash(rel)) {
			return filepath.SkipDir
		}
		if !entry.IsDir() && regexp.MustCompile(`\.(so|a|o|dll|dylib|exe|whl|jar|pkl|pt|pth|bin|pyc)$`).MatchString(rel) {
			t.Errorf("%s is in the repository", rel)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func text(t *testing.T, root, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
