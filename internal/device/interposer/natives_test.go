package interposer

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

// handler stands for a native function: the plugins of testdata look at its value.
var handler int32 = 42

// Both forms of a registration reach plugins that take one of them, and what a plugin refuses is said in its words. Only a plugin
// that asked for more bytes is given the longer form, which another would misread.
func TestRegisterNatives(t *testing.T) {
	for _, c := range []struct{ flags, err, natives string }{
		{"-DFORM=3", "", ""},
		{"-DFORM=2", "", ""},
		{"-DFORM=3 -DPLATFORM=CUDA", "", ""},
		{"-DFORM=2 -DPLATFORM=CUDA", "", ""},
		{"-DFORM=0", "", "has no FFI extension"},
		{"-DFORM=3 -DREFUSES", "register native function f_v1: registered already", ""},
		{"-DFORM=2 -DREFUSES", "register native function f_v1: registered already", ""},
	} {
		table, err := open(fakePlugin(t, strings.Fields(c.flags)), 0)
		if err != nil {
			t.Fatal(err)
		}
		platform := "Host"
		if strings.Contains(c.flags, "CUDA") {
			platform = "CUDA"
		}
		r := &registered{Config: Config{Platform: platform, Natives: map[string]unsafe.Pointer{"f_v1": unsafe.Pointer(&handler)}}}
		if err := r.registerNatives(table); !says(err, c.err) || !says(r.natives, c.natives) {
			t.Errorf("%s: got error %v and natives %v; want %q and %q", c.flags, err, r.natives, c.err, c.natives)
		}
	}
}

func TestNativesOfUnknownPlugin(t *testing.T) {
	if err := Natives("none"); !says(err, "not registered") {
		t.Errorf("got %v; want an error", err)
	}
}

// says compares an error with a part of its text; "" is no error.
func says(err error, want string) bool {
	return (err == nil) == (want == "") && (err == nil || strings.Contains(err.Error(), want))
}

// fakePlugin compiles testdata/plugin.c.
func fakePlugin(t *testing.T, flags []string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin.so")
	args := append(flags, "-shared", "-fPIC", "-o", path, filepath.Join("testdata", "plugin.c"))
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Skipf("no C compiler cc for the test's plugins: %v: %s", err, out)
	}
	return path
}
