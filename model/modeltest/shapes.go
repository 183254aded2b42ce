package modeltest

import "astro/model"

// Llama1B is the shape of Llama 3.2 1B, Llama8B that of Llama 3.1 8B, with so many of their layers and positions.
func Llama1B(layers, positions int) model.Config { return cut(model.Llama1B(), layers, positions) }

// Llama8B: see Llama1B.
func Llama8B(layers, positions int) model.Config { return cut(model.Llama8B(), layers, positions) }

func cut(c model.Config, layers, positions int) model.Config {
	c.Layers, c.MaxPositions = layers, positions
	return c
}
