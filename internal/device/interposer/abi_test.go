package interposer

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// abi.h says what go-xla's copy of PJRT's header says: the index of each function, and the fields of each argument struct in order.
func TestABIEqualsHeader(t *testing.T) {
	ours, theirs := read(t, "abi.h"), header(t)
	functions := map[string]int{}
	for i, f := range regexp.MustCompile(`_PJRT_API_STRUCT_FIELD\(PJRT_(\w+)\);`).FindAllStringSubmatch(theirs, -1) {
		functions[f[1]] = i
	}
	indices := regexp.MustCompile(`FN_(\w+) = (\d+)`).FindAllStringSubmatch(ours, -1)
	for _, f := range indices {
		want, known := functions[f[1]]
		if got, _ := strconv.Atoi(f[2]); !known || got != want {
			t.Errorf("function %s has index %d here; go-xla's header says %d (known: %t)", f[1], got, want, known)
		}
	}
	structs := 0
	for _, s := range regexp.MustCompile(`(?s)typedef struct \{\s*HEAD([^{}]*(?:\{[^{}]*\}[^{}]*)?)\} (\w+_Args);`).FindAllStringSubmatch(ours, -1) {
		structs++
		got, want := fields(s[1]), fields(body(theirs, "PJRT_"+s[2]))
		want = want[:min(len(got), len(want))] // structs only grow, and ours may be shorter
		if strings.Join(got, " ") != strings.Join(want, " ") || len(got) == 0 {
			t.Errorf("%s has the fields %v here; go-xla's header says %v", s[2], got, want)
		}
	}
	if len(indices) < 16 || structs < 14 {
		t.Errorf("%d functions and %d structs were compared; abi.h has more: the test does not read it right", len(indices), structs)
	}
}

// header is pjrt_c_api.h of the module that is linked.
func header(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gomlx/go-xla").Output()
	if err != nil {
		t.Skipf("go list does not say where go-xla's sources are: %v", err)
	}
	return read(t, filepath.Join(strings.TrimSpace(string(dir)), "pjrt", "pjrt_c_api.h"))
}

// read gives a file of C without its comments.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`//[^\n]*`).ReplaceAllString(string(text), "")
}

// body is what stands between the braces of a struct.
func body(header, name string) string {
	_, after, _ := strings.Cut(header, "struct "+name+" {")
	inside, _, _ := strings.Cut(after, "\n};")
	return inside
}

// fields names the fields of a struct in order, without those that every one begins with; (*f)(...) is a field f.
func fields(body string) (names []string) {
	body = regexp.MustCompile(`\(\*(\w+)\)\([^)]*\)`).ReplaceAllString(body, "$1")
	for _, declaration := range strings.Split(body, ";") {
		for _, part := range strings.Split(declaration, ",") {
			name := regexp.MustCompile(`(\w+)\s*$`).FindString(strings.TrimSpace(part))
			if name != "" && name != "struct_size" && name != "extension_start" {
				names = append(names, name)
			}
		}
	}
	return names
}
