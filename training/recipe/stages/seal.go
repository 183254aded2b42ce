package stages

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"astro/training/checkpoint"
)

// SealName is the file that every sealed folder has.
const SealName = "stage.json"

// claimName is the file that every unfinished folder has.
const claimName = "settings"

// Sealed is stage.json.
type Sealed struct {
	Stage    Name            `json:"stage"`
	Mark     string          `json:"fingerprint"` // of its settings and of the stages that it was made from
	Settings any             `json:"settings"`
	Seconds  float64         `json:"seconds"` // in the process that finished it
	Note     string          `json:"note"`    // the figures in words
	Figures  json.RawMessage `json:"figures"`
}

// fingerprint is of anything that JSON can say.
func fingerprint(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: settings are no JSON: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// seal writes a stage's folder, which appears whole or not at all.
func seal(dir string, s Sealed, figures any, fill func(dir string) error) error {
	err := checkpoint.Write(dir, func(dir string) error {
		if fill != nil {
			if err := fill(dir); err != nil {
				return err
			}
		}
		text, err := json.Marshal(figures)
		if err != nil {
			return err
		}
		s.Figures = text
		return WriteJSON(filepath.Join(dir, SealName), s)
	})
	if err != nil {
		return fmt.Errorf("cannot seal %s: %w", dir, err)
	}
	return nil
}

// Seal reads the seal of a stage; nil = it is not there.
func (f Folder) Seal(s Name) (*Sealed, error) {
	var was Sealed
	err := ReadJSON(filepath.Join(f.Path(s), SealName), &was)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &was, nil
}

// Note is the figures of a stage in words.
type Note struct {
	Stage   Name    `json:"stage"`
	Note    string  `json:"note"`
	Seconds float64 `json:"seconds"` // in the process that finished it
}

// Notes are those of the given stages that are there.
func (f Folder) Notes(names []Name) (all []Note, err error) {
	for _, name := range names {
		was, err := f.Seal(name)
		if err != nil {
			return nil, err
		}
		if was != nil {
			all = append(all, Note{was.Stage, was.Note, was.Seconds})
		}
	}
	return all, nil
}

// Figures reads what a sealed stage kept; that it is not there is an error.
func (f Folder) Figures(s Name, into any) error {
	was, err := f.Seal(s)
	if err != nil {
		return err
	}
	if was == nil {
		return fmt.Errorf("the stage %s is not there", s)
	}
	return json.Unmarshal(was.Figures, into)
}

// claim notes whose unfinished work a folder is. Work that was begun with other settings is dropped: it is of no use.
func claim(part, mark string) error {
	path := filepath.Join(part, claimName)
	if text, err := os.ReadFile(path); err == nil && string(text) == mark {
		return nil
	}
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(mark), 0o644)
}

// stopwatch measures for people to read; nothing is decided by it.
type stopwatch time.Time

func now() stopwatch { return stopwatch(time.Now()) }

func (s stopwatch) seconds() float64 { return time.Since(time.Time(s)).Seconds() }
