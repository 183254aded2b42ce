package recipe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"astro/training/linearize"
	"astro/training/tree"
)

// Linearize turns a file of trees into files of traces: search.jsonl, direct.jsonl (with Direct) and report.json in Dir. Files appear
// whole or not at all, with the traces in the order of the trees, however many are written at a time.
type Linearize struct {
	Trees   string
	Dir     string
	Options linearize.Options
	Domain  linearize.Domain
	Direct  bool
	Workers int // trees at a time; more than one pays where a model writes
}

// Names of the files.
const (
	SearchTraces = "search.jsonl"
	DirectTraces = "direct.jsonl"
	TraceReport  = "report.json"
)

// treeTraces is what one tree gives.
type treeTraces struct {
	arms   linearize.Arms
	report linearize.Report
	err    error
}

// Run does it. progress, which may be nil, is called after every tree. An error leaves the files of an earlier run as they were.
func (l Linearize) Run(ctx context.Context, progress func(linearize.Report)) (total linearize.Report, err error) {
	if err := l.Options.Validate(); err != nil {
		return total, err
	}
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return total, fmt.Errorf("make the folder of the traces: %w", err)
	}
	out, err := l.open()
	if err != nil {
		return total, err
	}
	defer out.drop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for done := range l.trees(ctx) {
		t := <-done
		if t.err != nil {
			return total, t.err
		}
		total.Add(t.report)
		if err := out.write(t.arms); err != nil {
			return total, err
		}
		if progress != nil {
			progress(total)
		}
	}
	if ctx.Err() != nil {
		return total, context.Cause(ctx)
	}
	return total, out.finish(total)
}

// trees linearises the trees side by side and gives their results in order. It ends early when ctx does.
func (l Linearize) trees(ctx context.Context) <-chan chan treeTraces {
	ordered := make(chan chan treeTraces, max(1, l.Workers)-1) // with the one that is waited for, so many are under way
	go func() {
		defer close(ordered)
		for t, err := range tree.Read(l.Trees) {
			done := make(chan treeTraces, 1)
			select {
			case ordered <- done:
			case <-ctx.Done():
				return
			}
			if err != nil {
				done <- treeTraces{err: err}
				return
			}
			go func() {
				arms, report, err := l.Options.Linearize(ctx, l.Domain, t)
				done <- treeTraces{arms, report, err}
			}()
		}
	}()
	return ordered
}

// traceFiles are the files in the making.
type traceFiles struct {
	dir            string
	search, direct *nextFile // direct may be nil
}

func (l Linearize) open() (*traceFiles, error) {
	f := &traceFiles{dir: l.Dir}
	var err error
	if f.search, err = openNext(filepath.Join(l.Dir, SearchTraces)); err != nil {
		return nil, err
	}
	if l.Direct {
		if f.direct, err = openNext(filepath.Join(l.Dir, DirectTraces)); err != nil {
			f.drop()
			return nil, err
		}
	}
	return f, nil
}

func (f *traceFiles) write(a linearize.Arms) error {
	for i := range a.Search {
		if err := a.Search[i].Write(f.search.buffer); err != nil {
			return err
		}
		if f.direct != nil {
			if err := a.Direct[i].Write(f.direct.buffer); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish puts all files in their places.
func (f *traceFiles) finish(total linearize.Report) error {
	report, err := openNext(filepath.Join(f.dir, TraceReport))
	if err != nil {
		return err
	}
	defer report.drop()
	e := json.NewEncoder(report.buffer)
	e.SetIndent("", "  ")
	if err := e.Encode(total); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if f.direct == nil { // one of an earlier run would not be of these search traces
		if err := os.Remove(filepath.Join(f.dir, DirectTraces)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the direct traces of an earlier run: %w", err)
		}
	}
	for _, file := range []*nextFile{f.search, f.direct, report} {
		if file != nil {
			if err := file.finish(); err != nil {
				return err
			}
		}
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (f *traceFiles) drop() {
	f.search.drop()
	if f.direct != nil {
		f.direct.drop()
	}
}

// nextFile is written beside its place and renamed.
type nextFile struct {
	path   string
	file   *os.File
	buffer *bufio.Writer
}

func openNext(path string) (*nextFile, error) {
	file, err := os.Create(path + ".next")
	if err != nil {
		return nil, fmt.Errorf("write traces: %w", err)
	}
	return &nextFile{path, file, bufio.NewWriterSize(file, 1<<16)}, nil
}

func (n *nextFile) finish() error {
	if err := errors.Join(n.buffer.Flush(), n.file.Sync()); err != nil {
		return fmt.Errorf("write %s: %w", n.path, err)
	}
	return os.Rename(n.path+".next", n.path)
}

// drop closes the file, and removes it if it was not finished.
func (n *nextFile) drop() {
	n.file.Close()
	os.Remove(n.path + ".next") // after finish there is none
}
