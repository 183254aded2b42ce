package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/benchmarks/quality"
	"astro/internal/device"
)

// benchQualityOutput runs `astro bench quality` and returns what it prints.
func benchQualityOutput(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newRootCommand()
	c.SetOut(&out)
	c.SetErr(io.Discard)
	c.SetArgs(append([]string{"bench", "quality"}, args...))
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// benchQualityReport is that of one run on native kernels.
func benchQualityReport(t *testing.T, args ...string) (r quality.Report, rows map[string]quality.Row) {
	t.Helper()
	d, err := device.Open(device.Options{Backend: string(device.XLACPU)})
	if err == nil {
		err = d.Natives()
	}
	if err != nil {
		t.Skipf("this machine has no native kernels on xla:cpu: %v", err)
	}
	out, err := benchQualityOutput(t, append(args, "--backend", "xla:cpu", "--json")...)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	rows = map[string]quality.Row{}
	for _, row := range r.Rows {
		if rows[row.Form] = row; row.Skipped != "" {
			t.Errorf("%s was not run: %s", row.Form, row.Skipped)
		}
	}
	return r, rows
}

// What each form may cost on the demo model. Measured on 200 texts (docs/LOG.md): int8 0.5 % of perplexity, int4 1.9 %.
func TestBenchQualityOfTheDemo(t *testing.T) {
	r, rows := benchQualityReport(t, demo, "--texts", "40", "--answers", "2", "--max-tokens", "24", "--forms", "f32,bf16,int8,int4")
	if r.Texts != 40 || r.Answers != 2 || r.Tokens < 500 || len(rows) != 5 || r.Model != "countdown-base" {
		t.Fatalf("got %+v", r)
	}
	if f32 := rows["f32/f32"]; f32.Gap > 1e-4 || f32.Agree != 1 || f32.Same != r.Answers || math.Abs(f32.Ratio-1) > 1e-5 {
		t.Errorf("native f32: got %+v; want what the graph says", f32)
	}
	for _, limit := range []struct {
		form              string
		ratio, kl, agreed float64
	}{{"bf16/f32", .005, 1e-4, .99}, {"int8/f32", .01, .002, .98}, {"int4/f32", .06, .05, .9}} {
		row := rows[limit.form]
		if math.Abs(row.Ratio-1) > limit.ratio || row.KL > limit.kl || row.Agree < limit.agreed {
			t.Errorf("got %+v; want %+v", row, limit)
		}
		if row.Gap == 0 || row.KL == 0 {
			t.Errorf("%s: got no difference at all; want the form to have been run", limit.form)
		}
	}
	if rows["int4/f32"].KL < rows["int8/f32"].KL || rows["int8/f32"].KL < rows["bf16/f32"].KL {
		t.Errorf("got %+v; want fewer bits to be farther away", rows)
	}
}

// A GGUF file of random weights on texts of a file: only that each text is read and that f32 is the graph.
func TestBenchQualityOfData(t *testing.T) {
	data := filepath.Join(t.TempDir(), "texts.jsonl")
	lines := "\"The ferry leaves at seven and the children wait.\"\n\n{\"text\": \"A page holds sixteen positions.\", \"id\": 3}\n\"not read\"\n"
	if err := os.WriteFile(data, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	r, rows := benchQualityReport(t, ggufFile, "--data", data, "--texts", "2", "--max-tokens", "8", "--forms", "graph,f32,f32,int8/bf16")
	if r.Texts != 2 || r.Answers != 2 || r.Data != data || len(rows) != 3 || len(r.Rows) != 3 {
		t.Errorf("got %+v", r)
	}
	if f32 := rows["f32/f32"]; f32.Gap > 1e-4 || f32.Agree != 1 || f32.Same != 2 || rows["int8/bf16"].Gap == 0 {
		t.Errorf("got %+v", rows)
	}
}

func TestBenchQualityRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for want, args := range map[string][]string{
		"give --data FILE":         {ggufFile, "--backend", "go"},
		"--texts 0":                {demo, "--texts", "0"},
		"--answers -1":             {demo, "--answers", "-1"},
		"--max-tokens 0":           {demo, "--max-tokens", "0"},
		"--prompt-tokens 0":        {demo, "--prompt-tokens", "0"},
		`form "int2"`:              {demo, "--forms", "f32,int2"},
		"want one besides":         {demo, "--forms", "graph"},
		"--kernel-threads -1":      {demo, "--kernel-threads", "-1"},
		"--kernel-level":           {demo, "--kernel-level", "best"},
		"no native functions":      {demo, "--backend", "go", "--texts", "1", "--answers", "0", "--forms", "f32,int8"},
		"no such backend":          {demo, "--backend", "x"},
		"bench quality":            {"/nonexistent"},
		"no such file":             {demo, "--data", filepath.Join(dir, "none")},
		"no text in it":            {demo, "--data", file("empty", "\n")},
		"line 2: want a JSON":      {demo, "--data", file("broken", "\"3 7 2 9 -> 27 :\"\n{\"test\": \"3\"}\n")},
		"line 1: want a JSON":      {demo, "--data", file("null", "null\n")},
		"line 1: 1 tokens: want a": {demo, "--data", file("short", "\"\"\n")},
	} {
		if out, err := benchQualityOutput(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %q, %v; want an error with %q", args, out, err, want)
		}
	}
}
