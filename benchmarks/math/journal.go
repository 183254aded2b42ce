package math

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Files of a run's folder.
const (
	samplesFile  = "samples.jsonl"
	settingsFile = "run.json"
	lockFile     = "lock"
	summaryFile  = "summary" // with .json, .md and .txt
)

// journal is the samples of a run on disk. Lines are only appended, each with one write, until finish puts them in order.
type journal struct {
	dir  string
	file *os.File
	lock *os.File
}

// openJournal opens the samples in a folder, which it makes, and returns what is there. A last line that a crash left torn is
// cut off; its sample will be asked again. cut says how many bytes that were. One process at a time may hold a journal.
func openJournal(dir string) (j *journal, samples []Sample, cut int, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, 0, fmt.Errorf("make the folder of the run: %w", err)
	}
	j = &journal{dir: dir}
	defer func() {
		if err != nil {
			j.close()
			j = nil
		}
	}()
	if j.lock, err = takeLock(filepath.Join(dir, lockFile)); err != nil {
		return j, nil, 0, err
	}
	if j.file, err = os.OpenFile(j.path(), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return j, nil, 0, fmt.Errorf("open the samples: %w", err)
	}
	data, err := io.ReadAll(j.file)
	if err != nil {
		return j, nil, 0, fmt.Errorf("read %s: %w", j.path(), err)
	}
	samples, whole, err := parseSamples(data)
	if err != nil {
		return j, nil, 0, fmt.Errorf("%s: %w", j.path(), err)
	}
	return j, samples, len(data) - whole, j.repair(data, whole)
}

func (j *journal) path() string { return filepath.Join(j.dir, samplesFile) }

// takeLock keeps a second process out until the file is closed, by whatever end of the process.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the run: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another process is writing to %s: wait for it, or choose another --out", filepath.Dir(path))
	}
	return f, nil
}

// parseSamples reads lines; whole is the length of those that are in order. Only the last line may be torn: anything else
// was not left by a crash of this program.
func parseSamples(data []byte) (samples []Sample, whole int, err error) {
	for n := 1; whole < len(data); n++ {
		line, _, ended := bytes.Cut(data[whole:], []byte("\n"))
		var s Sample
		if err := json.Unmarshal(line, &s); err != nil || s.ID == "" {
			if ended && whole+len(line)+1 < len(data) {
				return nil, 0, fmt.Errorf("line %d is no sample of a run: repair or delete it", n)
			}
			return samples, whole, nil
		}
		samples = append(samples, s)
		whole += len(line)
		if ended {
			whole++
		}
	}
	return samples, whole, nil
}

// repair cuts what is torn, ends a last line that is whole but for its end, and goes to the end of the file.
func (j *journal) repair(data []byte, whole int) error {
	if err := j.file.Truncate(int64(whole)); err != nil {
		return fmt.Errorf("cut the torn line of %s: %w", j.path(), err)
	}
	if _, err := j.file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("go to the end of %s: %w", j.path(), err)
	}
	if whole > 0 && data[whole-1] != '\n' {
		if _, err := j.file.Write([]byte("\n")); err != nil {
			return fmt.Errorf("end the last line of %s: %w", j.path(), err)
		}
	}
	return nil
}

// append adds a sample. It survives the end of this process; the end of the machine may take the last ones, which a resumed
// run asks again.
func (j *journal) append(s *Sample) error {
	if _, err := j.file.Write(s.line()); err != nil {
		return fmt.Errorf("keep a sample in %s: %w", j.path(), err)
	}
	return nil
}

// line is the sample's JSON with the end of its line.
func (s *Sample) line() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("BUG: got a sample that has no JSON form (" + err.Error() + "); want plain fields")
	}
	return b.Bytes()
}

// finish replaces the file by the samples in the given order.
func (j *journal) finish(ordered []Sample) error {
	var b bytes.Buffer
	for i := range ordered {
		b.Write(ordered[i].line())
	}
	return replaceFile(j.path(), b.Bytes())
}

// close lets other processes in. It may be called after a failed open.
func (j *journal) close() error {
	var err error
	if j.file != nil {
		err = j.file.Close()
	}
	if j.lock != nil {
		err = errors.Join(err, j.lock.Close())
	}
	return err
}

// replaceFile writes a file whole or not at all, even when the machine fails.
func replaceFile(path string, data []byte) error {
	next := path + ".next"
	if err := writeSynced(next, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
