// Package native holds the bodies of the Llama forward pass on processors, in C, one set of inner loops for each instruction set, and makes
// them callable from programs on xla:cpu. Their operands are checked before anything is touched: a wrong shape, page or token is an error of
// the program's run.
//
// Weights are packed into one blob of bytes, keys and values live in one pool of bytes: few large arguments, because each argument of a
// program costs time.
package native

// #cgo CFLAGS: -O3 -I${SRCDIR}/../../internal/device/ffi
// #cgo emulated CFLAGS: -DEMULATED -Wno-psabi -I${SRCDIR}/testdata
// #cgo LDFLAGS: -lm -lpthread
// #include "handlers.h"
// #include "native.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"astro/internal/device"
)

// version is part of every target's name: executables on disk find a function by its name alone.
const version = "_v1"

// The functions that programs call; handlers.c says what each takes.
const (
	TargetEmbed     = "astro_embed" + version
	TargetAttention = "astro_attention" + version
	TargetMLP       = "astro_mlp" + version
	TargetNorm      = "astro_norm" + version
	TargetHead      = "astro_head" + version
	TargetCopy      = "astro_copy" + version
	TargetPack      = "astro_pack" + version
	TargetDraw      = "astro_draw" + version
)

// Those of training; learn_handlers.c says what each takes.
const (
	TargetDense            = "astro_dense" + version
	TargetDenseToX         = "astro_dense_to_x" + version
	TargetDenseToW         = "astro_dense_to_w" + version
	TargetChanged          = "astro_changed" + version
	TargetChangedToX       = "astro_changed_to_x" + version
	TargetChangedToChange  = "astro_changed_to_change" + version
	TargetNormRows         = "astro_norm_rows" + version
	TargetNormRowsBackward = "astro_norm_rows_backward" + version
	TargetGateRows         = "astro_gate_rows" + version
	TargetGateRowsBackward = "astro_gate_rows_backward" + version
	TargetSegments         = "astro_segments" + version
	TargetSegmentsBackward = "astro_segments_backward" + version
)

func init() {
	for target, handler := range map[string]unsafe.Pointer{
		TargetEmbed: C.native_embed, TargetAttention: C.native_attention, TargetMLP: C.native_mlp, TargetNorm: C.native_norm,
		TargetHead: C.native_head, TargetCopy: C.native_copy, TargetPack: C.native_pack,
		TargetDraw:  C.native_draw,
		TargetDense: C.native_dense, TargetDenseToX: C.native_dense_to_x, TargetDenseToW: C.native_dense_to_w,
		TargetChanged: C.native_changed, TargetChangedToX: C.native_changed_to_x, TargetChangedToChange: C.native_changed_to_change,
		TargetNormRows: C.native_norm_rows, TargetNormRowsBackward: C.native_norm_rows_backward,
		TargetGateRows: C.native_gate_rows, TargetGateRowsBackward: C.native_gate_rows_backward,
		TargetSegments: C.native_segments, TargetSegmentsBackward: C.native_segments_backward,
	} {
		device.DeclareNative(device.XLACPU, target, handler)
	}
}

// Weights says how matrices are stored.
type Weights int64

// The kinds of weights. Int8 and Int4 have an f16 scale for each column of 32 rows, and round activations to 8 bits.
const (
	F32 Weights = iota
	BF16
	Int8
	Int4
)

var weightNames = []string{"f32", "bf16", "int8", "int4"}

// String is the name that ParseWeights reads.
func (w Weights) String() string { return weightNames[w] }

// ParseWeights reads a kind's name.
func ParseWeights(name string) (Weights, error) {
	for i, n := range weightNames {
		if n == name {
			return Weights(i), nil
		}
	}
	return 0, fmt.Errorf("weights %q: want f32, bf16, int8 or int4", name)
}

// Pages says how pages hold keys and values.
type Pages int64

// The kinds of pages.
const (
	PagesF32 Pages = iota
	PagesBF16
	PagesF16
	PagesInt8 // with an f32 scale for each position
)

// Model is what a blob holds.
type Model struct {
	Weights                                             Weights
	Hidden, Heads, KVHeads, HeadDim, FFN, Layers, Vocab int
	Tied                                                bool
	Eps                                                 float32
}

func (m Model) c() C.Model {
	tied := C.int64_t(0)
	if m.Tied {
		tied = 1
	}
	return C.Model{weights: C.int64_t(m.Weights), hidden: C.int64_t(m.Hidden), heads: C.int64_t(m.Heads), kv_heads: C.int64_t(m.KVHeads),
		head_dim: C.int64_t(m.HeadDim), ffn: C.int64_t(m.FFN), layers: C.int64_t(m.Layers), vocab: C.int64_t(m.Vocab), tied: tied, eps: C.float(m.Eps)}
}

// Check says why a model of this shape cannot run here, or nil.
func (m Model) Check() error {
	c := m.c()
	if wrong := C.check_model(&c); wrong != nil {
		return fmt.Errorf("native kernels: %s", C.GoString(wrong))
	}
	return nil
}

// Attributes are those that every function wants.
func (m Model) Attributes() map[string]any {
	c := m.c()
	return map[string]any{"weights": int64(c.weights), "hidden": int64(c.hidden), "heads": int64(c.heads), "kv_heads": int64(c.kv_heads),
		"head_dim": int64(c.head_dim), "ffn": int64(c.ffn), "layers": int64(c.layers), "vocab": int64(c.vocab), "tied": int64(c.tied), "eps": m.Eps}
}

// Blob says where the parts of a packed model are, in bytes: those of layer l begin at l*Layer. Embed is 0 where the head serves.
type Blob struct {
	Layer                                     int
	AttnNorm, QKV, Out, MLPNorm, GateUp, Down int // in a layer
	FinalNorm, Head, Embed, Size              int
}

// Blob lays the model out. It must pass Check.
func (m Model) Blob() Blob {
	c, b := m.c(), C.Blob{}
	C.blob_of(&c, &b)
	return Blob{int(b.layer), int(b.attn_norm), int(b.qkv), int(b.out), int(b.mlp_norm), int(b.gate_up), int(b.down),
		int(b.final_norm), int(b.head), int(b.embed), int(b.size)}
}

// PageBytes is the size of one head's keys, or values, of a page.
func PageBytes(kind Pages, pageTokens, headDim int) int {
	return int(C.page_bytes(C.int(kind), C.int64_t(pageTokens), C.int64_t(headDim)))
}

// Level is an instruction set.
type Level int

// The levels, from slow to fast.
const (
	Plain Level = iota
	AVX2
	AVXVNNI // AVX2 with products of bytes in one instruction
	AVX512
	VNNI // AVX-512 with products of bytes in one instruction
)

var levelNames = []string{"plain", "avx2", "avxvnni", "avx512", "vnni"}

// String is the level's name.
func (l Level) String() string { return levelNames[l] }

// Levels are those that this processor has, from slow to fast.
func Levels() (has []Level) {
	for l := range Level(len(levelNames)) {
		if C.has_level(C.int(l)) != 0 {
			has = append(has, l)
		}
	}
	return has
}

// Best is the best level that this processor has.
func Best() Level { return Level(C.best_level()) }

// Used is the level in use: Best, unless Use said another.
func Used() Level { return Level(C.level()) }

// Use makes another level than the best the one in use, for tests and for finding faults.
func Use(name string) error {
	for i, n := range levelNames {
		if n != name {
			continue
		}
		if C.set_level(C.int(i)) == 0 {
			return fmt.Errorf("native kernels: this processor has no %s; its best level is %s", name, Best())
		}
		return nil
	}
	return fmt.Errorf("native kernels: no level %q; want one of %s", name, strings.Join(levelNames, ", "))
}

// SetThreads bounds the threads that share an operation, the caller's among them. Results do not depend on it.
func SetThreads(n int) { C.set_threads(C.int(n)) }

// Threads is that bound: what SetThreads said, or the number of processors.
func Threads() int { return int(C.threads()) }
