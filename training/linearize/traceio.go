package linearize

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// traceFormat is the number in every line; docs/formats/trace.md.
const traceFormat = 1

// MaxTraceLineBytes bounds a line of a file of traces.
const MaxTraceLineBytes = 16 << 20

// line is a Trace as it is written.
type line struct {
	Format     int       `json:"format"`
	ID         string    `json:"id"`
	Tree       string    `json:"tree"`
	Problem    string    `json:"problem"`
	Arm        Arm       `json:"arm"`
	Epoch      int       `json:"epoch"`
	K          int       `json:"k"`
	Backtracks int       `json:"backtracks"`
	Restarts   int       `json:"restarts"`
	Nodes      []int     `json:"nodes"`
	Answer     string    `json:"answer"`
	Prompt     int       `json:"prompt_tokens"`
	Tokens     []int32   `json:"tokens,omitempty"`
	Weights    []float32 `json:"weights,omitempty"`
	Text       string    `json:"text,omitempty"`
	Masked     [][2]int  `json:"masked,omitempty"`
}

// Write writes a Trace as one line.
func (t *Trace) Write(w io.Writer) error {
	if err := t.Validate(); err != nil {
		return fmt.Errorf("write a trace: %w", err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(line{traceFormat, t.ID, t.Tree, t.Problem, t.Arm, t.Epoch, t.K, t.K, t.Restarts, t.Nodes, t.Answer, t.Prompt, t.Tokens, t.Weights, t.Text, t.Masked})
	if err != nil {
		panic("BUG: a trace is no JSON: " + err.Error())
	}
	if b.Len() > MaxTraceLineBytes {
		return fmt.Errorf("write a trace: %s takes %d bytes; at most %d are read", t.ID, b.Len(), MaxTraceLineBytes)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write a trace: %w", err)
	}
	return nil
}

// Reader reads a file of traces.
type Reader struct {
	lines *bufio.Scanner
	at    int
}

// NewReader reads traces from r.
func NewReader(r io.Reader) *Reader {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1<<16), MaxTraceLineBytes)
	return &Reader{lines: s}
}

// Next is the next trace; io.EOF after the last one. An error names the line.
func (r *Reader) Next() (Trace, error) {
	for r.lines.Scan() {
		r.at++
		if text := bytes.TrimSpace(r.lines.Bytes()); len(text) > 0 {
			t, err := parseTrace(text)
			if err != nil {
				return Trace{}, fmt.Errorf("traces, line %d: %w", r.at, err)
			}
			return t, nil
		}
	}
	if err := r.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return Trace{}, fmt.Errorf("traces, line %d: longer than %d bytes", r.at+1, MaxTraceLineBytes)
	} else if err != nil {
		return Trace{}, fmt.Errorf("read the traces: %w", err)
	}
	return Trace{}, io.EOF
}

// ReadTraces reads a whole file of traces.
func ReadTraces(r io.Reader) ([]Trace, error) {
	var traces []Trace
	for reader := NewReader(r); ; {
		t, err := reader.Next()
		if err == io.EOF {
			return traces, nil
		}
		if err != nil {
			return nil, err
		}
		traces = append(traces, t)
	}
}

// parseTrace reads a line. Keys that this version does not know are ignored; another format is not.
func parseTrace(text []byte) (Trace, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return Trace{}, fmt.Errorf("no trace: %w", err)
	}
	if l.Format != traceFormat {
		return Trace{}, fmt.Errorf("format %d; this version reads %d", l.Format, traceFormat)
	}
	t := Trace{l.ID, l.Tree, l.Problem, l.Arm, l.Epoch, l.K, l.Restarts, l.Nodes, l.Answer, l.Prompt, l.Tokens, l.Weights, l.Text, l.Masked}
	if l.Backtracks != l.K {
		return Trace{}, fmt.Errorf("trace %q: %d backtracks for k = %d", l.ID, l.Backtracks, l.K)
	}
	return t, t.Validate()
}
