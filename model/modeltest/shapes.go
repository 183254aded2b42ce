package modeltest

import "astro/model"

// Llama1B is the shape of Llama 3.2 1B, Llama8B that of Llama 3.1 8B, with so many of their layers and positions.
func Llama1B(layers, positions int) model.Config {
	return model.Config{Vocab: 128256, Hidden: 2048, Layers: layers, Heads: 32, KVHeads: 8, HeadDim: 64, FFN: 8192, MaxPositions: positions,
		NormEps: 1e-5, TiedHead: true, Rope: llama3(32), BOS: 128000, EOS: []int32{128001}}
}

// Llama8B: see Llama1B.
func Llama8B(layers, positions int) model.Config {
	return model.Config{Vocab: 128256, Hidden: 4096, Layers: layers, Heads: 32, KVHeads: 8, HeadDim: 128, FFN: 14336, MaxPositions: positions,
		NormEps: 1e-5, Rope: llama3(8), BOS: 128000, EOS: []int32{128001}}
}

func llama3(factor float64) model.Rope {
	return model.Rope{Theta: 500000, Scaling: model.ScalingLlama3, Factor: factor, LowFreq: 1, HighFreq: 4, Original: 8192}
}
