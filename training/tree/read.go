package tree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// Read yields the Trees of a file in order, and last the error that ended it, if one did. A Tree is the caller's.
func Read(path string) iter.Seq2[*Tree, error] {
	return func(yield func(*Tree, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(nil, fmt.Errorf("read trees: %w", err))
			return
		}
		defer f.Close()
		ids := map[string]bool{}
		for l, err := range lines(f) {
			var t *Tree
			if err == nil {
				t, err = Decode(l.text)
			}
			switch {
			case err != nil && l.last:
				err = fmt.Errorf("%w; if a search was cut off while it wrote, run it again to repair the file", err)
			case err == nil && ids[t.ID]:
				err = fmt.Errorf("the tree %q is there twice", t.ID)
			}
			if err != nil {
				yield(nil, fmt.Errorf("%s: line %d: %w", path, l.number, err))
				return
			}
			ids[t.ID] = true
			if !yield(t, nil) {
				return
			}
		}
	}
}

// rawLine is a line of a file.
type rawLine struct {
	number int   // from 1
	start  int64 // offset of its first byte
	text   []byte
	last   bool // it is not ended: the file stops within it
}

// lines cuts a file into lines, the text of each valid until the next one. A line above the limit is an error.
func lines(r io.Reader) iter.Seq2[rawLine, error] {
	return func(yield func(rawLine, error) bool) {
		buffered := bufio.NewReaderSize(r, 1<<16)
		l := rawLine{number: 1}
		for {
			part, err := buffered.ReadSlice('\n')
			l.text = append(l.text, part...)
			switch {
			case len(l.text) > MaxLineBytes:
				yield(l, fmt.Errorf("it has more than %d bytes", MaxLineBytes))
				return
			case errors.Is(err, bufio.ErrBufferFull):
				continue
			case errors.Is(err, io.EOF):
				if l.last = true; len(l.text) > 0 {
					yield(l, nil)
				}
				return
			case err != nil:
				yield(l, err)
				return
			}
			if !yield(l, nil) {
				return
			}
			l = rawLine{number: l.number + 1, start: l.start + int64(len(l.text)), text: l.text[:0]}
		}
	}
}
