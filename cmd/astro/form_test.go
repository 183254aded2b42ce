package main

import (
	"bytes"
	"log/slog"
	"testing"

	"astro/kernels/native"
	"astro/model/llama"

	"github.com/gomlx/compute/dtypes"
)

// A server that learns says at its start when its form rounds what the trainer does not.
func TestWarnOfRounding(t *testing.T) {
	for _, c := range []struct {
		learn  string
		packed *llama.Packed
		kv     dtypes.DType
		want   bool
	}{
		{"countdown", &llama.Packed{Weights: native.F32}, dtypes.Float32, false},
		{"countdown", nil, dtypes.Float32, false},
		{"", &llama.Packed{Weights: native.Int8}, dtypes.Float32, false},
		{"feedback", &llama.Packed{Weights: native.Int8}, dtypes.Float32, true},
		{"countdown", &llama.Packed{Weights: native.F32}, dtypes.Float16, true},
		{"countdown", nil, dtypes.BFloat16, true},
	} {
		var said bytes.Buffer
		o := serveOptions{}
		o.learn = c.learn
		(&backend{packed: c.packed, kvType: c.kv}).warnOfRounding(o, slog.New(slog.NewTextHandler(&said, nil)))
		if got := bytes.Contains(said.Bytes(), []byte("--weights f32 --kv f32 learns")); got != c.want {
			t.Errorf("%+v: said %q; want a warning: %v", c, said.String(), c.want)
		}
	}
}
