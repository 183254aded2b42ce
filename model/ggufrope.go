package model

import (
	"fmt"
	"math"
	"strings"

	"astro/model/gguf"
)

// Llama 3's form of scaling has these in every published model; GGUF files keep only what follows from them.
const (
	llama3LowFreq  = 1
	llama3HighFreq = 4
)

// ggufRope reads how positions turn into angles. GGUF has no name for Llama 3's scaling: it stores what each frequency is divided by.
func ggufRope(f *gguf.File, k *gguf.Keys, c Config) (Rope, error) {
	r := Rope{Theta: k.Float(ggufPrefix+"rope.freq_base", 10000)}
	factor := k.Float(ggufPrefix+"rope.scaling.factor", k.Float(ggufPrefix+"rope.scale_linear", 0))
	kind := k.Text(ggufPrefix + "rope.scaling.type")
	if kind == "" && factor != 0 && factor != 1 {
		kind = ScalingLinear
	}
	factors, scaled := f.Tensor(ropeFactorsName)
	if k.Err != nil {
		return Rope{}, k.Err
	}
	switch kind {
	case "", "none":
	case ScalingLinear:
		r.Scaling, r.Factor = kind, factor
	default:
		return Rope{}, unsupportedRope(kind)
	}
	if !scaled {
		return r, nil
	}
	if r.Scaling != ScalingNone {
		return Rope{}, fmt.Errorf("it has both %s and rope scaling %q; this is not supported", ropeFactorsName, kind)
	}
	if len(factors.Dims) != 1 || factors.Dims[0] != c.HeadDim/2 {
		return Rope{}, fmt.Errorf("tensor %q has shape %v; want [%d], half of a head", ropeFactorsName, factors.Dims, c.HeadDim/2)
	}
	values := make([]float32, factors.Len())
	factors.Floats(values, 0)
	return llama3FromFactors(r, values, c.HeadDim)
}

// llama3FromFactors finds the scaling of which the factors follow: the last is Factor, and one between 1 and Factor tells Original.
func llama3FromFactors(r Rope, factors []float32, headDim int) (Rope, error) {
	const published = 8192 // Original where no factor is between
	last := float64(factors[len(factors)-1])
	found := Rope{Theta: r.Theta, Scaling: ScalingLlama3, Factor: last, LowFreq: llama3LowFreq, HighFreq: llama3HighFreq, Original: published}
	if !(last >= 1) || !(r.Theta > 1) {
		return Rope{}, unknownFactors()
	}
	if last == 1 {
		found = r
	}
	for i, f := range factors {
		if v := float64(f); v > 1.001 && v < 0.999*last {
			smooth := (1/v - 1/last) / (1 - 1/last)
			found.Original = int(math.Round(wavelength(r, i, headDim) * (smooth*(llama3HighFreq-llama3LowFreq) + llama3LowFreq)))
			break
		}
	}
	for i, f := range factors {
		if want := found.divisor(wavelength(r, i, headDim)); !(math.Abs(float64(f)-want) <= 1e-4*want) {
			return Rope{}, unknownFactors()
		}
	}
	return found, nil
}

func unknownFactors() error {
	return fmt.Errorf("the factors in %s are not those of Llama 3's scaling with low_freq_factor %d and high_freq_factor %d; others are not supported: "+
		"use the Hugging Face folder of the model", ropeFactorsName, llama3LowFreq, llama3HighFreq)
}

// wavelength is how many positions the pair i of a head takes for a full turn, without scaling.
func wavelength(r Rope, i, headDim int) float64 {
	return 2 * math.Pi * math.Pow(r.Theta, float64(2*i)/float64(headDim))
}

// divisor is what Llama 3's scaling divides the frequency of a wavelength by.
func (r Rope) divisor(wavelength float64) float64 {
	if r.Scaling == ScalingNone {
		return 1
	}
	turns := float64(r.Original) / wavelength
	smooth := min(1, max(0, (turns-r.LowFreq)/(r.HighFreq-r.LowFreq)))
	return 1 / ((1-smooth)/r.Factor + smooth)
}

func hasSuffix(s string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}
