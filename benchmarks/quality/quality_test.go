package quality

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// demo is what the numbers game's model writes and reads: <bos> 3 7 2 9 -> 27 : and derivations, here by their token ids.
var demo = filepath.Join("..", "..", "models", "countdown-base")

func openDemo(t *testing.T, backend device.Kind) (*device.Device, *model.Policy) {
	t.Helper()
	d, err := device.Open(device.Options{Backend: string(backend)})
	if err != nil {
		t.Skipf("this machine cannot run %s: %v", backend, err)
	}
	w, err := model.Load(demo, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := model.NewPolicy(1, w)
	t.Cleanup(policy.Release)
	return d, policy
}

// texts are n sequences of any ids; prompts are their beginnings.
func texts(n int) []Text {
	list := make([]Text, n)
	for i := range list {
		tokens := []int32{1}
		for j := range 20 + i {
			tokens = append(tokens, int32(20+(7*i+11*j*j)%50))
		}
		list[i] = Text{tokens, 5}
	}
	return list
}

// Without native kernels there is nothing to compare with but the graph's own narrower weights, keys and values, and a run of others says why.
func TestRunWithoutNativeKernels(t *testing.T) {
	d, policy := openDemo(t, device.Go)
	o := Options{Forms: []Form{{engine.FormGraph, dtypes.BFloat16}, {engine.FormInt8, dtypes.Float32}, {engine.FormGraphInt8, dtypes.Float32}}, Answers: 2, MaxTokens: 4}
	r, err := Run(d, policy, texts(3), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	truth, bf16, int8, rounded := r.Rows[0], r.Rows[1], r.Rows[2], r.Rows[3]
	if truth.Ratio != 1 || truth.Gap != 0 || truth.Agree != 1 || truth.Same != 2 || r.Tokens != 20+21+22 || !(truth.Perplexity > 1) {
		t.Errorf("got %+v of %d tokens; want the truth to be like itself", truth, r.Tokens)
	}
	if !(rounded.MeanGap > bf16.MeanGap && rounded.KL > bf16.KL && rounded.KL < .001) {
		t.Errorf("got %+v of weights of 8 bits, %+v of bf16; want less than a thousandth of a nat, and more than bf16", rounded, bf16)
	}
	if !(bf16.Gap > 1e-4 && bf16.Gap < .5 && bf16.MeanGap < bf16.Gap && bf16.KL > 0) || math.Abs(bf16.Ratio-1) > .05 {
		t.Errorf("got %+v; want it near the truth, and not the same", bf16)
	}
	if !strings.Contains(int8.Skipped, "native") || !strings.Contains(r.Text(), "| int8/f32 | not run: ") {
		t.Errorf("got %+v in %s; want a reason", int8, r.Text())
	}
	o.Forms = o.Forms[1:2]
	if _, err := Run(d, policy, texts(3), o, nil); err == nil || !strings.Contains(err.Error(), "native") {
		t.Errorf("got %v; want why nothing was compared", err)
	}
}

// What is too long is cut, what is too short is refused.
func TestPrepare(t *testing.T) {
	o := Options{Forms: DefaultForms(), MaxTokens: 1}
	got, cut, err := prepare([]Text{{[]int32{1, 2, 3, 4}, 4}, {[]int32{1, 2}, 1}}, 3, o)
	if err != nil || cut != 1 || len(got[0].Tokens) != 3 || got[0].Prompt != 2 || len(got[1].Tokens) != 2 {
		t.Errorf("got %v, %d, %v", got, cut, err)
	}
	for _, bad := range [][]Text{nil, {{[]int32{1}, 1}}, {{[]int32{1, 2}, 0}}, {{[]int32{1, 2}, 3}}} {
		if _, _, err := prepare(bad, 8, o); err == nil {
			t.Errorf("%v passed", bad)
		}
	}
	for _, bad := range []Options{{MaxTokens: 1}, {Forms: DefaultForms()}, {Forms: DefaultForms(), MaxTokens: 1, Answers: -1}} {
		if _, _, err := prepare(texts(1), 99, bad); err == nil {
			t.Errorf("%+v passed", bad)
		}
	}
}

func TestParseForm(t *testing.T) {
	for _, f := range append(DefaultForms(), Truth) {
		if got, err := ParseForm(f.String()); got != f || err != nil {
			t.Errorf("%s: got %s, %v", f, got, err)
		}
	}
	if got, err := ParseForm("int8"); err != nil || got != (Form{engine.FormInt8, dtypes.Float32}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "auto", "int2", "int8/f64", "f32/", "graph/f16"} {
		if f, err := ParseForm(bad); err == nil {
			t.Errorf("%q gave %s", bad, f)
		}
	}
}

func scores(logprobs ...float64) engine.TokenScore {
	s := engine.TokenScore{TokenLogprob: sampler.TokenLogprob{Token: 0, Logprob: float32(logprobs[0])}}
	for i, l := range logprobs {
		s.Top = append(s.Top, sampler.TokenLogprob{Token: int32(i), Logprob: float32(l)})
	}
	return s
}

// The divergence is exact where all tokens are listed, and never above it where some are not.
func TestDivergence(t *testing.T) {
	p, q := []float64{.5, .3, .2}, []float64{.25, .25, .5}
	want, logP, logQ := 0., []float64{}, []float64{}
	for i := range p {
		want += p[i] * math.Log(p[i]/q[i])
		logP, logQ = append(logP, math.Log(p[i])), append(logQ, math.Log(q[i]))
	}
	a, b := scores(logP...), scores(logQ...)
	if got := divergence(&a, &b); math.Abs(got-want) > 1e-6 {
		t.Errorf("got %g; want %g", got, want)
	}
	if got := divergence(&a, &a); got != 0 {
		t.Errorf("got %g of a distribution to itself", got)
	}
	b.Top = b.Top[:1]
	if got := divergence(&a, &b); got <= 0 || got > want || math.Abs(got-(.5*math.Log(2)+.5*math.Log(.5/.75))) > 1e-6 {
		t.Errorf("got %g with one token listed; want that of two outcomes, below %g", got, want)
	}
}

func TestCompare(t *testing.T) {
	nothing := engine.TokenScore{}
	truth, form := scores(-.5, -1), scores(-.75, -.7)
	form.Top[0], form.Top[1] = form.Top[1], form.Top[0]
	d := compareScores([][]engine.TokenScore{{nothing, truth, truth}}, [][]engine.TokenScore{{nothing, form, truth}})
	if d.tokens != 2 || d.nll != 1.25 || d.gaps != .25 || d.largest != .25 || d.agree != 1 {
		t.Errorf("got %+v", d)
	}
	same, apart := compareAnswers([][]int32{{1, 2}, {1, 2, 3}, {1}, {4}}, [][]int32{{1, 2}, {1, 9, 3}, {1, 2, 3}, {}})
	if same != 1 || apart != 2./3 {
		t.Errorf("got %d the same, the others apart at %g; want 1 and the mean of 1, 1 and 0", same, apart)
	}
}
