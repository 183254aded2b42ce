package sampler

import (
	"math"
	"testing"
)

// chiSquare compares counts with probabilities: how many standard deviations the statistic is above its mean, by the normal
// approximation of Wilson and Hilferty. Cells that expect less than 10 are counted as one; a count where nothing may be is +Inf.
func chiSquare(counts []int, probs []float64) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	chi2, cells, restCount, restWant := 0.0, 0, 0.0, 0.0
	add := func(count, want float64) {
		chi2 += (count - want) * (count - want) / want
		cells++
	}
	for i, n := range counts {
		switch want := probs[i] * float64(total); {
		case probs[i] == 0 && n > 0:
			return math.Inf(1)
		case want < 10:
			restCount, restWant = restCount+float64(n), restWant+want
		default:
			add(float64(n), want)
		}
	}
	if restWant > 0 {
		add(restCount, restWant)
	}
	df := float64(max(1, cells-1))
	return (math.Cbrt(chi2/df) - (1 - 2/(9*df))) / math.Sqrt(2/(9*df))
}

// tooFar is a limit that right draws pass once in three million times, and these seeds are fixed.
const tooFar = 5

// countDraws draws n times, each at a seed and a position of its own.
func countDraws(t *testing.T, logits []float32, row Row, n int) []int {
	t.Helper()
	counts := make([]int, len(logits))
	history := make([]int32, n/16+1)
	for i := range n {
		r := row
		r.Params.Seed = uint64(i % 16)
		r.Prompt = append(history[:i/16:i/16], row.Prompt...)
		c, err := Host(logits, &r)
		if err != nil {
			t.Fatal(err)
		}
		counts[c.Token]++
	}
	return counts
}

func testLogits() []float32 {
	return []float32{2, -1, 0.5, 0.5, 1.5, -3, 0, 1.75, -0.5, 0.25, -8, 1}
}

// distributions are rows that are drawn from in the tests below.
var distributions = map[string]func(p *Params){
	"temperature 0.7": func(p *Params) { p.Temperature = 0.7 },
	"temperature 1":   func(p *Params) {},
	"temperature 1.5": func(p *Params) { p.Temperature = 1.5 },
	"top-k":           func(p *Params) { p.TopK = 5 },
	"top-p":           func(p *Params) { p.Temperature, p.TopP = 1.5, 0.8 },
	"min-p":           func(p *Params) { p.Temperature, p.MinP = 0.7, 0.1 },
	"bias":            func(p *Params) { p.LogitBias = map[int32]float32{0: -5, 10: 8} },
	"all filters":     func(p *Params) { p.Temperature, p.TopK, p.TopP, p.MinP = 1.5, 9, 0.9, 0.05 },
	"penalties":       func(p *Params) { p.PresencePenalty, p.FrequencyPenalty = 0.5, 0.25 },
	"everything": func(p *Params) {
		p.Temperature, p.TopK, p.TopP, p.FrequencyPenalty, p.LogitBias = 0.7, 8, 0.95, 0.5, map[int32]float32{1: 2}
	},
}

func TestDrawsFollowTheDistribution(t *testing.T) {
	for name, change := range distributions {
		row := Row{Params: Default(), Output: []int32{0, 0, 4, 7}}
		change(&row.Params)
		o := newOracle(testLogits(), &row)
		counts := countDraws(t, testLogits(), row, 20000)
		if z := chiSquare(counts, o.probs); z > tooFar || !o.clear {
			t.Errorf("%s: the draws %v are %.1f standard deviations off %.4v", name, counts, z, o.probs)
		}
	}
}

// Repetition counts the prompt, which the draws above make longer and longer; here only the seed changes.
func TestRepetitionFollowsTheDistribution(t *testing.T) {
	row := Row{Params: Default(), Prompt: []int32{0, 1}, Output: []int32{4}}
	row.Params.RepetitionPenalty = 1.5
	counts := make([]int, len(testLogits()))
	for row.Params.Seed = range uint64(20000) {
		c, err := Host(testLogits(), &row)
		if err != nil {
			t.Fatal(err)
		}
		counts[c.Token]++
	}
	if z := chiSquare(counts, newOracle(testLogits(), &row).probs); z > tooFar {
		t.Errorf("the draws %v are %.1f standard deviations off", counts, z)
	}
}

// The test above would see a temperature that is 10 % off, a filter that is missing, and a penalty that is.
func TestChiSquareFindsWrongDistributions(t *testing.T) {
	wrong := map[string]struct{ drawn, claimed func(p *Params) }{
		"temperature": {func(p *Params) { p.Temperature = 1.1 }, func(p *Params) {}},
		"top-k":       {func(p *Params) { p.TopK = 7 }, func(p *Params) { p.TopK = 8 }},
		"top-k wider": {func(p *Params) { p.TopK = 8 }, func(p *Params) { p.TopK = 7 }},
		"presence":    {func(p *Params) { p.PresencePenalty = 0.2 }, func(p *Params) {}},
	}
	for name, c := range wrong {
		drawn, claimed := Row{Params: Default(), Output: []int32{0}}, Row{Params: Default(), Output: []int32{0}}
		c.drawn(&drawn.Params)
		c.claimed(&claimed.Params)
		if z := chiSquare(countDraws(t, testLogits(), drawn, 20000), newOracle(testLogits(), &claimed).probs); z <= tooFar {
			t.Errorf("%s: draws of another distribution are only %.1f standard deviations off", name, z)
		}
	}
}

// In a flat distribution over a large vocabulary every token has its turn: noise that is too coarse would favour low ids.
func TestFlatDistributionOverManyTokens(t *testing.T) {
	logits := make([]float32, 32*256)
	counts, probs := make([]int, 32), make([]float64, 32)
	row := Row{Params: Default()}
	for row.Params.Seed = range uint64(600) {
		c, err := Host(logits, &row)
		if err != nil {
			t.Fatal(err)
		}
		counts[c.Token/256]++
	}
	for i := range probs {
		probs[i] = 1.0 / 32
	}
	if z := chiSquare(counts, probs); z > tooFar {
		t.Errorf("the draws per 256 tokens, %v, are %.1f standard deviations off", counts, z)
	}
}
