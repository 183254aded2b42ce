// Package modeltest gives tests the tiny Hugging Face checkpoints of model/testdata with what transformers computes for them.
// model/testdata/make_fixtures.py makes both.
package modeltest

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// Fixture is one checkpoint and its truth, computed by transformers in float32.
type Fixture struct {
	Name      string
	Dir       string    // a Hugging Face folder
	Prompt    []int32   // input ids
	Greedy    []int32   // the most probable token after each position, starting with the prompt's last
	LogProbs  []float64 // of Greedy: log-softmax of the raw logits
	MinGap    float64   // the smallest distance between the two best logits on the way; far above the tolerance
	Positions []int     // of Logits in Tokens()
	Logits    [][]float32
}

// MaxLogitDiff is how far logits in float32 may be from transformers'.
const MaxLogitDiff = 2e-4

// Tokens is the whole sequence: prompt and greedy tokens.
func (f Fixture) Tokens() []int32 {
	return append(append([]int32(nil), f.Prompt...), f.Greedy...)
}

// Fixtures reads every fixture; a missing or broken one fails the test.
func Fixtures(t testing.TB) []Fixture {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(root(t), "model", "testdata", "hf", "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no fixtures in model/testdata/hf (%v); run model/testdata/make_fixtures.py", err)
	}
	fixtures := make([]Fixture, len(dirs))
	for i, dir := range dirs {
		fixtures[i] = read(t, dir)
	}
	return fixtures
}

// Named reads one fixture.
func Named(t testing.TB, name string) Fixture {
	t.Helper()
	return read(t, filepath.Join(root(t), "model", "testdata", "hf", name))
}

func read(t testing.TB, dir string) Fixture {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Prompt, Greedy []int32
		LogProbs       []float64
		MinGap         float64 `json:"min_gap"`
		Positions      []int
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	f := Fixture{Name: filepath.Base(dir), Dir: dir, Prompt: g.Prompt, Greedy: g.Greedy, LogProbs: g.LogProbs, MinGap: g.MinGap, Positions: g.Positions}
	f.Logits = readLogits(t, filepath.Join(dir, "logits.f32"), len(f.Positions))
	return f
}

// readLogits reads [rows, vocab] float32, little endian.
func readLogits(t testing.TB, path string, rows int) [][]float32 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if rows == 0 || len(data)%(4*rows) != 0 || len(data) == 0 {
		t.Fatalf("%s has %d bytes for %d rows", path, len(data), rows)
	}
	vocab := len(data) / 4 / rows
	logits := make([][]float32, rows)
	for r := range logits {
		logits[r] = make([]float32, vocab)
		for i := range logits[r] {
			logits[r][i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*(r*vocab+i):]))
		}
	}
	return logits
}

// root is the repository's folder: the nearest one above the test's that has go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}
