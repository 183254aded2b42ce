package main

import (
	"strings"
	"testing"

	"astro/internal/device"
)

// A server over two devices answers as one on a single device does, with a store and without.
func TestServeTensorParallel(t *testing.T) {
	if _, err := device.FindPlugin(device.XLACPU, ""); err != nil {
		t.Skipf("the XLA CPU plugin is missing: %v", err)
	}
	text, err := command(nil, "serve", demo, "--port", "0", "--backend", "xla:cpu", "--tensor-parallel", "2").CombinedOutput()
	if want := "its 3 key-value heads and 3 query heads do not divide by 2; it can be shared among 1"; err == nil || !strings.Contains(string(text), want) {
		t.Errorf("a model of three heads: got %v, %s; want an error with %q", err, text, want)
	}
	dir := ggufFolder(t)
	var answers []string
	for _, args := range [][]string{{"--weights", "graph"}, {"--tensor-parallel", "2"}, {"--tensor-parallel", "2", "--store", t.TempDir()}} {
		a := startServe(t, nil, append([]string{dir, "--backend", "xla:cpu", "--dtype", "f32"}, args...)...)
		answers = append(answers, ask(t, a.url))
		a.end(t)
		if said := a.log.String(); args[0] == "--tensor-parallel" && (!strings.Contains(said, "on each of 2 devices") || !strings.Contains(said, "spread over 2 devices")) {
			t.Errorf("%v: the log says nothing of two devices: %s", args, said)
		}
	}
	if answers[1] != answers[0] || answers[2] != answers[0] || len(answers[0]) < 40 {
		t.Errorf("one device answers %s; two answer %s and, with a store, %s", answers[0], answers[1], answers[2])
	}
}

// The smallest of the GPUs that are used decides how much memory there is on each.
func TestSmallestGPU(t *testing.T) {
	if got, err := smallestGPU("8000\n4000\n2000\n", 2); err != nil || got != int64(float64(4000<<20)*xlaShare) {
		t.Errorf("got %d, %v; want the share of 4000 MiB", got, err)
	}
	for text, want := range map[string]string{"8000\n": "lists 1 GPUs, not 2", "8000\nlots\n": "--memory-bytes"} {
		if _, err := smallestGPU(text, 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v; want one with %q", text, err, want)
		}
	}
}
