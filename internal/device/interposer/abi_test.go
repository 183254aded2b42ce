package interposer

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// abi.h agrees with go-xla's own header: indices of functions, sizes of argument structs, places of their fields.
func TestABI(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gomlx/go-xla").Output()
	if err != nil {
		t.Fatalf("find go-xla's header: %v", err)
	}
	headers := filepath.Join(strings.TrimSpace(string(dir)), "pjrt")
	if out, err := exec.Command("cc", "-fsyntax-only", "-I", headers, filepath.Join("testdata", "abi.c")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
