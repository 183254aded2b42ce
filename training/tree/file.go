package tree

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// File is a file of Trees that grows: whole lines are appended, and Finish puts them in order. It is for one goroutine, and one
// process at a time may hold it.
type File struct {
	path  string
	file  *os.File
	spans map[string]span // of each Tree's line, by ID
	ids   []string        // in the order of the file
	end   int64           // length of the file
}

type span struct{ start, length int64 }

// Open makes a file or goes on with one that is there. What was cut off in its last line is removed: cutBytes says how much. visit,
// which may be nil, gets every Tree of the file and may refuse to go on. Anything else that is no Tree is an error, for no crash of
// this program leaves it.
func Open(path string, visit func(*Tree) error) (f *File, cutBytes int64, err error) {
	f = &File{path: path, spans: map[string]span{}}
	if err := f.hold(); err != nil {
		return nil, 0, err
	}
	cutBytes, err = f.load(visit)
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return f, cutBytes, nil
}

// hold opens the file and keeps other processes out until it is closed, by whatever end of this one.
func (f *File) hold() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("open the trees: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return fmt.Errorf("another process is writing to %s: wait for it, or choose another file", f.path)
	}
	mine, err := file.Stat()
	there, err2 := os.Stat(f.path)
	if err = errors.Join(err, err2); err != nil || !os.SameFile(mine, there) { // Finish of another process came in between
		file.Close()
		return errors.Join(fmt.Errorf("%s was replaced by another process: try again", f.path), err)
	}
	f.file = file
	return nil
}

// load reads what is there and repairs the end of the last line.
func (f *File) load(visit func(*Tree) error) (cut int64, err error) {
	open := false // the last line is whole but for its end
	for l, err := range lines(f.file) {
		var t *Tree
		if err == nil {
			t, err = Decode(l.text)
		}
		if err != nil && l.last && torn(l.text) {
			cut = int64(len(l.text))
			break
		}
		if err == nil && f.has(t.ID) {
			err = fmt.Errorf("the tree %q is there twice", t.ID)
		}
		if err == nil && visit != nil {
			err = visit(t)
		}
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", l.number, err)
		}
		open = l.last
		f.add(t.ID, int64(len(l.text)))
	}
	return cut, f.repair(open)
}

// torn says that a text may be the beginning of a line that this program wrote, or the zeros that a machine's end leaves for it.
// A file of another kind is not cut.
func torn(text []byte) bool {
	begin := []byte(`{"format":`)
	text = bytes.TrimRight(text, "\x00")
	n := min(len(text), len(begin))
	return bytes.Equal(text[:n], begin[:n]) && !json.Valid(text)
}

func (f *File) has(id string) bool { _, ok := f.spans[id]; return ok }

// add counts a line that ends the file now.
func (f *File) add(id string, length int64) {
	f.spans[id] = span{f.end, length}
	f.ids = append(f.ids, id)
	f.end += length
}

// repair cuts what is torn and ends a last line that lacks only that.
func (f *File) repair(open bool) error {
	if err := f.file.Truncate(f.end); err != nil {
		return fmt.Errorf("cut the torn line: %w", err)
	}
	if _, err := f.file.Seek(f.end, io.SeekStart); err != nil {
		return err
	}
	if !open {
		return nil
	}
	if _, err := f.file.Write([]byte("\n")); err != nil {
		return fmt.Errorf("end the last line: %w", err)
	}
	last := f.ids[len(f.ids)-1]
	f.spans[last] = span{f.spans[last].start, f.spans[last].length + 1}
	f.end++
	return nil
}

// Has says whether the Tree of a problem is in the file.
func (f *File) Has(id string) bool { return f.has(id) }

// Len is the number of Trees.
func (f *File) Len() int { return len(f.ids) }

// Append adds a Tree. It survives the end of this process; the end of the machine may take the last ones, which are searched again.
// A Tree that is refused (not valid, too large, there already) leaves the file as it was.
func (f *File) Append(t *Tree) error {
	if f.has(t.ID) {
		return fmt.Errorf("the tree %q is in %s already", t.ID, f.path)
	}
	text, err := Encode(t)
	if err != nil {
		return err
	}
	if _, err := f.file.Write(text); err != nil {
		return fmt.Errorf("keep a tree in %s: %w", f.path, errors.Join(err, f.repair(false)))
	}
	f.add(t.ID, int64(len(text)))
	return nil
}

// Finish puts the Trees in the order of the ids, others after them, and replaces the file whole or not at all, even when the machine
// fails. The same Trees then make the same bytes, in whatever order they were finished. Only Close comes after it.
func (f *File) Finish(ids []string) error {
	next := f.path + ".next"
	if err := f.writeOrdered(next, f.ordered(ids)); err != nil {
		return fmt.Errorf("write %s: %w", next, err)
	}
	if err := os.Rename(next, f.path); err != nil {
		return fmt.Errorf("finish the trees: %w", err)
	}
	dir, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return fmt.Errorf("finish the trees: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// ordered lists the lines as they are wanted.
func (f *File) ordered(ids []string) []span {
	taken, list := map[string]bool{}, make([]span, 0, len(f.ids))
	for _, wanted := range [][]string{ids, f.ids} {
		for _, id := range wanted {
			if f.has(id) && !taken[id] {
				taken[id] = true
				list = append(list, f.spans[id])
			}
		}
	}
	return list
}

func (f *File) writeOrdered(path string, list []span) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<16)
	for _, s := range list {
		if _, err := io.Copy(w, io.NewSectionReader(f.file, s.start, s.length)); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return errors.Join(w.Flush(), out.Sync(), out.Close())
}

// Close lets other processes in.
func (f *File) Close() error { return f.file.Close() }
