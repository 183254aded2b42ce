package stages

import (
	"fmt"
	"os"
	"path/filepath"

	"astro/training/checkpoint"
)

// take takes a stage over from another folder, if it is sealed there with the very fingerprint that is wanted. What was begun here is
// dropped then.
func (f Folder) take(s Name, mark string) (bool, error) {
	if f.From == "" {
		return false, nil
	}
	from := Folder{Dir: f.From}
	was, err := from.Seal(s)
	if err != nil || was == nil || was.Mark != mark {
		return false, err
	}
	if err := checkpoint.Write(f.Path(s), func(dir string) error { return linkFiles(dir, from.Path(s)) }); err != nil {
		return false, fmt.Errorf("take %s over: %w", from.Path(s), err)
	}
	f.tell(Event{Stage: s, Skipped: true, End: true, Note: fmt.Sprintf("%s (from %s)", was.Note, f.From)})
	return true, os.RemoveAll(f.Path(s) + ".part")
}

// linkFiles gives all files of one folder a second name in another; where that cannot be, they are copied. Sealed files are never
// written again.
func linkFiles(to, from string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, file := range files {
		if os.Link(filepath.Join(from, file.Name()), filepath.Join(to, file.Name())) == nil {
			continue
		}
		if err := CopyFiles(to, from, file.Name()); err != nil {
			return err
		}
	}
	return nil
}
