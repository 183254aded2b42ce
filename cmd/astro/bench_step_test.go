package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"astro/benchmarks/step"
	"astro/internal/device"
	"astro/model"
)

func benchOutput(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newRootCommand()
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(append([]string{"bench"}, args...))
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// Random weights of a small shape are timed on every backend that is here: first its own rates, then a line for each case, all with the
// backend's and the machine's name, and with parts of the measured rates.
func TestBenchStepOfRandomWeights(t *testing.T) {
	for _, kind := range []device.Kind{device.Go, device.XLACPU} {
		t.Run(string(kind), func(t *testing.T) {
			if _, err := device.Open(device.Options{Backend: string(kind)}); err != nil {
				t.Skipf("%s is not here: %v", kind, err)
			}
			out, err := benchOutput(t, "step", "--random-weights", "tiny", "--backend", string(kind), "--batch", "1,3", "--positions", "10", "--prefill", "20,30", "--steps", "2", "--json")
			if err != nil {
				t.Fatal(out, err)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if len(lines) != 5 || !strings.Contains(lines[0], `"case":"peaks"`) || !strings.Contains(lines[0], `"measured":{"bytes_per_s":`) {
				t.Fatalf("got %q; want the rates and four cases", out)
			}
			for _, line := range lines[1:] {
				var m step.Measurement
				if err := json.Unmarshal([]byte(line), &m); err != nil {
					t.Fatal(err)
				}
				if m.Backend != string(kind) || m.Device == "" || m.Model != "tiny" || m.DType != "bf16" || !(m.TokensPerSecond > 0) || !(m.OfBandwidth.Measured > 0) || !(m.OfFLOPs.Measured > 0) {
					t.Errorf("got %s; want a case with figures, backend, device and model", line)
				}
			}
		})
	}
}

// In words: published rates that flags give are compared with too, and a batch that does not fit is left out with the reason.
func TestBenchStepInWords(t *testing.T) {
	out, err := benchOutput(t, "step", "--random-weights", "tiny", "--backend", "go", "--dtype", "f32", "--batch", "1,1000000", "--positions", "8", "--prefill", "8", "--steps", "1",
		"--peak-bandwidth", "3350", "--peak-flops", "989", "--memory-bytes", "2147483648")
	if err != nil {
		t.Fatal(out, err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 4 {
		t.Fatalf("got %q; want four lines", out)
	}
	for i, want := range [][]string{
		{"measured: a copy of", "published: 3350 GB/s, 989 TFLOP/s in dense bf16"},
		{"tiny f32 decode batch 1 position 8: best ", " % of measured, ", " % of published"},
		{"tiny f32 decode batch 1000000 position 8: skipped: not enough memory: ", "2048.0 MiB available"},
		{"tiny f32 prefill of 8: best ", " TFLOP, ", " % of published"},
	} {
		if !strings.HasPrefix(lines[i], "go (") {
			t.Errorf("%q does not begin with the backend and the machine", lines[i])
		}
		for _, part := range want {
			if !strings.Contains(lines[i], part) {
				t.Errorf("got %q; want %q in it", lines[i], part)
			}
		}
	}
}

func TestBenchRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"want a MODEL or --random-weights": {"step"},
		"and not both":                     {"step", demo, "--random-weights", "1b"},
		`"7b"; there are 1b, 3b, 8b, tiny`: {"step", "--random-weights", "7b"},
		"supported are f32 and bf16":       {"step", "--random-weights", "1b", "--dtype", "f16"},
		"a batch of 0":                     {"step", "--random-weights", "1b", "--batch", "0"},
		"must not be negative":             {"step", "--random-weights", "1b", "--peak-flops", "-1"},
		"the weights of 8b in bf16 take":   {"step", "--random-weights", "8b", "--memory-bytes", "1000000"},
		"at least 1":                       {"train", "--random-weights", "1b", "--rows", "0"},
	} {
		if out, err := benchOutput(t, append(args, "--backend", "go")...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %q, %v; want an error with %q", args, out, err, want)
		}
	}
}

// Cases that were not asked for are those for large models where weights are random, and else the small ones.
func TestBenchStepDefaults(t *testing.T) {
	o := benchStepFlags{cases: step.DefaultOptions(), changed: func(flag string) bool { return flag == "batch" }}
	o.cases.Batches = []int{5}
	if got := o.options(); len(got.Positions) != 2 || got.Positions[1] != 512 || got.Batches[0] != 5 {
		t.Errorf("got %+v; want the small cases with a batch of 5", got)
	}
	o.random = "1b"
	if got := o.options(); got.Positions[1] != 4096 || got.Batches[0] != 5 || len(got.Prefill) != 3 {
		t.Errorf("got %+v; want the large cases with a batch of 5", got)
	}
	o.cases.Prefill, o.changed = []int{0}, func(string) bool { return true }
	if got := o.options(); got.Prefill != nil {
		t.Errorf("got prefills %v; want none", got.Prefill)
	}
}

// Training random weights tells the utilisation, with and without what layer checkpoints compute again; what does not fit is left out.
func TestBenchTrainOfRandomWeights(t *testing.T) {
	out, err := benchOutput(t, "train", "--random-weights", "tiny", "--backend", "go", "--rows", "2", "--row-tokens", "16", "--steps", "1", "--layer-checkpoints", "--json")
	var m trainMeasurement
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &m) != nil {
		t.Fatalf("got %q, %v; want the rates and a training step", out, err)
	}
	c, _ := model.Shape("tiny")
	needed, performed := step.TrainFLOPs(c, 2, 16, true)
	if m.FLOPs != needed || m.PerformedFLOPs != performed || !(m.OfPerformed.Measured > m.OfFLOPs.Measured) || m.Backend != "go" || m.Model != "tiny" || !m.LayerCheckpoints {
		t.Errorf("got %+v; want %d and %d operations and their parts", m, needed, performed)
	}
	out, err = benchOutput(t, "train", "--random-weights", "8b", "--backend", "go", "--memory-bytes", "1000000000")
	if err != nil || !strings.Contains(out, "8b training step 8x256 in f32: skipped: not enough memory: ") {
		t.Errorf("got %q, %v; want it left out for want of memory", out, err)
	}
}
