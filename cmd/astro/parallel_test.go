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
