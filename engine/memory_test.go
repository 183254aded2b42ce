package engine_test

import (
	"errors"
	"strings"
	"testing"

	"astro/engine"
	"astro/model"
)

// llama1B is the shape of Llama 3.2 1B: 1,235,814,400 parameters with a tied head.
func llama1B() engine.MemoryRequest {
	return engine.MemoryRequest{
		Model:       model.Config{Vocab: 128256, Hidden: 2048, Layers: 16, Heads: 32, KVHeads: 8, HeadDim: 64, FFN: 8192, TiedHead: true},
		WeightBytes: 2, KVBytes: 2, WeightSets: 1, Available: 16 << 30, MaxSlots: 8, StepTokens: 264, PageTokens: 16,
		MaxContextTokens: 4096, GatherBytes: 256 << 20, LogitsBytes: 64 << 20,
	}
}

// TestPlanMemoryOfLlama1B: the parameter count is the published one, and pools hold every slot at full length if there is room.
func TestPlanMemoryOfLlama1B(t *testing.T) {
	p, err := engine.PlanMemory(llama1B())
	if err != nil {
		t.Fatal(err)
	}
	if turned := int64(128256 * 2048); p.WeightCount != 1_235_814_400 || p.Weights != 2*(p.WeightCount+turned) {
		t.Errorf("%d parameters in %d bytes; want 1235814400 and the turned head in twice that", p.WeightCount, p.Weights)
	}
	if want := 8 * 4096 / 16; p.KVPages != want || p.PageBytes != 16*2*8*64*16*2 {
		t.Errorf("%d pages of %d bytes; want %d of %d", p.KVPages, p.PageBytes, want, 16*2*8*64*16*2)
	}
	if !strings.Contains(p.String(), "2048 pages, 32768 tokens") {
		t.Errorf("printed plan %q does not name its pages", p)
	}
}

// TestPlanMemoryOfInt8: a byte for each number of a matrix, the head of a tied model among them, four for each column, and the embedding in bf16; and room to
// widen one matrix.
func TestPlanMemoryOfInt8(t *testing.T) {
	r := llama1B()
	plain, err := engine.PlanMemory(r)
	if err != nil {
		t.Fatal(err)
	}
	r.Int8 = true
	p, err := engine.PlanMemory(r)
	if err != nil {
		t.Fatal(err)
	}
	const embed, norms, layer, columns = 128256 * 2048, 33 * 2048, 2048*(3072+2048+16384) + 8192*2048, 3072 + 2048 + 16384 + 2048
	if want := int64(2*embed + 4*norms + (embed + 16*layer) + 4*(128256+16*columns)); p.Weights != want || p.WeightCount != plain.WeightCount {
		t.Errorf("%d bytes for %d parameters; want %d for %d", p.Weights, p.WeightCount, want, plain.WeightCount)
	}
	if more := p.Activations - plain.Activations; more != 2*embed {
		t.Errorf("activations grew by %d bytes; want a matrix of %d in bf16", more, embed)
	}
	r.Devices = 2
	if _, err := engine.PlanMemory(r); err == nil {
		t.Error("weights of 8 bits were planned on two devices; want an error")
	}
}

// TestPlanMemoryWithin: with less memory the pools shrink and stay within their share, down to one full context; below
// that the error names both numbers.
func TestPlanMemoryWithin(t *testing.T) {
	r := llama1B()
	for r.Available = 8 << 30; ; r.Available -= 64 << 20 {
		p, err := engine.PlanMemory(r)
		if err != nil {
			var small *engine.MemoryError
			if !errors.As(err, &small) || small.Available != r.Available || small.Needed <= r.Available {
				t.Fatalf("at %d bytes: %v; want a MemoryError with both numbers", r.Available, err)
			}
			if p.KVPages != 256 || r.Available < p.Weights {
				t.Fatalf("gave up with %d pages at %d bytes, weights %d", p.KVPages, r.Available, p.Weights)
			}
			return
		}
		left := r.Available - p.Weights - p.Activations
		if p.Needed() > r.Available || p.KVPages > 256 && float64(p.KV) > 0.8*float64(left) {
			t.Fatalf("at %d bytes: %+v", r.Available, p)
		}
	}
}

// TestPlanMemoryAsAsked: a wanted number of pages is taken as it is, or refused; it is never silently cut.
func TestPlanMemoryAsAsked(t *testing.T) {
	r := llama1B()
	r.Pages = 300
	if p, err := engine.PlanMemory(r); err != nil || p.KVPages != 300 {
		t.Errorf("%d pages, %v; want 300", p.KVPages, err)
	}
	r.Pages = 1 << 20
	if _, err := engine.PlanMemory(r); err == nil || !strings.Contains(err.Error(), "16384.0 MiB available") {
		t.Errorf("half a terabyte of pages on 16 GiB: %v; want an error with both numbers", err)
	}
	r.PageTokens = 0
	if _, err := engine.PlanMemory(r); err == nil || !strings.Contains(err.Error(), "PageTokens") {
		t.Errorf("pages of 0 tokens: %v; want an error that names PageTokens", err)
	}
}

// TestPlanMemoryOverDevices: each of four devices has a quarter of all matrices and of each page, and whole norms; logits stay whole. What does
// not divide is refused.
func TestPlanMemoryOverDevices(t *testing.T) {
	r := llama1B()
	one, err := engine.PlanMemory(r)
	if err != nil {
		t.Fatal(err)
	}
	r.Devices = 4
	four, err := engine.PlanMemory(r)
	if err != nil {
		t.Fatal(err)
	}
	norms := int64(2 * (2*16 + 1) * 2048) // bytes
	if want := (one.Weights-norms)/4 + norms; four.Weights != want || 4*four.PageBytes != one.PageBytes || four.WeightCount != one.WeightCount {
		t.Errorf("a quarter of %+v is %+v; want weights of %d bytes", one, four, want)
	}
	if logits := int64(4 * 64 << 20); four.Activations >= one.Activations || four.Activations < logits {
		t.Errorf("activations %d on each of four devices, %d on one; want less, but all logits", four.Activations, one.Activations)
	}
	if !strings.HasPrefix(four.String(), "memory on each of 4 devices: ") {
		t.Errorf("printed plan %q does not say that it is of each device", four)
	}
	for devices, want := range map[int]string{3: "do not divide by 3; it can be shared among 1, 2, 4, 8", 16: "8 key-value heads do not divide by 16", -1: "none below 0"} {
		r.Devices = devices
		if _, err := engine.PlanMemory(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d devices: got error %v; want one with %q", devices, err, want)
		}
	}
}

// TestPlanMemoryOfWindows: windows count up to their bound, and never for more than every slot at full length.
func TestPlanMemoryOfWindows(t *testing.T) {
	r := llama1B()
	without, err := engine.PlanMemory(r)
	if err != nil {
		t.Fatal(err)
	}
	for bound, want := range map[int64]int64{256 << 20: 256 << 20, 1 << 40: 8 * 4096 * 2 * 16 * 8 * 64 * 2} {
		r.WindowBytes = bound
		if p, err := engine.PlanMemory(r); err != nil || p.Activations-without.Activations != want {
			t.Errorf("windows bound to %d: activations grew by %d (%v); want %d", bound, p.Activations-without.Activations, err, want)
		}
	}
}

// TestPlanMemoryOfLongContexts: one context is gathered however small the bound is; scores of long ones do not grow with them.
func TestPlanMemoryOfLongContexts(t *testing.T) {
	r := llama1B()
	r.GatherBytes, r.MaxSlots = 1, 1
	short, err := engine.PlanMemory(r)
	if err != nil {
		t.Fatal(err)
	}
	r.MaxContextTokens *= 4
	long, err := engine.PlanMemory(r)
	if want := int64(3 * 4096 * 2 * 8 * 64 * 4); err != nil || long.Activations-short.Activations != want {
		t.Errorf("activations grew by %d (%v); want %d", long.Activations-short.Activations, err, want)
	}
}
