package grpo

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"
	"astro/training/trainer"
)

// Options of the loss that are tested one by one.
func options() map[string]Config {
	all := map[string]Config{}
	for _, n := range []Norm{NormTokens, NormSequences, NormConstant} {
		c := testConfig()
		c.Norm = n
		all["norm "+string(n)] = c
	}
	for name, o := range map[string]Objective{
		"symmetric clip": {ClipLow: .2, ClipHigh: .2}, "dual clip": {ClipLow: .2, ClipHigh: .28, DualClip: 1.15},
		"KL": {ClipLow: .2, ClipHigh: .28, KL: .3}, "KL and dual clip": {ClipLow: .1, ClipHigh: .5, DualClip: 1.2, KL: 1},
	} {
		c := testConfig()
		c.Objective = o
		all[name] = c
	}
	for _, k := range []Kind{KindClip, KindGSPO, KindCISPO} {
		for _, kl := range []float64{0, .3} {
			for _, tis := range []float64{0, 1.1} {
				c := testConfig()
				c.Objective = Objective{Kind: k, ClipLow: .2, ClipHigh: .28, KL: kl, Staleness: Staleness{TIS: tis}}
				all[fmt.Sprintf("%s, KL %g, staleness %g", k, kl, tis)] = c
			}
		}
	}
	for name, a := range map[string]Advantages{"group scale": {Scale: ScaleGroup}, "batch scale": {Scale: ScaleBatch}, "leave one out": {Scale: ScaleNone, LeaveOneOut: true}} {
		c := testConfig()
		c.Advantages = a
		all[name] = c
	}
	return all
}

// The gradient is that of the loss, which is written here a second time in plain Go: some weights of every tensor, moved up and down.
func TestGradientIsFiniteDifference(t *testing.T) {
	for name, c := range options() {
		t.Run(name, func(t *testing.T) { checkGradient(t, open(t, device.Go), c) })
	}
	t.Run("xla:cpu", func(t *testing.T) { checkGradient(t, open(t, device.XLACPU), options()["gspo, KL 0.3, staleness 1.1"]) })
}

func checkGradient(t *testing.T, d *device.Device, c Config) {
	l := learnerOf(t, d, c, nil)
	batches, norm, err := l.batches(someGroups(l))
	if err != nil {
		t.Fatal(err)
	}
	pending, err := l.trainer.Gradient(norm, batches...)
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Free()
	grads, err := pending.Values()
	if err != nil {
		t.Fatal(err)
	}
	w, err := l.trainer.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	values := modeltest.Values(w.Tensors)
	if loss := lossOf(t, l, w, batches, norm); !near(pending.Stats.Loss, loss, 1e-5) {
		t.Errorf("the loss is %g; want %g", pending.Stats.Loss, loss)
	}
	const h = 3e-3
	for i := range values {
		for _, at := range []int{len(values[i]) / 3, len(values[i]) - 1} {
			was := values[i][at]
			values[i][at] = was + h
			up := lossOf(t, l, modeltest.Weights(w.Config, values), batches, norm)
			values[i][at] = was - h
			down := lossOf(t, l, modeltest.Weights(w.Config, values), batches, norm)
			values[i][at] = was
			if got, want := float64(grads[i][at]), (up-down)/(2*h); !near(got, want, 1e-3+.02*math.Abs(want)) {
				t.Errorf("tensor %d, element %d: gradient %g; finite difference %g", i, at, got, want)
			}
		}
	}
}

// lossOf is the loss under given weights, by the formula and in f64. What no gradient flows through is computed at the trainer's own.
func lossOf(t *testing.T, l *Learner, w *model.Weights, batches []*trainer.Batch, norm float64) float64 {
	t.Helper()
	o, sum := l.config.Objective, 0.0
	for _, b := range batches {
		now, err := l.trainer.ScoreUnder(w, b)
		if err != nil {
			t.Fatal(err)
		}
		fixed, err := l.trainer.Score(b)
		if err != nil {
			t.Fatal(err)
		}
		for i, weight := range b.Weights {
			if weight == 0 {
				continue
			}
			term := -gainOf(o, b, now, fixed, i)
			if o.KL > 0 {
				d := float64(b.Columns[reference][i]) - float64(now[i])
				term += o.KL * (math.Exp(d) - d - 1)
			}
			sum += term * float64(weight)
		}
	}
	return sum * norm
}

// gainOf is what token i of a batch gains.
func gainOf(o Objective, b *trainer.Batch, now, fixed []float32, i int) float64 {
	a := float64(b.Columns[advantage][i])
	logRatio := func(logprobs []float32, i int) float64 {
		return float64(logprobs[i]) - float64(b.Columns[behaviour][i])
	}
	clip := func(ratio float64) float64 { return max(1-o.ClipLow, min(1+o.ClipHigh, ratio)) }
	ratio := math.Exp(logRatio(now, i))
	switch o.Kind {
	case KindCISPO:
		return clip(math.Exp(logRatio(fixed, i))) * a * float64(now[i])
	case KindGSPO:
		sum, n := 0.0, 0.0
		for j, weight := range b.Weights {
			if j/b.Tokens == i/b.Tokens && b.Segments[j] == b.Segments[i] && weight != 0 {
				sum, n = sum+logRatio(now, j), n+1
			}
		}
		ratio = math.Exp(sum / n)
	}
	gain := min(ratio*a, clip(ratio)*a)
	if o.DualClip > 0 && a < 0 {
		gain = max(gain, o.DualClip*a)
	}
	return gain
}

// batches are those of one update from these groups, none left out.
func (l *Learner) batches(groups []Group) ([]*trainer.Batch, float64, error) {
	shares, err := l.shares(groups, &Report{})
	if err != nil {
		return nil, 0, err
	}
	return shares[0].batches, shares[0].norm, nil
}

func gradientOf(t *testing.T, l *Learner, groups []Group) [][]float32 {
	t.Helper()
	batches, norm, err := l.batches(groups)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := l.trainer.Gradient(norm, batches...)
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Free()
	values, err := pending.Values()
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// A group without contrast in the middle of others adds exactly nothing: gradient, what is told of it and the weights that it makes are
// bit for bit those without the group, whatever the kind, with a KL part and with weights for staleness too.
func TestLearnLeavesOutWhatHasNoContrast(t *testing.T) {
	d := open(t, device.Go)
	for _, o := range []Objective{{}, {KL: .5}, {Kind: KindGSPO, KL: .5}, {Kind: KindCISPO, KL: .5}, {KL: .5, Staleness: Staleness{TIS: 2}}} {
		c := testConfig()
		o.ClipLow, o.ClipHigh = .2, .28
		c.Objective, c.Limits.Gap, c.Limits.KL = o, 10, 10
		var reports [2]Report
		var grads, weights [2][][]float32
		for i := range 2 {
			l := learnerOf(t, d, c, nil)
			groups := someGroups(l)
			flatGroup := groups[2]
			groups = groups[:2:2]
			if i == 1 {
				groups = slices.Insert(groups, 1, flatGroup)
			}
			grads[i] = gradientOf(t, l, contrasting(groups))
			if err := l.learn(groups, &reports[i]); err != nil || reports[i].Updates != 1 {
				t.Fatalf("%+v: %d updates, %q, %v", o, reports[i].Updates, reports[i].Refused, err)
			}
			w, err := l.trainer.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			weights[i] = modeltest.Values(w.Tensors)
		}
		same := func(x [2][][]float32) bool { return slices.EqualFunc(x[0], x[1], slices.Equal[[]float32]) }
		if !same(grads) || !same(weights) || !reflect.DeepEqual(reports[0], reports[1]) {
			t.Errorf("%+v: a group without contrast changes what is learned: %+v and %+v", o, reports[0], reports[1])
		}
	}
}
