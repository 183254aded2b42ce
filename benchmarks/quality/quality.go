// Package quality measures what a model loses when it runs in another form: fewer bits of weights, of keys and values. Every form reads the same
// texts and answers the same prompts as the truth does, the plain graph in f32.
package quality

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"astro/engine"
	"astro/internal/device"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
)

// Text is token ids that a model reads, at least two; the first of them has no log-probability. Its first Prompt tokens are what is answered.
type Text struct {
	Tokens []int32
	Prompt int
}

// Form is how a model runs: weights on native kernels, or the graph, on weights of 8 bits too, and the type of keys and values.
type Form struct {
	Weights engine.Form
	KV      dtypes.DType
}

// Truth is what all others are compared with.
var Truth = Form{engine.FormGraph, dtypes.Float32}

// DefaultForms are weights in every form, and keys and values in every type beside weights in f32.
func DefaultForms() []Form {
	return []Form{{engine.FormF32, dtypes.Float32}, {engine.FormBF16, dtypes.Float32}, {engine.FormInt8, dtypes.Float32}, {engine.FormInt4, dtypes.Float32},
		{engine.FormGraphInt8, dtypes.Float32},
		{engine.FormF32, dtypes.BFloat16}, {engine.FormF32, dtypes.Float16}}
}

var kvTypes = map[string]dtypes.DType{"f32": dtypes.Float32, "bf16": dtypes.BFloat16, "f16": dtypes.Float16}

// ParseForm reads WEIGHTS or WEIGHTS/KV, as in int8 and int8/bf16.
func ParseForm(name string) (Form, error) {
	weights, kv, given := strings.Cut(name, "/")
	if !given {
		kv = "f32"
	}
	form, err := engine.ParseForm(weights)
	if err == nil && form == engine.FormAuto {
		err = errors.New("want it by its name: graph, graph-int8, f32, bf16, int8 or int4")
	}
	if err != nil {
		return Form{}, fmt.Errorf("form %q: weights: %w", name, err)
	}
	kvType, ok := kvTypes[kv]
	if !ok || (form == engine.FormGraph || form == engine.FormGraphInt8) && kvType == dtypes.Float16 {
		return Form{}, fmt.Errorf("form %q: keys and values %q: want f32, bf16 or, but for the graph, f16", name, kv)
	}
	return Form{form, kvType}, nil
}

// String is the name that ParseForm reads.
func (f Form) String() string {
	for name, t := range kvTypes {
		if t == f.KV {
			return string(f.Weights) + "/" + name
		}
	}
	panic(fmt.Sprintf("BUG: got keys and values of %s; want one of %v", f.KV, kvTypes))
}

// Options says what is measured.
type Options struct {
	Forms     []Form // besides the truth
	Answers   int    // texts whose prompts are answered greedily, the first ones; 0 = none
	MaxTokens int    // of an answer, at least 1
}

// Run measures on weights in f32, which the caller keeps. A text that is longer than the model's context is cut. A form that the model or the
// machine cannot run has its reason in the Report; if none can be run, that is an error. note, if not nil, is told each form before it runs.
func Run(d *device.Device, policy *model.Policy, texts []Text, o Options, note func(Form)) (Report, error) {
	texts, cut, err := prepare(texts, policy.Weights.Config.MaxPositions, o)
	if err != nil {
		return Report{}, err
	}
	r := Report{Backend: string(d.Kind()), Texts: len(texts), CutTexts: cut, Answers: min(o.Answers, len(texts)), MaxTokens: o.MaxTokens}
	if note == nil {
		note = func(Form) {}
	}
	note(Truth)
	truth, err := measure(d, policy, Truth, texts, o)
	if err != nil {
		return Report{}, fmt.Errorf("measure %s: %w", Truth, err)
	}
	r.add(Truth, truth, truth)
	for _, f := range o.Forms {
		if why := cannot(d, policy.Weights.Config, f); why != nil {
			r.skip(f, why)
			continue
		}
		note(f)
		taken, err := measure(d, policy, f, texts, o)
		if err != nil {
			return Report{}, fmt.Errorf("measure %s: %w", f, err)
		}
		r.add(f, truth, taken)
	}
	return r, r.compared()
}

// cannot says why a form cannot be run, or nil.
func cannot(d *device.Device, c model.Config, f Form) error {
	_, err := engine.ChooseForm(d, c, f.Weights, dtypes.Float32, f.KV, pageTokens)
	return err
}

// prepare checks texts and cuts them to the context.
func prepare(texts []Text, context int, o Options) (fitting []Text, cut int, err error) {
	switch {
	case len(texts) == 0:
		return nil, 0, errors.New("no texts: want at least one")
	case len(o.Forms) == 0:
		return nil, 0, errors.New("no forms: want at least one")
	case o.Answers < 0 || o.MaxTokens < 1:
		return nil, 0, fmt.Errorf("%d answers of up to %d tokens: want at least 0, and at least 1", o.Answers, o.MaxTokens)
	}
	fitting = slices.Clone(texts)
	for i := range fitting {
		t := &fitting[i]
		if len(t.Tokens) < 2 || t.Prompt < 1 || t.Prompt > len(t.Tokens) {
			return nil, 0, fmt.Errorf("text %d has %d tokens, %d of them to be answered: want at least 2, and 1 to all", i+1, len(t.Tokens), t.Prompt)
		}
		if len(t.Tokens) > context {
			t.Tokens, cut = t.Tokens[:context], cut+1
		}
		t.Prompt = min(t.Prompt, len(t.Tokens)-1)
	}
	return fitting, cut, nil
}
