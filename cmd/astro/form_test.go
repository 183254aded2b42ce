package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/kernels/native"
	"astro/model/llama"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
)

// Where answers are computed in less than f32 a server that learns weighs them, says so at its start, and warns of int4; in f32 its limit
// is that of the worst token.
func TestRoundingIsToldAndWeighed(t *testing.T) {
	packed := func(w native.Weights) *llama.Packed { return &llama.Packed{Weights: w} }
	const half, single = dtypes.BFloat16, dtypes.Float32
	for _, c := range []struct {
		learn     string
		packed    *llama.Packed
		dtype, kv dtypes.DType
		compute   string
		says      string
		rounded   bool
		int8      bool // of the graph
	}{
		{"countdown", packed(native.F32), single, single, "auto", "", false, false},
		{"countdown", nil, single, single, "f32", "", false, false},
		{"", packed(native.Int8), single, single, "auto", "", true, false},
		{"feedback", packed(native.Int8), single, single, "auto", "level=INFO", true, false},
		{"feedback", packed(native.Int4), single, single, "auto", "level=WARN", true, false},
		{"countdown", packed(native.F32), single, dtypes.Float16, "auto", "level=INFO", true, false},
		{"countdown", nil, single, half, "auto", "level=INFO", true, false},
		{"countdown", nil, half, single, "auto", "level=INFO", true, false},
		{"countdown", packed(native.F32), single, single, "bf16", "", true, false},
		{"countdown", nil, single, single, "auto", "level=INFO", true, true},
	} {
		var said bytes.Buffer
		o := defaultServeOptions()
		o.learn, o.compute = c.learn, c.compute
		b := &backend{packed: c.packed, int8: c.int8, dtype: c.dtype, kvType: c.kv, device: &device.Device{}, context: 128}
		b.tellOfRounding(o, slog.New(slog.NewTextHandler(&said, nil)))
		if got := said.String(); !strings.Contains(got, c.says) || c.says == "" && got != "" {
			t.Errorf("%+v: said %q", c, got)
		}
		s := o.learnFlags.settings(b)
		if got := s.Limits.Gap == 0 && s.Limits.MeanGap > 0; got != c.rounded || (s.Optimizer.Compute == trainer.BF16) != (c.compute == "bf16") {
			t.Errorf("%+v: learns with %+v in %s", c, s.Limits, s.Optimizer.Compute)
		}
	}
}
