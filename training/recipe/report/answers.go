package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"astro/training/recipe/stages"
)

// FileName is the file of an arm's answers.
func FileName(arm stages.Name) string { return string(arm) + ".json" }

// Kept is an arm's answers: those that are in dir, or else new ones, which are kept there.
func Kept(dir string, arm stages.Name, ask func() ([]Answered, error)) (all []Answered, err error) {
	path := filepath.Join(dir, FileName(arm))
	if err := stages.ReadJSON(path, &all); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return all, err
	}
	if all, err = ask(); err != nil {
		return nil, err
	}
	return all, stages.WriteJSON(path, all)
}

// Graphs draws answers that went back and were right in the end, one of a problem and at most limit of them, into files of dir, whose
// names it gives. draw gives what writes the picture of an answer.
func Graphs(dir string, all []Answered, limit int, draw func(Answered, Answer) (func(io.Writer) error, error)) (names []string, err error) {
	for _, a := range all {
		for _, x := range a.Answers {
			if len(names) == limit {
				return names, nil
			}
			if !x.Correct || x.Returns == 0 {
				continue
			}
			write, err := draw(a, x)
			if err != nil {
				return nil, err
			}
			name := fmt.Sprintf("graph-%d.svg", len(names)+1)
			if err := writeFile(filepath.Join(dir, name), write); err != nil {
				return nil, err
			}
			names = append(names, name)
			break
		}
	}
	return names, nil
}

// writeFile writes a file through a function.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
