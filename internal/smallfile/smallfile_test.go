package smallfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("file"), []byte("12345"), 0o600), os.Symlink(at("file"), at("link")), os.Symlink("/dev/zero", at("device")),
		os.Mkdir(at("folder"), 0o700), os.Symlink(at("loop"), at("loop")), syscall.Mkfifo(at("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "link"} {
		if text, err := Read(at(name), 5); err != nil || string(text) != "12345" {
			t.Errorf("%s: got %q, %v", name, text, err)
		}
	}
	for name, want := range map[string]string{"pipe": "not a regular file", "device": "not a regular file", "folder": "not a regular file", "loop": "symbolic links", "file": "more than 4 bytes"} {
		if text, err := Read(at(name), 4); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), at(name)) {
			t.Errorf("%s: got %q, %v; want an error with its path and %q", name, text, err, want)
		}
	}
	if _, err := Read(at("none"), 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v; want fs.ErrNotExist", err)
	}
}
