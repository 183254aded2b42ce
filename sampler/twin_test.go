package sampler

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What the tests of the device form need: rows of every kind, and the comparison of two forms' choices.

// anyLogits are of many kinds: smooth, tied, one far above the rest, partly -Inf, constant, huge.
func anyLogits(r *rand.Rand, vocab int) []float32 {
	logits := make([]float32, vocab)
	spread := math.Exp(4*r.Float64() - 1)
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * spread)
	}
	switch r.IntN(8) {
	case 0, 1:
		return gridLogits(r, vocab)
	case 2:
		logits[r.IntN(vocab)] = float32(math.Pow(10, r.Float64()*38))
	case 3:
		for i := range logits {
			if i > 0 && r.IntN(3) > 0 {
				logits[i] = float32(math.Inf(-1))
			}
		}
	case 4:
		for i := range logits {
			logits[i] = logits[0]
		}
	case 5:
		for i := range logits {
			logits[i] *= float32(math.Pow(10, r.Float64()*20))
		}
	}
	return logits
}

// A flavour makes rows for one kind of program: first makes one that needs all of it, so that every batch takes the same program
// (a compilation costs most of a second), and row makes the others.
type flavour struct {
	first, row func(r *rand.Rand, vocab int) *Row
}

func settingsOf(names ...string) func(r *rand.Rand, vocab int) *Row {
	return func(r *rand.Rand, vocab int) *Row { return randomRow(r, vocab, names...) }
}

// with is a row with given filters, edits and alternatives.
func with(topK int, topP float32, edits, topN int) func(r *rand.Rand, vocab int) *Row {
	return func(r *rand.Rand, vocab int) *Row {
		row := randomRow(r, vocab)
		row.Params.TopK, row.Params.TopP, row.TopN, row.Params.FrequencyPenalty = topK, topP, topN, 1
		row.Output = row.Output[:0]
		for token := range int32(edits) {
			row.Output = append(row.Output, token)
		}
		return row
	}
}

var (
	plain     = flavour{settingsOf(), settingsOf("temperature", "min-p")}
	someTopK  = flavour{with(3, 1, 0, 0), settingsOf("top-k")}
	someTopP  = flavour{with(0, 0.5, 0, 0), settingsOf("top-p", "temperature")}
	someEdits = flavour{with(0, 1, 60, 0), settingsOf("repetition", "frequency", "bias")}
	someMasks = flavour{settingsOf("allowed"), settingsOf("allowed", "temperature")}
	someTop   = flavour{with(0, 1, 0, 20), func(r *rand.Rand, vocab int) *Row {
		row := randomRow(r, vocab, "greedy")
		row.TopN = r.IntN(MaxTopLogprobs + 1)
		return row
	}}
	anything = flavour{func(r *rand.Rand, vocab int) *Row {
		row := with(7, 0.9, 5, 3)(r, vocab)
		settings["allowed"](r, row, vocab)
		return row
	}, func(r *rand.Rand, vocab int) *Row {
		row := randomRow(r, vocab, someSettings(r)...)
		row.TopN = r.IntN(MaxTopLogprobs + 1)
		row.Banned = row.Banned[:min(5, len(row.Banned))] // few enough for the smallest bucket of edits
		return row
	}}
)

// batchRows is the number of lines in the tests' logits: each other one would compile programs of its own.
const batchRows = 8

// randomBatch makes logits [batchRows, vocab] and up to that many rows, a few of them nil.
func randomBatch(r *rand.Rand, vocab int, f flavour) (flat []float32, rows []*Row) {
	for range batchRows {
		flat = append(flat, anyLogits(r, vocab)...)
	}
	rows = make([]*Row, 1+r.IntN(batchRows))
	for i := range rows {
		if r.IntN(10) > 0 {
			rows[i] = f.row(r, vocab)
		}
	}
	rows[0] = f.first(r, vocab)
	return flat, rows
}

// near is equality within 1e-5, or 1e-6 of a large value.
func near(a, b float32) bool {
	return a == b || math.Abs(float64(a)-float64(b)) <= 1e-5*max(1, math.Abs(float64(b))/10)
}

// tooClose is the relative lead of a winner below which two forms may disagree on it.
const tooClose = 1e-5

// lead is how much faster the one of two tokens is than the other, relative.
func lead(logits []float32, row *Row, a, b int32) float64 {
	var s scratch
	final := s.edit(logits, row)
	s.measure(final, final[argMax(final)], row.Params.scale())
	speed := func(token int32) float64 {
		return float64(s.mass[token]) / float64(exponential(row.key().uniform(token)))
	}
	return math.Abs(speed(a)-speed(b)) / max(speed(a), speed(b))
}

// marginal says that the mass up to a token agrees with top_p to within rounding, so that two forms may disagree on keeping it.
func marginal(logits []float32, row *Row) bool {
	if row.Params.TopP >= 1 {
		return false
	}
	var s scratch
	final := s.edit(logits, row)
	s.measure(final, final[argMax(final)], row.Params.scale())
	without := row.Params
	without.TopP = 1
	limit, before, cut := s.limit(&row.Params), s.limit(&without), 0.0
	total, with := 0.0, 0.0
	for i, d := range s.distances {
		m := float64(s.mass[i])
		if d <= before {
			total += m
		}
		if d <= limit {
			with += m
		}
		if d < limit {
			cut += m
		}
	}
	target := float64(row.Params.topPShare()) * total
	return min(math.Abs(with-target), math.Abs(cut-target)) < 3e-6*total
}

// sameChoice compares a device's choice with the host's and says whether the token is the same.
func sameChoice(t *testing.T, got, want Choice, logits []float32, row *Row) bool {
	t.Helper()
	if got.Token != want.Token {
		if by := lead(logits, row, got.Token, want.Token); row.Params.Temperature == 0 || by > tooClose && !marginal(logits, row) {
			t.Errorf("token %d; want %d, which is ahead by %g (params %+v)", got.Token, want.Token, by, row.Params)
		}
		return false
	}
	if !near(got.Logprob, want.Logprob) || !near(got.Sampled, want.Sampled) && !marginal(logits, row) {
		t.Errorf("token %d: log-probabilities %g and %g; want %g and %g (params %+v)",
			got.Token, got.Logprob, got.Sampled, want.Logprob, want.Sampled, row.Params)
	}
	sameTop(t, got.Top, want.Top)
	return true
}

func sameTop(t *testing.T, got, want []TokenLogprob) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d alternatives; want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Token != want[i].Token || !near(got[i].Logprob, want[i].Logprob) {
			t.Errorf("alternative %d is %v; want %v", i, got[i], want[i])
		}
	}
}
