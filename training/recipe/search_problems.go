package recipe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// ProblemLine is one line of a file of problems: {"id": ..., "problem": ..., "answer": ...}. Other keys are skipped.
type ProblemLine struct {
	ID      string `json:"id"` // "" = line N
	Problem string `json:"problem"`
	Answer  string `json:"answer"` // "" where the domain does not need one
	Line    int    `json:"-"`
}

// Limits of a file of problems.
const (
	MaxProblems         = 1_000_000
	MaxProblemLineBytes = 1 << 20
)

// ReadProblems reads a JSONL file. Empty lines are skipped; anything else that is no problem is an error that names its line.
func ReadProblems(path string) ([]ProblemLine, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read problems: %w", err)
	}
	defer f.Close()
	var list []ProblemLine
	scanner := bufio.NewScanner(f)
	scanner.Buffer(make([]byte, 0, 1<<16), MaxProblemLineBytes)
	n := 1
	for ; scanner.Scan(); n++ {
		if len(scanner.Bytes()) == 0 {
			continue
		}
		p := ProblemLine{Line: n}
		if err := json.Unmarshal(scanner.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("%s: line %d is no problem (%w): want {\"id\": \"...\", \"problem\": \"...\", \"answer\": \"...\"}", path, n, err)
		}
		if p.Problem == "" {
			return nil, fmt.Errorf("%s: line %d has no problem: want {\"id\": \"...\", \"problem\": \"...\", \"answer\": \"...\"}", path, n)
		}
		if p.ID == "" {
			p.ID = fmt.Sprint("line ", n)
		}
		if list = append(list, p); len(list) > MaxProblems {
			return nil, fmt.Errorf("%s has more than %d problems: split it", path, MaxProblems)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s: line %d: %w (at most %d bytes)", path, n, err, MaxProblemLineBytes)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no problems", path)
	}
	return list, nil
}
