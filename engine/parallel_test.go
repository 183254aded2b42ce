package engine_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// maxParallelDiff is how far f32 logits over several devices may be from those of one: sums over rows are in another order.
const maxParallelDiff = 1e-5

// parallelModel has tied and grouped heads that four devices can share.
var parallelModel = model.Config{Vocab: 96, Hidden: 64, Layers: 2, Heads: 8, KVHeads: 4, HeadDim: 16, FFN: 96, MaxPositions: 256, NormEps: 1e-5,
	TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .1}

// hostPolicy makes a Policy of random weights that stay in the host's memory.
func hostPolicy(t testing.TB, c model.Config, version int64, dtype dtypes.DType) *model.Policy {
	t.Helper()
	w, err := model.Random(c, uint64(version), nil, dtype)
	if err != nil {
		t.Fatal(err)
	}
	p := model.NewPolicy(version, w)
	t.Cleanup(p.Release)
	return p
}

// parallelRunner is a runner of the graph over so many devices.
func parallelRunner(t testing.TB, p *model.Policy, devices int) *engine.DeviceRunner {
	t.Helper()
	c := smallRunner(p.Weights.DType())
	c.TensorParallel, c.Form = devices, engine.FormGraph
	return newRunner(t, openDevice(t, device.XLACPU), p, c)
}

// TestTensorParallelParity: over 4 devices, and over 2 with a tied head, the engine computes transformers' logits and draws its greedy tokens.
func TestTensorParallelParity(t *testing.T) {
	d := openDevice(t, device.XLACPU)
	for name, several := range map[string][]int{"mha": {4}, "llama3-tied-hub-bf16": {2}} {
		f := modeltest.Named(t, name)
		w, err := model.Load(f.Dir, nil, dtypes.Float32, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := model.NewPolicy(1, w)
		t.Cleanup(p.Release)
		for _, devices := range several {
			c := smallRunner(dtypes.Float32)
			c.TensorParallel, c.Form = devices, engine.FormGraph
			r := newRunner(t, d, p, c)
			worst := compareLogits(t, r, f, c)
			if worst > modeltest.MaxLogitDiff {
				t.Errorf("%s over %d devices: logits differ by up to %g; want at most %g", name, devices, worst, modeltest.MaxLogitDiff)
			}
			compareGreedy(t, r, f, c, modeltest.MaxLogitDiff)
			t.Logf("%s over %d devices: largest difference from transformers %.1e", name, devices, worst)
		}
	}
}

// TestTensorParallelSteps: prefill in chunks, decodes, a prefix that two Sequences share, copied pages and a swapped Policy give the same
// logits over 1, 2 and 4 devices.
func TestTensorParallelSteps(t *testing.T) {
	first, second := hostPolicy(t, parallelModel, 1, dtypes.Float32), hostPolicy(t, parallelModel, 2, dtypes.Float32)
	var want []float32
	for _, devices := range []int{1, 2, 4} {
		r := parallelRunner(t, first, devices)
		got := parallelStory(t, r)
		if err := r.Prepare(second); err != nil {
			t.Fatal(err)
		}
		if err := r.Publish(second); err != nil {
			t.Fatal(err)
		}
		got = append(got, feed(t, r, engine.Row{Version: 2, Tokens: someTokens(40), Pages: []int32{1, 3}})...)
		got = append(got, feed(t, r, engine.Row{Version: 1, Tokens: someTokens(40), Pages: []int32{4, 6}})...)
		r.Retire(1)
		if devices == 1 {
			want = got
			continue
		}
		worst := largestDiff(t, got, want)
		if worst > maxParallelDiff {
			t.Errorf("over %d devices logits differ by up to %g; want at most %g", devices, worst, maxParallelDiff)
		}
		t.Logf("over %d devices %d logits differ by up to %.1e", devices, len(got), worst)
	}
}

// parallelStory runs rows that touch everything that pages are for and returns all logits.
func parallelStory(t *testing.T, r *engine.DeviceRunner) (all []float32) {
	t.Helper()
	tokens := someTokens(70)
	step := func(start, end int, pages ...int32) {
		all = append(all, feed(t, r, engine.Row{Version: 1, Tokens: tokens[start:end], Start: start, Pages: pages})...)
	}
	step(0, 33, 7, 2)
	step(33, 66, 7, 2, 11)
	for i := 66; i < 70; i++ {
		step(i, i+1, 7, 2, 11)
	}
	step(32, 65, 7, 5, 3) // another Sequence behind the same first page
	copies := []engine.PageCopy{{From: 2, To: 9}, {From: 11, To: 0}, {From: 7, To: 12}}
	if _, err := r.Run(&engine.Plan{Copies: copies}); err != nil {
		t.Fatal(err)
	}
	step(69, 70, 12, 9, 0)
	if last := len(all) - parallelModel.Vocab; largestDiff(t, all[last:], all[69*parallelModel.Vocab:70*parallelModel.Vocab]) > maxParallelDiff {
		t.Error("a decode on copied pages differs from the one on the pages themselves")
	}
	return all
}

func someTokens(n int) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32((i*37 + i*i) % parallelModel.Vocab)
	}
	return tokens
}

func feed(t *testing.T, r *engine.DeviceRunner, row engine.Row) []float32 {
	t.Helper()
	logits, err := r.Logits(row)
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

func largestDiff(t *testing.T, got, want []float32) (worst float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("got %d logits; want %d", len(got), len(want))
	}
	for i := range got {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
	}
	return worst
}

// TestTensorParallelRequests: through a Scheduler with a prefix cache, Requests with several samples get the same tokens over 4
// devices as on one, embeddings too.
func TestTensorParallelRequests(t *testing.T) {
	p := hostPolicy(t, parallelModel, 1, dtypes.Float32)
	want := ""
	for _, devices := range []int{1, 4} {
		r := parallelRunner(t, p, devices)
		s := engine.NewScheduler(schedulerConfig(parallelModel.Vocab, smallRunner(dtypes.Float32)), 1)
		got := ""
		for _, request := range []engine.Request{
			{Prompt: someTokens(44), N: 3, MaxTokens: 8, Params: sampler.Params{Temperature: 1, TopP: 1, RepetitionPenalty: 1, Seed: 7}, IgnoreEOS: true},
			{Prompt: someTokens(44), N: 1, Params: sampler.Greedy(), Embed: true},
		} {
			text, copies := runRequest(t, s, r, request)
			got += text
			if request.N > 1 && copies == 0 {
				t.Error("no page was copied; want samples of one prompt to share its pages until they write")
			}
		}
		if devices == 1 {
			want = got
		} else if got != want {
			t.Errorf("over %d devices:\n%s\nwant\n%s", devices, got, want)
		}
	}
}

// runRequest runs one Request and describes what came, log-probabilities to three digits. It counts the pages that were copied.
func runRequest(t *testing.T, s *engine.Scheduler, r *engine.DeviceRunner, request engine.Request) (described string, copies int) {
	t.Helper()
	if _, err := s.Submit(request); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for !s.Idle() {
		plan := s.Next()
		copies += len(plan.Copies)
		result, err := r.Run(plan)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Apply(result) {
			fmt.Fprintf(&text, "%d:%d %.3f cached %d", e.Index, e.Choice.Token, e.Choice.Logprob, e.CachedTokens)
			for _, score := range e.PromptScores {
				fmt.Fprintf(&text, " %.3f", score.Logprob)
			}
			if e.Embedding != nil {
				fmt.Fprintf(&text, " %.2f %.2f", e.Embedding.Sum[:8], e.Embedding.Last[56:])
			}
			text.WriteByte('\n')
		}
	}
	return text.String(), copies
}

// TestTensorParallelPrograms: every device updates its part of the pools in place, and no program holds a pool besides, as it would if one
// were gathered.
func TestTensorParallelPrograms(t *testing.T) {
	d := openDevice(t, device.XLACPU)
	p := hostPolicy(t, parallelModel, 1, dtypes.Float32)
	for _, devices := range []int{4} {
		c := smallRunner(dtypes.Float32)
		c.TensorParallel, c.Pages, c.Form = devices, 4096, engine.FormGraph
		r := newRunner(t, d, p, c)
		feed(t, r, engine.Row{Version: 1, Tokens: someTokens(40), Pages: []int32{1, 3}})
		feed(t, r, engine.Row{Version: 1, Tokens: someTokens(1), Start: 40, Pages: []int32{1, 3}})
		for _, copies := range [][]engine.PageCopy{{{From: 1, To: 2}}, {{From: 1, To: 4}, {From: 3, To: 5}}} {
			if _, err := r.Run(&engine.Plan{Copies: copies}); err != nil {
				t.Fatal(err)
			}
		}
		pool := int64(c.Pages * parallelModel.KVHeads / devices * c.PageTokens * parallelModel.HeadDim * 4)
		pools, seen := 2*int64(parallelModel.Layers)*pool, 0
		for _, info := range d.Programs() {
			if info.Devices != devices {
				continue
			}
			seen++
			if info.InPlaceBytes != pools || info.TemporaryBytes > pool/2 {
				t.Errorf("%s over %d devices: %d bytes in place and %d temporary; want %d of pools, and far less than a pool of %d",
					info.Name, devices, info.InPlaceBytes, info.TemporaryBytes, pools, pool)
			}
		}
		if seen < 3 {
			t.Errorf("saw %d programs over %d devices; want at least 3", seen, devices)
		}
	}
}

// TestTensorParallelHalfWidth: in bf16 sums over devices are rounded more often; logits stay as near as bf16 is.
func TestTensorParallelHalfWidth(t *testing.T) {
	p := hostPolicy(t, parallelModel, 1, dtypes.BFloat16)
	row := engine.Row{Version: 1, Tokens: someTokens(40), Pages: []int32{1, 3}}
	want := feed(t, parallelRunner(t, p, 1), row)
	scale, worst := float64(slices.Max(want)), largestDiff(t, feed(t, parallelRunner(t, p, 4), row), want)
	if worst > scale/16 {
		t.Errorf("over 4 devices logits up to %g differ by up to %g; want at most %g", scale, worst, scale/16)
	}
	t.Logf("over 4 devices logits up to %.2f differ by up to %.3f", scale, worst)
}

// TestTensorParallelRefusals: what cannot be shared is refused before anything is loaded, with what to do.
func TestTensorParallelRefusals(t *testing.T) {
	xla, host := openDevice(t, device.XLACPU), openDevice(t, device.Go)
	odd := parallelModel
	odd.KVHeads, odd.Vocab = 2, 99
	for name, test := range map[string]struct {
		d       *device.Device
		config  model.Config
		devices int
		form    engine.Form
		want    string
	}{
		"heads":   {xla, odd, 4, engine.FormAuto, "2 key-value heads and 99 token ids do not divide by 4; it can be shared among 1"},
		"go":      {host, parallelModel, 2, engine.FormAuto, "backend go has one device"},
		"devices": {xla, parallelModel, 64, engine.FormAuto, "devices, not 64"},
		"none":    {xla, parallelModel, -1, engine.FormAuto, "want at least 1"},
		"form":    {xla, parallelModel, 2, engine.FormInt8, "native kernels run on one device, not on 2; use auto or graph"},
	} {
		c := smallRunner(dtypes.Float32)
		c.TensorParallel, c.Form = test.devices, test.form
		if _, err := engine.NewDeviceRunner(test.d, hostPolicy(t, test.config, 1, dtypes.Float32), c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v; want one with %q", name, err, test.want)
		}
	}
}

// BenchmarkTensorParallel is a decode of 4 Sequences, and a prefill of 64 tokens.
func BenchmarkTensorParallel(b *testing.B) {
	c := model.Config{Vocab: 4096, Hidden: 512, Layers: 8, Heads: 8, KVHeads: 4, HeadDim: 64, FFN: 1536, MaxPositions: 256, NormEps: 1e-5,
		TiedHead: true, Rope: model.Rope{Theta: 1e4}, BOS: -1}
	p := hostPolicy(b, c, 1, dtypes.Float32)
	tokens := make([]int32, 64)
	for _, devices := range []int{1, 2, 4} {
		r := parallelRunner(b, p, devices)
		decode, prefill := &engine.Plan{}, &engine.Plan{Rows: []engine.Row{{Version: 1, Tokens: tokens, Pages: []int32{8, 9}}}}
		for i := range int32(4) {
			decode.Rows = append(decode.Rows, engine.Row{Version: 1, Tokens: []int32{i}, Start: 40, Pages: []int32{2 * i, 2*i + 1}})
		}
		for name, plan := range map[string]*engine.Plan{"decode": decode, "prefill": prefill} {
			run := func(b *testing.B) {
				if _, err := r.Run(plan); err != nil {
					b.Fatal(err)
				}
			}
			run(b) // compiles
			b.Run(fmt.Sprintf("%s/devices=%d", name, devices), func(b *testing.B) {
				for b.Loop() {
					run(b)
				}
			})
		}
	}
}
