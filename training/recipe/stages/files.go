package stages

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"astro/internal/smallfile"
)

// maxJSONBytes bounds what is read as a seal, and every other JSON file of ours.
const maxJSONBytes = 1 << 28

// WriteJSON writes a file of indented JSON, which appears whole or not at all.
func WriteJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return WriteWhole(path, append(text, '\n'))
}

// WriteWhole writes a file beside its place and renames it.
func WriteWhole(path string, text []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, text, 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// WriteTexts writes files of a folder by their names.
func WriteTexts(dir string, files map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := WriteWhole(filepath.Join(dir, name), []byte(files[name])); err != nil {
			return err
		}
	}
	return nil
}

// ReadJSON reads a file of JSON; fs.ErrNotExist where there is none.
func ReadJSON(path string, into any) error {
	text, err := smallfile.Read(path, maxJSONBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// CopyFiles copies files of one folder to another.
func CopyFiles(to, from string, names ...string) error {
	for _, name := range names {
		if err := copyFile(filepath.Join(to, name), filepath.Join(from, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
