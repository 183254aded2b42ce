package engine_test

import (
	"math"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model/modeltest"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Embeddings of prompts that are read in chunks, beside others and with preemptions, are those of the whole prompt.
func TestEmbeddings(t *testing.T) {
	c := smallConfig()
	c.MaxContextTokens, c.Pages, c.MaxQueuedRequests, c.MaxQueuedTokens = 64, 20, 64, 4000
	d := newDriver(c)
	want := map[uint64]float32{}
	for i := range 30 {
		r := engine.Request{N: 1, Embed: true, Params: sampler.Default(), Class: engine.Class(i % 2)}
		sum := float32(0)
		for p := range 1 + 2*i {
			r.Prompt = append(r.Prompt, int32(p%vocab))
			sum += float32(p % vocab)
		}
		number, err := d.submit(r)
		if err != nil {
			t.Fatal(err)
		}
		want[number] = sum
		if _, err := d.submit(request(uint64(i), 1, 2, 3)); err != nil {
			t.Fatal(err)
		}
	}
	for steps := 0; d.scheduler.Runnable(); steps++ {
		if steps%5 == 0 {
			d.scheduler.Preempt(uint64(1+steps%60), 0)
		}
		events, err := d.step()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			sum, ours := want[e.Request]
			if !ours || e.Finish == "" {
				continue
			}
			delete(want, e.Request)
			if e.Embedding == nil || e.Embedding.Sum[0] != sum || int(e.Embedding.Sum[1]) != e.Embedding.Tokens {
				t.Errorf("request %d: got %+v; want a sum of %v", e.Request, e.Embedding, sum)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("%d embeddings never came", len(want))
	}
}

// On a device, the last hidden state times the head is the logits, and chunks add up to the whole.
func TestEmbeddingsOnDevice(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		f := modeltest.Fixtures(t)[0]
		p := loadPolicy(t, d, f, dtypes.Float32)
		r := newRunner(t, d, p, smallRunner(dtypes.Float32))
		tokens := f.Tokens()[:40]
		embed := func(from, to int) *engine.Embedding {
			result, err := r.Run(&engine.Plan{Rows: []engine.Row{{Version: 1, Tokens: tokens[from:to], Start: from, Pages: []int32{3, 1}[:(to-1)/32+1], Embed: true}}})
			if err != nil {
				t.Fatal(err)
			}
			return result.Rows[0].Embedding
		}
		whole := embed(0, 40)
		first, second := embed(0, 24), embed(24, 40)
		for i, sum := range whole.Sum {
			if math.Abs(float64(sum-first.Sum[i]-second.Sum[i])) > 1e-3 || math.Abs(float64(whole.Last[i]-second.Last[i])) > 1e-4 {
				t.Fatalf("dimension %d: %g and %g; in chunks %g + %g and %g", i, sum, whole.Last[i], first.Sum[i], second.Sum[i], second.Last[i])
			}
		}
		if whole.Tokens != 40 || first.Tokens != 24 {
			t.Errorf("counts %d and %d tokens", whole.Tokens, first.Tokens)
		}
		logits, err := r.Logits(engine.Row{Version: 1, Tokens: tokens, Pages: []int32{3, 1}})
		if err != nil {
			t.Fatal(err)
		}
		checkHead(t, p.Weights.Tensors, p.Weights.Config.TiedHead, whole.Last, logits[39*p.Weights.Config.Vocab:])
	})
}

// checkHead multiplies by the head in plain Go.
func checkHead(t *testing.T, weights []*tensors.Tensor, tied bool, hidden, logits []float32) {
	t.Helper()
	at := 2
	if tied {
		at = 0
	}
	head, err := tensors.CopyFlatData[float32](weights[at])
	if err != nil {
		t.Fatal(err)
	}
	vocab, width := len(logits), len(hidden)
	for v := range vocab {
		sum := 0.0
		for i, h := range hidden {
			w := head[i*vocab+v]
			if tied {
				w = head[v*width+i]
			}
			sum += float64(h) * float64(w)
		}
		if math.Abs(sum-float64(logits[v])) > 1e-3 {
			t.Fatalf("token %d: %g by hand; the engine says %g", v, sum, logits[v])
		}
	}
}
