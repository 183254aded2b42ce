package kto

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"astro/internal/device"
	"astro/model"
	"astro/model/modeltest"
	"astro/training/trainer"
)

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

// Loss, z and slopes are those of the article's formulas, computed by numpy.
func TestGoldenObjective(t *testing.T) {
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Objective     Objective
		R, Z, Slopes  []float64
		Good, Outcome []bool
		Loss          float64
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 9 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	bounded := 0
	for _, c := range cases {
		var labels []Label
		for i := range c.R {
			labels = append(labels, Label{Good: c.Good[i], Outcome: c.Outcome[i]})
		}
		w := c.Objective.of(labels, c.R)
		if n := len(labels); c.Objective.Balance && n >= 2*maxBalance && slices.Contains(c.Good, true) && count(c.Good)*2*maxBalance < n {
			bounded++
		}
		if !near(w.loss, c.Loss, 1e-12) || !near(w.z[steps], c.Z[0], 1e-12) || !near(w.z[outcomes], c.Z[1], 1e-12) {
			t.Errorf("%+v: loss %g, z %v; want %g, %v", c.Objective, w.loss, w.z, c.Loss, c.Z)
		}
		for i, want := range c.Slopes {
			if !near(w.slopes[i], want, 1e-9) {
				t.Errorf("%+v: slope %d is %g; want %g", c.Objective, i, w.slopes[i], want)
			}
		}
	}
	if bounded == 0 {
		t.Error("no case reaches the bound of a weight")
	}
}

func count(good []bool) (n int) {
	for _, g := range good {
		if g {
			n++
		}
	}
	return n
}

// someAnswers have labels of all kinds: overlapping, with gaps, on steps and outcomes, and tokens without one.
func someAnswers() []Answer {
	var all []Answer
	for i := range 7 {
		a := Answer{Tokens: []int32{0, int32(1 + i%3)}, Prompt: 2}
		for at := range 4 + i%3 {
			a.Tokens = append(a.Tokens, int32(4+(5*i+3*at)%10))
		}
		n := len(a.Tokens)
		a.Labels = []Label{{2, 4, i%2 == 0, false}, {4, n - 1, i%3 == 0, false}, {2, n, i%4 == 0, true}}
		all = append(all, a)
	}
	return all
}

// learnerOf is a learner on a fresh model, whose reference is another model.
func learnerOf(t *testing.T, d *device.Device, c Config) *learner {
	t.Helper()
	tr, err := loss().NewTrainer(d, tiny(t, d), c.schedule())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	w := tiny(t, d)
	values := modeltest.Values(w.Tensors)
	for i := range values[0] {
		values[0][i] += .1 * float32(i%5-2)
	}
	return &learner{config: c, trainer: tr, reference: modeltest.Weights(w.Config, values)}
}

func testConfig(rows, rowTokens int, o Objective) Config {
	c := Default()
	c.Rows, c.RowTokens, c.Objective = rows, rowTokens, o
	return c
}

// The gradient is that of the loss, which is written here a second time: some weights of every tensor, moved up and down.
func TestGradientIsFiniteDifference(t *testing.T) {
	for _, o := range []Objective{{Beta: 2, Good: 1, Bad: 1}, {Beta: .5, Good: 3, Bad: .5}} {
		t.Run(fmt.Sprint("beta ", o.Beta), func(t *testing.T) { checkGradient(t, learnerOf(t, open(t), testConfig(2, 12, o))) })
	}
}

func checkGradient(t *testing.T, l *learner) {
	answers := someAnswers()
	grads, worth := gradientOf(t, l, answers)
	batches, err := l.pack(answers) // anew: slopes have replaced the answers of tokens
	if err != nil {
		t.Fatal(err)
	}
	w, err := l.trainer.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if loss := lossOf(t, l, w, answers, batches, worth.z); !near(worth.loss, loss, 1e-6) {
		t.Errorf("the loss is %g; want %g", worth.loss, loss)
	}
	if t.Logf("z %v", worth.z); worth.z[steps] == 0 && worth.z[outcomes] == 0 || len(batches) < 2 {
		t.Errorf("z is %v in %d batches; the test wants one above 0, and several", worth.z, len(batches))
	}
	values := modeltest.Values(w.Tensors)
	const h = 3e-3
	largest := 0.0
	for i := range values {
		for _, at := range []int{len(values[i]) / 3, len(values[i]) - 1} {
			was := values[i][at]
			values[i][at] = was + h
			up := lossOf(t, l, modeltest.Weights(w.Config, values), answers, batches, worth.z)
			values[i][at] = was - h
			down := lossOf(t, l, modeltest.Weights(w.Config, values), answers, batches, worth.z)
			values[i][at] = was
			got, want := float64(grads[i][at]), (up-down)/(2*h)
			if largest = max(largest, math.Abs(want)); !near(got, want, 3e-4+.02*math.Abs(want)) {
				t.Errorf("tensor %d, element %d: gradient %g; finite difference %g", i, at, got, want)
			}
		}
	}
	if largest < .01 {
		t.Errorf("the largest difference is %g: too small to see anything", largest)
	}
}

// gradientOf is that of one update, and what its labels were worth.
func gradientOf(t *testing.T, l *learner, answers []Answer) ([][]float32, worth) {
	t.Helper()
	batches, err := l.pack(answers)
	if err != nil {
		t.Fatal(err)
	}
	w, err := l.weigh(answers, batches)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := l.trainer.Gradient(1, batches...)
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Free()
	grads, err := pending.Values()
	if err != nil {
		t.Fatal(err)
	}
	return grads, w
}

// lossOf is the loss under given weights, z held fixed. Columns must hold the answers of tokens.
func lossOf(t *testing.T, l *learner, w *model.Weights, answers []Answer, batches []*trainer.Batch, z [levels]float64) float64 {
	t.Helper()
	ratio := map[[2]int]float64{}
	for _, b := range batches {
		now, err := l.trainer.ScoreUnder(w, b)
		if err != nil {
			t.Fatal(err)
		}
		before, err := l.trainer.ScoreUnder(l.reference, b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Weights {
			if b.Segments[i] > 0 {
				ratio[[2]int{int(b.Columns[slope][i]), int(b.Positions[i]) + 1}] = float64(now[i]) - float64(before[i])
			}
		}
	}
	sum, n, o := 0.0, 0.0, l.config.Objective
	for i, a := range answers {
		for _, label := range a.Labels {
			r := 0.0
			for at := label.From; at < label.To; at++ {
				r += ratio[[2]int{i, at}]
			}
			x, weight := o.Beta*(r-z[label.level()]), o.Good
			if !label.Good {
				x, weight = -x, o.Bad
			}
			sum += weight - weight/(1+math.Exp(-x))
			n++
		}
	}
	return sum / n
}

// However answers are packed, the gradient is the same.
func TestPackingChangesNothing(t *testing.T) {
	d := open(t)
	var first [][]float32
	for _, shape := range [][3]int{{1, 7, 7}, {2, 12, 3}, {7, 7, 1}} {
		l := learnerOf(t, d, testConfig(shape[0], shape[1], Objective{Beta: 1, Good: 1, Bad: 1}))
		batches, err := l.pack(someAnswers())
		if err != nil {
			t.Fatal(err)
		}
		got, _ := gradientOf(t, l, someAnswers())
		if first == nil {
			first = got
		}
		if len(batches) != shape[2] {
			t.Errorf("rows %v: %d batches", shape, len(batches))
		}
		for i := range got {
			for j := range got[i] {
				if !near(float64(got[i][j]), float64(first[i][j]), 1e-6) {
					t.Fatalf("rows %v: tensor %d, element %d: got %g; want %g", shape, i, j, got[i][j], first[i][j])
				}
			}
		}
	}
}
