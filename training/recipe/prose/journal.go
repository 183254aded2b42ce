package prose

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"astro/training/linearize"
)

// journalFormat is the number in every line; docs/formats/trace.md.
const journalFormat = 1

// maxJournalBytes bounds a journal: it is held in memory.
const maxJournalBytes = 4 << 30

// Journal remembers what a model said. What stands in it is not asked again, so that a run which was stopped goes on where it was, and
// the same run gives the same traces although a model may not say the same thing twice.
type Journal struct {
	model linearize.Completer
	name  string // of the model: replies of another are not used
	file  *os.File

	mu      sync.Mutex
	replies map[string]string
	kept    int // of them read from the file
}

// entry is one line.
type entry struct {
	Format int    `json:"format"`
	Key    string `json:"key"`
	Reply  string `json:"reply"`
}

// OpenJournal makes a journal or goes on with one. A last line that a crash left torn is cut off. One process at a time may hold it.
func OpenJournal(path, name string, model linearize.Completer) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	j := &Journal{model: model, name: name, file: f, replies: map[string]string{}}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another process is writing to %s: wait for it, or choose another folder", path)
	}
	if err := j.load(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

// load reads the lines and cuts what is torn.
func (j *Journal) load() error {
	data, err := io.ReadAll(io.LimitReader(j.file, maxJournalBytes+1))
	if err != nil {
		return err
	}
	if len(data) > maxJournalBytes {
		return fmt.Errorf("the journal has more than %d bytes", maxJournalBytes)
	}
	whole := 0
	for n := 1; whole < len(data); n++ {
		text, _, ended := bytes.Cut(data[whole:], []byte("\n"))
		var e entry
		if err := json.Unmarshal(text, &e); !ended {
			break
		} else if err != nil || e.Format != journalFormat {
			return fmt.Errorf("line %d is no reply of format %d: delete it, or the file", n, journalFormat)
		}
		j.replies[e.Key] = e.Reply
		whole += len(text) + 1
	}
	j.kept = len(j.replies)
	if err := j.file.Truncate(int64(whole)); err != nil {
		return err
	}
	_, err = j.file.Seek(int64(whole), io.SeekStart)
	return err
}

// Kept is how many replies were there when the journal was opened.
func (j *Journal) Kept() int { return j.kept }

// Complete takes the reply from the journal, or asks and writes it down.
func (j *Journal) Complete(ctx context.Context, r linearize.Request) (string, error) {
	key := j.key(r)
	j.mu.Lock()
	reply, known := j.replies[key]
	j.mu.Unlock()
	if known {
		return reply, nil
	}
	reply, err := j.model.Complete(ctx, r)
	if err != nil {
		return "", err
	}
	return reply, j.keep(key, reply)
}

func (j *Journal) keep(key, reply string) error {
	text, err := json.Marshal(entry{journalFormat, key, reply})
	if err != nil {
		panic("BUG: a reply is no JSON: " + err.Error())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.replies[key] = reply
	if _, err := j.file.Write(append(text, '\n')); err != nil {
		return &HopelessError{fmt.Errorf("keep a reply: %w", err)}
	}
	return nil
}

// key names a request to this model.
func (j *Journal) key(r linearize.Request) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q %g %d %d", j.name, r.Prompt, r.Temperature, r.Seed, r.MaxTokens))
	return hex.EncodeToString(h[:])
}

// Close lets other processes in.
func (j *Journal) Close() error { return j.file.Close() }

// Guard ends a run when its model is gone: after one hopeless error, or after so many others in a row.
type Guard struct {
	Model linearize.Completer
	Limit int               // errors in a row
	Stop  func(cause error) // called at most once

	mu      sync.Mutex
	failed  int
	stopped bool
}

// Complete asks the model.
func (g *Guard) Complete(ctx context.Context, r linearize.Request) (string, error) {
	reply, err := g.Model.Complete(ctx, r)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil || ctx.Err() != nil {
		g.failed = 0
		return reply, err
	}
	g.failed++
	var hopeless *HopelessError
	if (errors.As(err, &hopeless) || g.failed >= g.Limit) && !g.stopped {
		g.stopped = true
		g.Stop(fmt.Errorf("the model failed %d times in a row, run again to go on: %w", g.failed, err))
	}
	return reply, err
}
