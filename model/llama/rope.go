package llama

import (
	"math"

	"astro/model"

	"github.com/gomlx/gomlx/core/tensors"
)

// RopeTables makes the cosines and sines of every position below n: two tensors [n, headDim/2] f32, owned by the caller.
// They are made on the host once, so that no graph computes an angle and serving and training turn by the same bits.
func RopeTables(c model.Config, n int) (cos, sin *tensors.Tensor) {
	freqs := Frequencies(c)
	cosines := make([]float32, n*len(freqs))
	sines := make([]float32, n*len(freqs))
	for p := range n {
		for i, f := range freqs {
			angle := float64(float32(p) * f)
			cosines[p*len(freqs)+i] = float32(math.Cos(angle))
			sines[p*len(freqs)+i] = float32(math.Sin(angle))
		}
	}
	return tensors.FromFlatDataAndDimensions(cosines, n, len(freqs)), tensors.FromFlatDataAndDimensions(sines, n, len(freqs))
}

// Frequencies are the headDim/2 angles per position, in radians, after the Config's scaling. They are rounded to f32, as
// transformers does, because at long positions the rounding shows in the logits.
func Frequencies(c model.Config) []float32 {
	freqs := make([]float32, c.HeadDim/2)
	for i := range freqs {
		freqs[i] = float32(scaled(c.Rope, 1/math.Pow(c.Rope.Theta, float64(2*i)/float64(c.HeadDim))))
	}
	return freqs
}

func scaled(r model.Rope, freq float64) float64 {
	switch r.Scaling {
	case "":
		return freq
	case "linear":
		return freq / r.Factor
	case "llama3":
		return llama3(r, freq)
	}
	panic("BUG: got rope scaling " + r.Scaling + "; want one that Config accepts")
}

// llama3 keeps fast frequencies, divides slow ones by Factor and blends between (Llama 3.1's release; wavelengths in positions).
func llama3(r model.Rope, freq float64) float64 {
	wavelength := 2 * math.Pi / freq
	slow, fast := float64(r.Original)/r.LowFreq, float64(r.Original)/r.HighFreq
	switch {
	case wavelength < fast:
		return freq
	case wavelength > slow:
		return freq / r.Factor
	}
	smooth := (float64(r.Original)/wavelength - r.LowFreq) / (r.HighFreq - r.LowFreq)
	return (1-smooth)*freq/r.Factor + smooth*freq
}
