package engine

import (
	"slices"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/internal/device/hlo"
	"astro/model"
	"astro/model/modeltest"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// What an H200 would run, as its compiler left it: pools are updated in place and copied nowhere, a decode gathers no keys, and
// temporary memory stays within what PlanMemory prints. Models have their true widths; without ASTRO_TEST_CUDA_AOT=full, four of their layers.
func TestProgramsForH200(t *testing.T) {
	d := devicetest.H200(t)
	for name, shape := range map[string]func(layers, positions int) model.Config{"1b": modeltest.Llama1B, "8b": modeltest.Llama8B} {
		t.Run(name, func(t *testing.T) {
			layers := 4
			if devicetest.Full() {
				layers = map[string]int{"1b": 16, "8b": 32}[name]
			}
			checkForward(t, d, shape(layers, aotPositions))
		})
	}
}

// Weights of 8 bits for an H200: the products that read them widen them, so that no matrix is in memory in more bits, and a decode takes about as many
// kernels as with weights in bf16.
func TestInt8ForH200(t *testing.T) {
	d := devicetest.H200(t)
	for name, c := range map[string]model.Config{"1b": modeltest.Llama1B(4, aotPositions), "8b": modeltest.Llama8B(4, aotPositions)} {
		t.Run(name, func(t *testing.T) {
			f, plain := forwardFor(t, c, 1), forwardFor(t, c, 1)
			f.int8, f.weights = true, c.Int8Shapes(dtypes.BFloat16)
			pages := aotContext / aotPage
			for _, b := range []Bucket{{Seqs: 1, Tokens: 1, Pages: pages}, {Seqs: 8, Tokens: 1, Pages: pages}, {Seqs: aotSlots, Tokens: 1, Pages: pages},
				{Seqs: aotSlots, Tokens: 1, Pages: pages, Steps: CUDARolloutSteps}, {Seqs: 1, Tokens: aotChunk, Pages: pages}} {
				got := checkNotWidened(t, d, f, b)
				if b.Seqs == aotSlots && b.Steps == 0 {
					if want := checkNotWidened(t, d, plain, b); got > want+c.Layers { // one product may be in more parts, or in one
						t.Errorf("%v takes %d kernels; want the %d of bf16, or one more a layer", b, got, want)
					}
				}
			}
		})
	}
}

// checkNotWidened gives the number of a program's fused kernels. It wants no array of a matrix's size in more than 8 bits, and of a decode less temporary
// memory than the smallest matrix would take.
func checkNotWidened(t *testing.T, d *device.Device, f *forward, b Bucket) (fusions int) {
	t.Helper()
	bounds := devicetest.Bounds{TemporaryBytes: aotRequest(f.config).activations(f.config), CopyBytes: int64(f.poolShape().Memory())}
	if b.Tokens == 1 {
		bounds.TemporaryBytes = int64(2*f.config.Hidden*f.config.Hidden) - 1
	}
	if b.Steps > 0 { // and draws
		bounds.TemporaryBytes += 4 * int64(b.Seqs*f.config.Vocab*4)
	}
	for _, i := range devicetest.Check(t, d, f.spec(b), bounds).Module.Instructions {
		if i.InMemory && i.Opcode == "fusion" {
			fusions++
		}
		if i.InMemory && i.Opcode != "parameter" && i.Opcode != "get-tuple-element" && f.isMatrix(i.Shape) {
			t.Errorf("%v: %s %s is a matrix %v of %d bytes", b, i.Opcode, i.Name, i.Shape.Dims, i.Shape.Bytes())
		}
	}
	t.Logf("%v of 8 bits %v: %d fusions", b, f.int8, fusions)
	return fusions
}

// isMatrix says that a shape has as many elements as one of the matrices of 8 bits, and its input or output, and more bits.
func (f *forward) isMatrix(s hlo.Shape) bool {
	elements := int64(1)
	for _, n := range s.Dims {
		elements *= n
	}
	return s.Bytes() > elements && slices.ContainsFunc(f.weights, func(w shapes.Shape) bool {
		return w.DType == dtypes.Int8 && int64(w.Size()) == elements && (slices.Contains(s.Dims, int64(w.Dim(0))) || slices.Contains(s.Dims, int64(w.Dim(1))))
	})
}

// A chunk of 4,096 tokens at 16,384 of Llama 3.1 8B, whose scores would take 8 GiB: two calls of cuDNN in a layer, and no more memory than planned.
func TestLongChunkForH200(t *testing.T) {
	d := devicetest.H200(t)
	const layers, tokens, context = 2, 4096, 16384
	c := modeltest.Llama8B(layers, context)
	f, plan := forwardFor(t, c, 1), aotRequest(c)
	plan.StepTokens, plan.MaxContextTokens = aotSlots+tokens, context
	s := f.spec(Bucket{Seqs: 1, Tokens: tokens, Pages: context / aotPage})
	m := devicetest.Check(t, d, s, devicetest.Bounds{TemporaryBytes: min(plan.activations(c), 4*tokens*32*context/4), CopyBytes: int64(f.poolShape().Memory())}).Module
	if calls := m.Count("custom-call", "__cudnn$fmhaSoftmax"); calls != 2*layers {
		t.Errorf("cuDNN is called %d times; want %d", calls, 2*layers)
	}
}

// Over four H200s each updates its part of the pools in place, and all that crosses between them is two sums a layer and a gathering of
// the embeddings and of the logits.
func TestTensorParallelForH200(t *testing.T) {
	d := devicetest.H200(t)
	const layers, devices = 2, 4
	whole := modeltest.Llama8B(layers, aotPositions)
	f := forwardFor(t, whole, devices)
	bounds := devicetest.Bounds{TemporaryBytes: aotRequest(whole).activations(f.config), CopyBytes: int64(f.poolShape().Memory()), Devices: devices}
	want := map[string]int{"all-reduce": 2 * layers, "all-gather": 2, "all-to-all": 0, "collective-permute": 0, "reduce-scatter": 0, "collective-broadcast": 0}
	for _, b := range []Bucket{{Seqs: aotSlots, Tokens: 1, Pages: aotContext / aotPage}, {Seqs: 1, Tokens: aotChunk, Pages: aotContext / aotPage}} {
		m := devicetest.Check(t, d, f.spec(b), bounds).Module
		for opcode, calls := range want {
			if got := m.Count(opcode, "") + m.Count(opcode+"-start", ""); got != calls {
				t.Errorf("%s has %d of %s; want %d", b, got, opcode, calls)
			}
		}
	}
}

const (
	aotPositions = 4096
	aotSlots     = 64
	aotChunk     = 512
	aotContext   = 1024
	aotPage      = 16
)

func checkForward(t *testing.T, d *device.Device, c model.Config) {
	f := forwardFor(t, c, 1)
	plan := aotRequest(c)
	if devicetest.Full() {
		plan.StepTokens = aotSlots + 4*aotChunk
	}
	pool := int64(f.poolShape().Memory())
	for _, b := range aotBuckets() {
		bounds := devicetest.Bounds{TemporaryBytes: plan.activations(c), CopyBytes: pool}
		if b.Tokens == 1 { // less than one layer's keys, which are read where they are; a few products are made in parts
			bounds.TemporaryBytes = max(4<<20, int64(b.Seqs*b.Pages*aotPage*c.KVHeads*c.HeadDim*2))
			if b.Steps > 0 { // and draws
				bounds.TemporaryBytes += 4 * int64(b.Seqs*c.Vocab*4)
			}
		}
		devicetest.Check(t, d, f.spec(b), bounds)
	}
	devicetest.Check(t, d, f.copySpec(4), devicetest.Bounds{TemporaryBytes: pool / 64, CopyBytes: pool})
}

// aotBuckets are a decode, decodes of many tokens, a prefill and a scored prefill, or all that a server of such limits can want.
func aotBuckets() (list []Bucket) {
	pages := aotContext / aotPage
	if !devicetest.Full() {
		return []Bucket{{Seqs: 1, Tokens: 1, Pages: pages}, {Seqs: aotSlots, Tokens: 1, Pages: pages},
			{Seqs: aotSlots, Tokens: 1, Pages: pages, Steps: CUDARolloutSteps}, {Seqs: aotSlots, Tokens: 1, Pages: pages, Steps: CUDARolloutSteps, Cuts: sampler.Cuts{TopK: true, TopP: true}},
			{Seqs: 1, Tokens: aotChunk, Pages: pages}, {Seqs: 1, Tokens: 128, Pages: pages, Score: true}}
	}
	for n := 1; n <= 4*aotSlots; n *= 2 {
		list = append(list, Bucket{Seqs: n, Tokens: 1, Pages: pages}, Bucket{Seqs: n, Tokens: 1, Pages: 4 * pages},
			Bucket{Seqs: n, Tokens: 1, Pages: pages, Steps: CUDARolloutSteps})
	}
	for n := 32; n <= 4*aotChunk; n *= 2 {
		list = append(list, Bucket{Seqs: 1, Tokens: n, Pages: pages}, Bucket{Seqs: 1, Tokens: n, Pages: 4 * pages})
	}
	return list
}

// forwardFor is what each of so many devices runs of a model.
func forwardFor(t *testing.T, whole model.Config, devices int) *forward {
	c, err := whole.Share(devices)
	if err != nil {
		t.Fatal(err)
	}
	f := &forward{devices: devices, config: c, positions: c.MaxPositions, pages: 2 * 4 * aotSlots * aotContext / aotPage, pageTokens: aotPage, kvType: dtypes.BFloat16}
	for _, s := range model.Layout(whole) {
		s.Dims = s.ShareDims(devices)
		f.weights = append(f.weights, s.Shape(dtypes.BFloat16))
	}
	return f
}

func aotRequest(c model.Config) *MemoryRequest {
	return &MemoryRequest{Model: c, WeightBytes: 2, KVBytes: 2, WeightSets: 1, MaxSlots: aotSlots, StepTokens: aotSlots + aotChunk, PageTokens: aotPage,
		MaxContextTokens: aotPositions, GatherBytes: DefaultGatherBytes, LogitsBytes: DefaultLogitsBytes}
}
