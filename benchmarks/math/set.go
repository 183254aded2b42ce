// Package math measures how well any OpenAI-compatible server answers mathematical problems with one right answer: it asks
// through HTTP only, grades with training/reward, and keeps every sample in a folder from which a stopped run goes on.
package math

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"astro/benchmarks/math/parquet"
)

// Limits of a problem set.
const (
	maxLineBytes = 1 << 20
	maxProblems  = 1_000_000
)

// Problem is one question with its only right answer.
type Problem struct {
	ID      string
	Text    string
	Gold    string // the answer, without $ around it
	Subject string // "" = unknown
	Level   string // difficulty as the set has it, such as "3"; "" = unknown
}

// Set is a list of problems in the set's own order.
type Set struct {
	Name     string
	Origin   string // where it was read from
	Problems []Problem
}

// Source says where sets are looked for.
type Source struct {
	DataDir string       // a folder of NAME.jsonl files; "" = none
	Hub     Hub          // asked last
	Notify  func(string) // tells a person what is being loaded; nil = nobody
}

// Load finds a set: NAME.jsonl in the data folder, else a JSONL file of that path, else on the hub, by a name that this
// package knows or as OWNER/NAME@REVISION:FILE.jsonl.
func (s Source) Load(ctx context.Context, name string) (Set, error) {
	if path, ok := s.local(name); ok {
		return readSetFile(setName(name), path)
	}
	place, ok := hubPlace(name)
	if !ok {
		return Set{}, fmt.Errorf("no problem set %q: there is no such file%s, and it is none of %s on the hub; "+
			"name a JSONL file with the fields id, problem and answer, or OWNER/NAME@REVISION:FILE.jsonl", name, s.hint(name), hubNames())
	}
	s.notify("loading " + name + " from " + place.String())
	path, err := s.Hub.fetch(ctx, place)
	if err != nil {
		return Set{}, fmt.Errorf("cannot load %s from %s: %w; without a network put %s.jsonl into a folder and name that with --data",
			name, place, err, setName(name))
	}
	set, err := readSetFile(setName(name), path)
	set.Origin = place.String()
	return set, err
}

func (s Source) notify(text string) {
	if s.Notify != nil {
		s.Notify(text)
	}
}

func (s Source) hint(name string) string {
	if s.DataDir == "" {
		return ""
	}
	return ", nor " + filepath.Join(s.DataDir, name+".jsonl")
}

// local is the file of a set on this machine.
func (s Source) local(name string) (string, bool) {
	var places []string
	if s.DataDir != "" && filepath.Base(name) == name {
		places = append(places, filepath.Join(s.DataDir, name+".jsonl"))
	}
	for _, path := range append(places, name) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, true
		}
	}
	return "", false
}

// setName is the name without folders and extension.
func setName(name string) string {
	return strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
}

// readSetFile reads JSONL, or Parquet where the name says so.
func readSetFile(name, path string) (Set, error) {
	read := readProblems
	if filepath.Ext(path) == ".parquet" {
		read = readParquet
	}
	f, err := os.Open(path)
	if err != nil {
		return Set{}, fmt.Errorf("open the problem set: %w", err)
	}
	defer f.Close()
	problems, err := read(f)
	if err != nil {
		return Set{}, fmt.Errorf("read the problem set %s: %w", path, err)
	}
	return Set{Name: name, Origin: path, Problems: problems}, nil
}

// readProblems reads one JSON object a line. Blank lines are allowed.
func readProblems(r io.Reader) ([]Problem, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	var c collector
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		p, err := parseProblem(lines.Bytes())
		if err == nil {
			err = c.add(p, n)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("after %d problems: %w (a line may have %d bytes)", len(c.problems), err, maxLineBytes)
	}
	return c.all()
}

// readParquet reads one problem a row.
func readParquet(r io.Reader) ([]Problem, error) {
	data, err := io.ReadAll(io.LimitReader(r, parquet.MaxFileBytes+1))
	if err != nil {
		return nil, err
	}
	rows, err := parquet.Rows(data)
	if err != nil {
		return nil, err
	}
	var c collector
	for n, row := range rows {
		p, err := newProblem(row)
		if err == nil {
			err = c.add(p, n+1)
		}
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", n+1, err)
		}
	}
	return c.all()
}

// collector gathers problems and keeps their ids apart.
type collector struct {
	problems []Problem
	seen     map[string]int // id to line
}

// add takes the problem of a line.
func (c *collector) add(p Problem, line int) error {
	if len(c.problems) == maxProblems {
		return fmt.Errorf("more than %d problems", maxProblems)
	}
	if p.ID == "" {
		p.ID = fmt.Sprintf("line-%d", line)
	}
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	if first := c.seen[p.ID]; first > 0 {
		return fmt.Errorf("id %q is also on line %d; ids must differ", p.ID, first)
	}
	c.seen[p.ID] = line
	c.problems = append(c.problems, p)
	return nil
}

func (c *collector) all() ([]Problem, error) {
	if len(c.problems) == 0 {
		return nil, errors.New("no problem in it: want lines with the fields id, problem and answer")
	}
	return c.problems, nil
}

// parseProblem reads one line.
func parseProblem(line []byte) (Problem, error) {
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(string(line)))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return Problem{}, fmt.Errorf("not a JSON object: %w", err)
	}
	return newProblem(fields)
}

// newProblem takes the fields of a row; the names that other sets give them are understood too.
func newProblem(fields map[string]any) (Problem, error) {
	p := Problem{
		ID:      text(fields, "id", "unique_id", "ID"),
		Text:    text(fields, "problem", "question", "Problem"),
		Gold:    text(fields, "answer", "Answer", "expected_answer"),
		Subject: text(fields, "subject", "type"),
		Level:   strings.TrimPrefix(text(fields, "level"), "Level "),
	}
	if p.Gold == "" {
		p.Gold = lastBox(text(fields, "solution"))
	}
	switch {
	case strings.TrimSpace(p.Text) == "":
		return Problem{}, errors.New("it has no problem: want a text in the field problem")
	case strings.TrimSpace(p.Gold) == "":
		return Problem{}, errors.New("it has no answer: want a text or number in the field answer")
	}
	return p, nil
}

// text is the first of the fields that holds a string or a number.
func text(fields map[string]any, names ...string) string {
	for _, name := range names {
		switch v := fields[name].(type) {
		case string:
			return v
		case json.Number:
			return wholeNumber(v.String())
		case int64:
			return strconv.FormatInt(v, 10)
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	}
	return ""
}

// wholeNumber writes 27.0 as 27: some sets keep whole answers as floating-point numbers.
func wholeNumber(s string) string {
	whole, fraction, ok := strings.Cut(s, ".")
	if ok && strings.Trim(fraction, "0") == "" {
		return whole
	}
	return s
}

// lastBox is the content of the last closed box of a reference solution, or "".
func lastBox(solution string) string {
	const open = `\boxed{`
	for at := strings.LastIndex(solution, open); at >= 0; at = strings.LastIndex(solution[:at], open) {
		depth := 1
		for i := at + len(open); i < len(solution); i++ {
			switch solution[i] {
			case '\\':
				i++ // \{ and \} are text
			case '{':
				depth++
			case '}':
				depth--
			}
			if depth == 0 {
				return solution[at+len(open) : i]
			}
		}
	}
	return ""
}

// Limit keeps the first n problems; 0 = all.
func (s Set) Limit(n int) Set {
	if n > 0 && n < len(s.Problems) {
		s.Problems = s.Problems[:n]
	}
	return s
}

// Digest names the problems, in order, with their answers: two sets of one digest ask and expect the same.
func (s Set) Digest() string {
	h := sha256.New()
	for _, p := range s.Problems {
		fmt.Fprintf(h, "%q %q %q\n", p.ID, p.Text, p.Gold)
	}
	return hex.EncodeToString(h.Sum(nil))
}
