package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Llama1B is the shape of Llama 3.2 1B.
func Llama1B() Config {
	return Config{Vocab: 128256, Hidden: 2048, Layers: 16, Heads: 32, KVHeads: 8, HeadDim: 64, FFN: 8192, MaxPositions: 131072,
		NormEps: 1e-5, TiedHead: true, Rope: llama3Rope(32), BOS: 128000, EOS: []int32{128001}}
}

// Llama3B is the shape of Llama 3.2 3B.
func Llama3B() Config {
	return Config{Vocab: 128256, Hidden: 3072, Layers: 28, Heads: 24, KVHeads: 8, HeadDim: 128, FFN: 8192, MaxPositions: 131072,
		NormEps: 1e-5, TiedHead: true, Rope: llama3Rope(32), BOS: 128000, EOS: []int32{128001}}
}

// Llama8B is the shape of Llama 3.1 8B.
func Llama8B() Config {
	return Config{Vocab: 128256, Hidden: 4096, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336, MaxPositions: 131072,
		NormEps: 1e-5, Rope: llama3Rope(8), BOS: 128000, EOS: []int32{128001}}
}

// tiny has all parts of a Llama and runs anywhere within seconds.
func tiny() Config {
	return Config{Vocab: 512, Hidden: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 32, FFN: 128, MaxPositions: 4096,
		NormEps: 1e-5, TiedHead: true, Rope: Rope{Theta: 1e4}, BOS: -1}
}

func llama3Rope(factor float64) Rope {
	return Rope{Theta: 500000, Scaling: ScalingLlama3, Factor: factor, LowFreq: 1, HighFreq: 4, Original: 8192}
}

var knownShapes = map[string]func() Config{"tiny": tiny, "1b": Llama1B, "3b": Llama3B, "8b": Llama8B}

// Shape gives a shape by its name: 1b, 3b and 8b, which are published Llamas, and tiny, for trying things.
func Shape(name string) (Config, error) {
	if shape := knownShapes[name]; shape != nil {
		return shape(), nil
	}
	return Config{}, fmt.Errorf("no model shape is called %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(knownShapes)), ", "))
}
