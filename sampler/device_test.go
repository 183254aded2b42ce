package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"astro/internal/device"
	"astro/internal/device/devicetest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

var onEach = devicetest.OnEach

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

func TestDevice(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device) {
		for vocab, flavours := range map[int]map[string]flavour{
			96:   {"top-k": someTopK, "top-p": someTopP, "edits": someEdits, "alternatives": someTop, "allowed": someMasks},
			4099: {"plain": plain, "anything": anything},
		} {
			s := NewDevice(d, vocab)
			defer s.Close()
			for name, f := range flavours {
				t.Run(fmt.Sprintf("%d/%s", vocab, name), func(t *testing.T) { equalsHost(t, s, f, 100) })
			}
			t.Run(fmt.Sprintf("%d/score", vocab), func(t *testing.T) { scoresLikeHost(t, s, vocab%2*5) })
			if vocab == 96 {
				t.Run("bad rows fail alone", func(t *testing.T) { badRowsFailAlone(t, s) })
				t.Run("wrong arguments", func(t *testing.T) { wrongArguments(t, s) })
			} else {
				t.Run("rows are independent", func(t *testing.T) { rowsAreIndependent(t, s) })
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

// rowsAreIndependent draws for a row alone, and at several places among others that need all of a program.
func rowsAreIndependent(t *testing.T, s *Device) {
	r, vocab := rand.New(rand.NewPCG(2, 3)), s.programs.vocab
	for range 20 {
		logits, row := anyLogits(r, vocab), with(2+r.IntN(40), 0.3+0.6*r.Float32(), 5, 0)(r, vocab)
		alone, errs := drawAll(t, s, logits, []*Row{row})
		if errs[0] != nil {
			t.Fatal(errs[0])
		}
		for at := 1; at < batchRows; at += 2 {
			flat, rows := randomBatch(r, vocab, anything)
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

// In the background mode a draw does not wait for its program: it has the host's choice at once, and the program's later.
func TestDrawBeforeItsProgram(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device) {
		const vocab, n = 37, 2
		s := NewDevice(d, vocab)
		defer s.Close()
		s.CompileInBackground()
		flat := gridLogits(rand.New(rand.NewPCG(2, 2)), n*vocab)
		nucleus := Default()
		nucleus.TopP = .7
		rows := []*Row{{Params: nucleus}, {Params: Default()}}
		want, _ := HostBatch(flat, rows)
		there := func() bool {
			return slices.ContainsFunc(d.Programs(), func(p device.ProgramInfo) bool { return strings.HasPrefix(p.Name, "sample_") })
		}
		for round, waited := 0, 0; round < 2; { // before the program is there, and after
			logits := tensors.FromFlatDataAndDimensions(flat, n, vocab)
			choices, errs, err := s.Draw(logits, rows)
			if err != nil || errs[0] != nil || choices[0].Token != want[0].Token || choices[1].Token != want[1].Token {
				t.Fatalf("round %d: choices %v, errors %v, %v; want %v", round, choices, errs, err, want)
			}
			scores, _, _, err := s.Score(logits, []int32{3, -1}, 0)
			if direct, _, _ := ScoreHost(flat[:vocab], 3, 0); err != nil || math.Abs(float64(scores[0].Logprob-direct.Logprob)) > 1e-5 {
				t.Fatalf("round %d: score %v, %v; want %v", round, scores, err, direct)
			}
			logits.FinalizeAll()
			if d.Kind() == device.Go || there() {
				round++
			} else if time.Sleep(10 * time.Millisecond); waited > 6000 {
				t.Fatal("the program never came")
			}
			waited++
		}
	})
}

func checkProgramsOnce(t *testing.T, d *device.Device, s *Device) {
	compiled := 0
	for _, p := range d.Programs() {
		if p.Name == "sample_r3" {
			compiled++
		}
	}
	if want := map[device.Kind]int{device.XLACPU: 1, device.XLACUDA: 1}[d.Kind()]; compiled != want {
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

// The noise of a device is the host's, to the last bits: above all where it is small, for those tokens win.
func TestNoiseOfDevice(t *testing.T) {
	const vocab = 1 << 17
	onEach(t, func(t *testing.T, d *device.Device) {
		keys := shapes.Make(dtypes.Int32, 1, 2)
		p, err := d.Compile(device.Spec{Name: "noise", Params: []device.Param{{Name: "keys", Shape: keys, Alias: -1}},
			Build: func(in []*graph.Node) []*graph.Node {
				shape := shapes.Make(dtypes.Float32, 1, vocab)
				return []*graph.Node{exponentialNoise(columns(in[0], 0, 1), columns(in[0], 1, 1), shape)}
			}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for seed := range uint64(4) {
			k := (&Row{Params: Params{Seed: seed}}).key()
			out, err := p.Run(tensors.FromFlatDataAndDimensions([]int32{int32(k.a), int32(k.b)}, 1, 2))
			if err != nil {
				t.Fatal(err)
			}
			worst := 0.0
			for i, got := range tensors.MustCopyFlatData[float32](out[0]) {
				want := float64(exponential(k.uniform(int32(i))))
				worst = max(worst, math.Abs(float64(got)/want-1))
			}
			if worst > 1e-6 {
				t.Errorf("seed %d: noise is off by %g of its value; want at most 1e-6", seed, worst)
			}
		}
	})
}

// Logits up to allowedFrom are forbidden on every path, and a row without others says so.
func TestForbiddenLogits(t *testing.T) {
	onEach(t, func(t *testing.T, d *device.Device) {
		const vocab = 37
		flat := slices.Repeat([]float32{forbidden}, 3*vocab)
		flat[vocab+35], flat[2*vocab+3] = -5, float32(math.NaN())
		s := NewDevice(d, vocab)
		defer s.Close()
		row := func(temperature float32) *Row {
			return &Row{Params: Params{Temperature: temperature, TopP: 1, Seed: 5}}
		}
		for _, temperature := range []float32{0, 1} {
			choices, errs := drawAll(t, s, flat, []*Row{row(temperature), row(temperature), row(temperature)})
			if !errors.Is(errs[0], ErrNothingAllowed) || errs[1] != nil || choices[1].Token != 35 || !errors.Is(errs[2], ErrNotFinite) {
				t.Errorf("temperature %g: got %v and %v; want nothing allowed, token 35, not finite", temperature, choices, errs)
			}
		}
	})
}
