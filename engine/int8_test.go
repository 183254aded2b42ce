package engine_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// TestInt8IsTheGraphOnItsNumbers: with weights of 8 bits a model has the logits and draws the tokens of the plain graph on the numbers that its
// bytes stand for, and they are not those of the file.
func TestInt8IsTheGraphOnItsNumbers(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		names := []string{"llama3-tied-hub-bf16"}
		if d.Kind() == device.Go { // which need not compile
			names = append(names, "mha")
		}
		for _, name := range names {
			f, c := modeltest.Named(t, name), smallRunner(dtypes.Float32)
			p, wide := int8Policies(t, d, f)
			c.Form, c.Pages = engine.FormGraph, 512
			truth := newRunner(t, d, wide, c)
			c.Form = engine.FormGraphInt8
			r := newRunner(t, d, p, c)
			got, want, worst := logitsOf(t, r, f, c), logitsOf(t, truth, f, c), 0.0
			for i := range want {
				worst = max(worst, math.Abs(float64(got[i]-want[i])))
			}
			if worst > modeltest.MaxLogitDiff {
				t.Errorf("%s: logits differ by up to %g; want at most %g", name, worst, modeltest.MaxLogitDiff)
			}
			if far := compareLogits(t, r, f, c); far < 5*modeltest.MaxLogitDiff {
				t.Errorf("%s: logits are within %g of the file's: nothing was rounded", name, far)
			}
			drawn, _ := drawAhead(t, r, c, 1)
			expected, _ := drawAhead(t, truth, c, 1)
			for i := range expected {
				compareDraws(t, fmt.Sprintf("%s, request %d", name, i), drawn[i], expected[i], maxScoreGap)
			}
		}
	})
}

// int8Policies loads a fixture in 8 bits, and the numbers that its bytes stand for in f32, with a head of its own.
func int8Policies(t *testing.T, d *device.Device, f modeltest.Fixture) (p, wide *model.Policy) {
	t.Helper()
	w, err := model.LoadInt8(f.Dir, d, dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, wide = model.NewPolicy(1, w), model.NewPolicy(1, widened(w))
	t.Cleanup(p.Release)
	t.Cleanup(wide.Release)
	return p, wide
}

// widened multiplies every matrix by its scales.
func widened(w *model.Weights) *model.Weights {
	rounded := 0
	for _, x := range w.Tensors {
		if x.DType() == dtypes.Int8 {
			rounded++
		}
	}
	list, scales := w.Tensors[:len(w.Tensors)-rounded], w.Tensors[len(w.Tensors)-rounded:]
	out := &model.Weights{Config: w.Config}
	for _, x := range list {
		if x.DType() != dtypes.Int8 {
			out.Tensors = append(out.Tensors, tensors.FromFlatDataAndDimensions(tensors.MustCopyFlatData[float32](x), x.Shape().Dimensions...))
			continue
		}
		s, q := tensors.MustCopyFlatData[float32](scales[0]), tensors.MustCopyFlatData[int8](x)
		scales = scales[1:]
		numbers := make([]float32, len(q))
		for i, v := range q {
			numbers[i] = float32(v) * s[i%len(s)]
		}
		out.Tensors = append(out.Tensors, tensors.FromFlatDataAndDimensions(numbers, x.Shape().Dimensions...))
	}
	if last := len(out.Tensors) - 1; out.Config.TiedHead { // its head is behind the layers
		out.Tensors = slices.Insert(out.Tensors[:last:last], 2, out.Tensors[last])
		out.Config.TiedHead = false
	}
	return out
}

// TestInt8Refuses: weights of other bits are not published beside those of 8, and several devices do not share them.
func TestInt8Refuses(t *testing.T) {
	d, f, c := openDevice(t, device.Go), modeltest.Named(t, "mha"), smallRunner(dtypes.Float32)
	p, wide := int8Policies(t, d, f)
	c.Form = engine.FormGraphInt8
	r := newRunner(t, d, p, c)
	if err := r.Publish(model.NewPolicy(2, wide.Weights)); err == nil || !strings.Contains(err.Error(), "the served model") {
		t.Errorf("published weights in f32 beside 8 bits: %v", err)
	}
	for form, want := range map[engine.Form]string{engine.FormGraphInt8: "8 bits are on one device", engine.FormInt8: "native kernels run on one device"} {
		if _, err := form.On(device.XLACPU, 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s on two devices: %v; want %q", form, err, want)
		}
	}
	if form, err := engine.FormInt8.On(device.XLACUDA, 1); err != nil || form != engine.FormGraphInt8 {
		t.Errorf("int8 on a GPU is %q, %v; want %q", form, err, engine.FormGraphInt8)
	}
	if form, err := engine.FormAuto.On(device.XLACPU, 2); err != nil || form != engine.FormGraph {
		t.Errorf("auto on two devices is %q, %v; want %q", form, err, engine.FormGraph)
	}
}
