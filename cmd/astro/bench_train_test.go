package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"astro/training/trainer"
)

// bench runs `astro bench train` and returns what it prints.
func benchTrainOutput(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newRootCommand()
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(append([]string{"bench", "train", "--backend", "go"}, args...))
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// The command times what its flags say, and prints it as a line or as JSON.
func TestBenchTrain(t *testing.T) {
	out, err := benchTrainOutput(t, demo, "--rows", "2", "--row-tokens", "16", "--steps", "2", "--json")
	var s trainer.Speed
	_, last, _ := strings.Cut(strings.TrimSpace(out), "\n") // behind what the device can do
	if err != nil || json.Unmarshal([]byte(last), &s) != nil {
		t.Fatalf("got %q, %v; want JSON", out, err)
	}
	if s.Rows != 2 || s.RowTokens != 16 || s.Steps != 2 || s.Backend != "go" || !(s.TokensPerSecond > 0) {
		t.Errorf("got %+v", s)
	}
	out, err = benchTrainOutput(t, demo, "--rows", "1", "--row-tokens", "8", "--steps", "1")
	if err != nil || !strings.Contains(out, " training step 1x8 in f32: best ") || !strings.Contains(out, " tokens/s, peak memory ") {
		t.Errorf("got %q, %v", out, err)
	}
	for want, args := range map[string][]string{
		"at least 1":      {demo, "--steps", "0"},
		"longer than":     {demo, "--row-tokens", "100000"},
		"bench train":     {"/nonexistent"},
		"want a MODEL or": {},
		"no such backend": {demo, "--backend", "x"},
	} {
		if _, err := benchTrainOutput(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v; want an error with %q", args, err, want)
		}
	}
}
