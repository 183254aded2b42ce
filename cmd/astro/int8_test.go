package main

import (
	"encoding/json"
	"strings"
	"testing"

	"astro/benchmarks/step"
	"astro/internal/device"
)

// A server on the graph with weights of 8 bits says so, answers, with a store as without one, and is refused over devices.
func TestServeInt8OnTheGraph(t *testing.T) {
	var answers []string
	dir := ggufFolder(t)
	for _, args := range [][]string{nil, {"--store", t.TempDir()}} {
		a := startServe(t, nil, append([]string{dir, "--backend", "go", "--weights", "graph-int8"}, args...)...)
		answers = append(answers, ask(t, a.url))
		a.end(t)
		if said := a.log.String(); !strings.Contains(said, "graph, weights int8, computed in Float32") {
			t.Errorf("%v: the log says nothing of 8 bits: %s", args, said)
		}
	}
	if answers[0] != answers[1] || len(answers[0]) < 40 {
		t.Errorf("8 bits answer %s, and with a store %s", answers[0], answers[1])
	}
	if _, err := device.FindPlugin(device.XLACPU, ""); err != nil {
		t.Skipf("the XLA CPU plugin is missing: %v", err)
	}
	text, err := command(nil, "serve", dir, "--port", "0", "--backend", "xla:cpu", "--tensor-parallel", "2", "--weights", "graph-int8").CombinedOutput()
	if want := "weights of 8 bits are on one device, not on 2"; err == nil || !strings.Contains(string(text), want) {
		t.Errorf("8 bits on two devices: got %v, %s; want an error with %q", err, text, want)
	}
}

// Random weights of 8 bits are timed, and a decode of them has half as much to read.
func TestBenchStepOfInt8(t *testing.T) {
	var bytes []int64
	for _, form := range []string{"graph", "graph-int8"} {
		out, err := benchOutput(t, "step", "--random-weights", "tiny", "--backend", "go", "--weights", form, "--batch", "1", "--positions", "10", "--prefill", "0", "--steps", "1", "--json")
		if err != nil {
			t.Fatal(out, err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		var m step.Measurement
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &m); err != nil {
			t.Fatal(err)
		}
		bytes = append(bytes, m.Bytes)
	}
	if 2*bytes[1] < bytes[0] || 10*bytes[1] > 6*bytes[0] {
		t.Errorf("decodes read %d bytes in bf16 and %d in 8 bits; want about half", bytes[0], bytes[1])
	}
}
