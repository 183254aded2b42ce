package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"astro/training/checkpoint"
)

// Names of the files that every sealed folder and every unfinished one has.
const (
	sealName  = "stage.json"
	claimName = "settings"
)

// maxSealBytes bounds what is read as a seal, and every other JSON file of ours.
const maxSealBytes = 1 << 28

// sealed is stage.json.
type sealed struct {
	Stage    Stage           `json:"stage"`
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
func seal(dir string, s sealed, figures any, fill func(dir string) error) error {
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
		return writeJSON(filepath.Join(dir, sealName), s)
	})
	if err != nil {
		return fmt.Errorf("cannot seal %s: %w", dir, err)
	}
	return nil
}

// readSeal reads the seal of a folder; nil = there is no such folder.
func readSeal(dir string) (*sealed, error) {
	var s sealed
	err := readJSON(filepath.Join(dir, sealName), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// figures reads what a sealed stage kept.
func (p *Pipeline) figures(s Stage, into any) error {
	seal, err := readSeal(p.folder(s))
	if err != nil {
		return err
	}
	if seal == nil {
		return fmt.Errorf("the stage %s is not there", s)
	}
	return json.Unmarshal(seal.Figures, into)
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

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeWhole(path, append(text, '\n'))
}

// writeWhole writes a file beside its place and renames it.
func writeWhole(path string, text []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, text, 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func readJSON(path string, into any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxSealBytes {
		return fmt.Errorf("%s has %d bytes; the limit is %d", path, info.Size(), maxSealBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// copyFiles copies files of one folder to another.
func copyFiles(to, from string, names ...string) error {
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

// stopwatch measures for people to read; nothing is decided by it.
type stopwatch time.Time

func now() stopwatch { return stopwatch(time.Now()) }

func (s stopwatch) seconds() float64 { return time.Since(time.Time(s)).Seconds() }
