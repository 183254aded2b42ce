package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"astro/internal/device"

	"github.com/gomlx/gomlx/core/tensors"
)

// onEach runs a test on every backend that this machine has. A missing XLA plugin is told, not passed over in silence.
func onEach(t *testing.T, test func(t *testing.T, d *device.Device)) {
	for _, kind := range []device.Kind{device.Go, device.XLACPU} {
		t.Run(string(kind), func(t *testing.T) {
			d, err := device.Open(device.Options{Backend: string(kind)})
			if err != nil && kind == device.XLACPU {
				t.Skipf("the XLA CPU plugin is missing: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			test(t, d)
		})
	}
}

// drawAll draws for rows from flat [n, vocab], n >= len(rows).
func drawAll(t *testing.T, s *Device, flat []float32, rows []*Row) ([]Choice, []error) {
	t.Helper()
	logits := tensors.FromFlatDataAndDimensions(flat, len(flat)/s.programs.vocab, s.programs.vocab)
	defer logits.FinalizeAll()
	choices, errs, err := s.Draw(logits, rows)
	if err != nil {
		t.Fatal(err)
	}
	return choices, errs
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
	someTop   = flavour{with(0, 1, 0, 20), func(r *rand.Rand, vocab int) *Row {
		row := randomRow(r, vocab, "greedy")
		row.TopN = r.IntN(MaxTopLogprobs + 1)
		return row
	}}
	anything = flavour{with(7, 0.9, 5, 3), func(r *rand.Rand, vocab int) *Row {
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

func TestDevice(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device) {
		for vocab, flavours := range map[int]map[string]flavour{
			96:   {"top-k": someTopK, "top-p": someTopP, "edits": someEdits, "alternatives": someTop},
			4099: {"plain": plain, "anything": anything},
		} {
			s := NewDevice(d, vocab)
			defer s.Close()
			for name, f := range flavours {
				t.Run(fmt.Sprintf("%d/%s", vocab, name), func(t *testing.T) { equalsHost(t, s, f, 100) })
			}
			t.Run(fmt.Sprintf("%d/score", vocab), func(t *testing.T) { scoresLikeHost(t, s, vocab%2*5) })
			if vocab == 96 {
				t.Run("rows are independent", func(t *testing.T) { rowsAreIndependent(t, s) })
				t.Run("bad rows fail alone", func(t *testing.T) { badRowsFailAlone(t, s) })
				t.Run("wrong arguments", func(t *testing.T) { wrongArguments(t, s) })
			} else {
				t.Run("more edits than any program has", func(t *testing.T) { tooManyEdits(t, s) })
			}
		}
	})
}

// equalsHost draws many random rows both ways.
func equalsHost(t *testing.T, s *Device, f flavour, batches int) {
	r, vocab := rand.New(rand.NewPCG(11, 13)), s.programs.vocab
	drawn, other, limits := 0, 0, 0
	for range batches {
		flat, rows := randomBatch(r, vocab, f)
		choices, errs := drawAll(t, s, flat, rows)
		for i, row := range rows {
			if row == nil {
				continue
			}
			logits := flat[i*vocab : (i+1)*vocab]
			want, err := Host(logits, row)
			if fmt.Sprint(errs[i]) != fmt.Sprint(err) {
				t.Errorf("error %v; want %v (params %+v)", errs[i], err, row.Params)
				continue
			}
			drawn++
			if err != nil {
				continue
			}
			if !sameChoice(t, choices[i], want, logits, row) {
				other++
			}
			if row.Params.Temperature > 0 && marginal(logits, row) {
				limits++
			}
		}
	}
	if drawn < batches || other > 1 || limits > drawn/20 {
		t.Errorf("of %d rows in %d batches %d gave another token and %d were at a limit; want hardly any", drawn, batches, other, limits)
	}
}

// rowsAreIndependent draws for a row alone, and at several places among others that need a larger program.
func rowsAreIndependent(t *testing.T, s *Device) {
	r, vocab := rand.New(rand.NewPCG(2, 3)), s.programs.vocab
	others := flavour{with(3, 0.5, 60, 0), settingsOf("top-k", "top-p", "bias")}
	for range 20 {
		logits, row := anyLogits(r, vocab), with(2+r.IntN(40), 0.3+0.6*r.Float32(), 5, 0)(r, vocab)
		alone, errs := drawAll(t, s, logits, []*Row{row})
		if errs[0] != nil {
			t.Fatal(errs[0])
		}
		for at := 1; at < batchRows; at += 2 {
			flat, rows := randomBatch(r, vocab, others)
			rows = append(rows, make([]*Row, batchRows-len(rows))...)
			copy(flat[at*vocab:], logits)
			rows[at] = row
			choices, errs := drawAll(t, s, flat, rows)
			if errs[at] != nil || choices[at].Token != alone[0].Token {
				t.Fatalf("in line %d: token %d, error %v; alone %d (params %+v)", at, choices[at].Token, errs[at], alone[0].Token, row.Params)
			}
			sameChoice(t, choices[at], alone[0], logits, row)
		}
	}
}

func badRowsFailAlone(t *testing.T, s *Device) {
	r, vocab := rand.New(rand.NewPCG(4, 5)), s.programs.vocab
	flat, rows := make([]float32, 0, batchRows*vocab), make([]*Row, batchRows)
	for i := range rows {
		flat = append(flat, gridLogits(r, vocab)...)
		rows[i] = someEdits.row(r, vocab)
	}
	flat[1*vocab+50] = float32(math.NaN())
	flat[3*vocab+0] = float32(math.Inf(1))
	for token := range int32(vocab) {
		flat[4*vocab+int(token)] = float32(math.Inf(-1))
		rows[6].Banned = append(rows[6].Banned, token)
	}
	wants := []error{1: ErrNotFinite, 3: ErrNotFinite, 4: ErrNotFinite, 6: ErrNothingAllowed, 7: nil}
	choices, errs := drawAll(t, s, flat, rows)
	for i, want := range wants {
		if !errors.Is(errs[i], want) || want != nil && choices[i].Logprob != 0 {
			t.Errorf("row %d: %v, error %v; want error %v", i, choices[i], errs[i], want)
		}
		if want == nil {
			logits := flat[i*vocab : (i+1)*vocab]
			host, err := Host(logits, rows[i])
			if err != nil {
				t.Fatal(err)
			}
			sameChoice(t, choices[i], host, logits, rows[i])
		}
	}
}

func wrongArguments(t *testing.T, s *Device) {
	logits := tensors.FromFlatDataAndDimensions(make([]float32, 2*96), 2, 96)
	narrow := tensors.FromFlatDataAndDimensions(make([]float32, 2*95), 2, 95)
	row := &Row{Params: Greedy()}
	draw := func(logits *tensors.Tensor, rows ...*Row) error { _, _, err := s.Draw(logits, rows); return err }
	score := func(topN int, targets ...int32) error { _, _, _, err := s.Score(logits, targets, topN); return err }
	for want, err := range map[string]error{
		"want float32 [3 or more, 96]": draw(logits, row, row, row),
		"(Float32)[2, 95]":             draw(narrow, row),
		"want 0 to 20":                 draw(logits, &Row{Params: Greedy(), TopN: 21}),
		"21 alternatives":              score(21, 1, 2),
		"target 1 is token 96":         score(0, 1, 96),
		"target 0 is token -2":         score(0, -2),
		"score tokens: logits are":     score(0, 1, 1, 1),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v; want one with %q", err, want)
		}
	}
}

// tooManyEdits has one row that only the host can draw, beside others.
func tooManyEdits(t *testing.T, s *Device) {
	r, vocab := rand.New(rand.NewPCG(6, 7)), s.programs.vocab
	flat, rows := make([]float32, 0, batchRows*vocab), make([]*Row, batchRows)
	for i := range rows {
		flat = append(flat, gridLogits(r, vocab)...)
		rows[i] = randomRow(r, vocab, "top-k", "top-p", "bias")
		rows[i].TopN = 3
	}
	rows[5].Params.RepetitionPenalty = 2
	for token := range int32(3000) {
		rows[5].Prompt = append(rows[5].Prompt, token)
	}
	choices, errs := drawAll(t, s, flat, rows)
	for i, row := range rows {
		logits := flat[i*vocab : (i+1)*vocab]
		want, err := Host(logits, row)
		if err != nil || errs[i] != nil {
			t.Fatal(err, errs[i])
		}
		sameChoice(t, choices[i], want, logits, row)
	}
}

func scoresLikeHost(t *testing.T, s *Device, topN int) {
	r, vocab := rand.New(rand.NewPCG(8, 9)), s.programs.vocab
	for range 20 {
		flat, _ := randomBatch(r, vocab, plain)
		targets := make([]int32, 1+r.IntN(batchRows))
		for i := range targets {
			targets[i] = int32(r.IntN(vocab+1) - 1)
		}
		targets[0] = -1
		bad := len(targets) - 1
		flat[bad*vocab+3] = float32(math.NaN())
		logits := tensors.FromFlatDataAndDimensions(flat, batchRows, vocab)
		scores, tops, errs, err := s.Score(logits, targets, topN)
		if err != nil {
			t.Fatal(err)
		}
		for i, target := range targets {
			if target < 0 {
				if scores[i] != (TokenLogprob{Token: -1}) || tops[i] != nil || errs[i] != nil {
					t.Errorf("target -1 got %v, %v, %v", scores[i], tops[i], errs[i])
				}
				continue
			}
			want, wantTop, wantErr := ScoreHost(flat[i*vocab:(i+1)*vocab], target, topN)
			if fmt.Sprint(errs[i]) != fmt.Sprint(wantErr) || scores[i].Token != want.Token || !near(scores[i].Logprob, want.Logprob) {
				t.Errorf("target %d: %v, error %v; want %v, %v", target, scores[i], errs[i], want, wantErr)
			}
			sameTop(t, tops[i], wantTop)
		}
		logits.FinalizeAll()
	}
}

// Several goroutines that want one program get the same one, while others warm and draw.
func TestWarmBesideDraw(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device) {
		const vocab, n = 31, 3
		s := NewDevice(d, vocab)
		flat := gridLogits(rand.New(rand.NewPCG(1, 1)), n*vocab)
		want, _ := HostBatch(flat, []*Row{{Params: Default()}, nil, {Params: Greedy()}})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := s.Warm(n); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				logits := tensors.FromFlatDataAndDimensions(flat, n, vocab)
				defer logits.FinalizeAll()
				choices, _, err := s.Draw(logits, []*Row{{Params: Default()}, nil, {Params: Greedy()}})
				if err != nil || choices[0].Token != want[0].Token || choices[2].Token != want[2].Token {
					t.Errorf("choices %v, error %v; want %v", choices, err, want)
				}
			})
		}
		all.Wait()
		checkProgramsOnce(t, d, s)
	})
}

func checkProgramsOnce(t *testing.T, d *device.Device, s *Device) {
	compiled := 0
	for _, p := range d.Programs() {
		if p.Name == "sample_r3" {
			compiled++
		}
	}
	if want := map[device.Kind]int{device.XLACPU: 1}[d.Kind()]; compiled != want {
		t.Errorf("%d programs were compiled; want %d", compiled, want)
	}
	s.Close()
	if left := d.Programs(); len(left) > 0 {
		t.Errorf("closed programs are still there: %v", left)
	}
	if err := s.Warm(5); err == nil && d.Kind() != device.Go {
		t.Error("a closed sampler compiles; want an error")
	}
}
