package sampler

import (
	"fmt"
	"sync/atomic"
	"time"

	"astro/internal/device"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Device draws and scores from logits that are on a device. On the go backend, whose memory is the host's, it reads them in place
// with Host; on XLA it runs programs there, and only tokens and log-probabilities come back. It is safe for concurrent use.
type Device struct {
	programs   *programs
	onHost     bool
	background bool         // see CompileInBackground
	busy       atomic.Int64 // nanoseconds
}

// NewDevice makes the sampler for logits of vocab columns on d. Programs are compiled when they are first needed.
func NewDevice(d *device.Device, vocab int) *Device {
	return &Device{programs: &programs{device: d, vocab: vocab, made: map[form]*making{}}, onHost: d.Kind() == device.Go}
}

// CompileInBackground makes Draw and Score use Host on a copy of the logits as long as the program that they want is not there,
// so that nobody waits for a compiler. It is called before the first of them.
func (s *Device) CompileInBackground() { s.background = true }

// hereFor says whether a form's work is done on the host.
func (s *Device) hereFor(f form) bool { return s.onHost || s.background && !s.programs.ready(f) }

// Busy is the time spent so far in programs of this sampler or, on the go backend, in Host: what is left of a caller's time is
// not sampling.
func (s *Device) Busy() time.Duration { return time.Duration(s.busy.Load()) }

// Programs counts those that are compiled, and those that are being compiled. It may be called from any goroutine.
func (s *Device) Programs() (ready, pending int) { return s.programs.count() }

// since adds the time since start to Busy.
func (s *Device) since(start time.Time) { s.busy.Add(int64(time.Since(start))) }

// Draw draws a token for each row from logits [n, vocab] f32, n >= len(rows), which it only reads. A row that is nil draws
// nothing. Results are row by row: a row's own error (ErrNotFinite, ErrNothingAllowed) touches no other row. The last error says
// that the arguments are wrong or the device failed; nothing was drawn.
func (s *Device) Draw(logits *tensors.Tensor, rows []*Row) ([]Choice, []error, error) {
	choices, errs, err := s.draw(logits, rows)
	if err != nil {
		return nil, nil, fmt.Errorf("draw tokens: %w", err)
	}
	return choices, errs, nil
}

func (s *Device) draw(logits *tensors.Tensor, rows []*Row) (choices []Choice, errs []error, err error) {
	if err := s.check(logits, len(rows)); err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		if r != nil && (r.TopN < 0 || r.TopN > MaxTopLogprobs) {
			return nil, nil, fmt.Errorf("a row wants %d alternatives; want 0 to %d", r.TopN, MaxTopLogprobs)
		}
		if r != nil && r.Allowed != nil && len(r.Allowed) < AllowedWords(s.programs.vocab) {
			return nil, nil, fmt.Errorf("a row's Allowed has %d words; want %d", len(r.Allowed), AllowedWords(s.programs.vocab))
		}
	}
	if !s.onHost {
		jobs := jobsOf(rows, s.programs.vocab)
		if v := variantOf(jobs, logits.Shape().Dim(0), s.programs.vocab); !s.hereFor(v) {
			return s.drawThere(logits, jobs, v)
		}
	}
	defer s.since(time.Now())
	err = tensors.ConstFlatData(logits, func(flat []float32) {
		choices, errs = HostBatch(flat[:len(rows)*s.programs.vocab], rows)
	})
	return choices, errs, err
}

// drawThere runs the device's program, and Host for the rows that it cannot take.
func (s *Device) drawThere(logits *tensors.Tensor, jobs []job, v variant) ([]Choice, []error, error) {
	lines, err := s.run(v, logits, v.pack(jobs, s.programs.vocab), v.parameterWidth())
	if err != nil {
		return nil, nil, err
	}
	choices, errs := make([]Choice, len(jobs)), make([]error, len(jobs))
	for i, j := range jobs {
		switch {
		case j.row == nil:
		case j.forHost():
			row, err := s.copyRow(logits, i)
			if err != nil {
				return nil, nil, err
			}
			choices[i], errs[i] = Host(row, j.row)
		default:
			if errs[i] = lines[i].err(); errs[i] == nil {
				choices[i] = Choice{lines[i].chosen(), lines[i].float(columnSampled), lines[i].top(j.row.TopN)}
			}
		}
	}
	return choices, errs, nil
}

// Score gives the log-probability of targets[i] under row i of logits [n, vocab] f32, n >= len(targets), which it only reads, and
// the topN best tokens beside it, 0 to MaxTopLogprobs. Target -1 is not scored: its token is -1 and the rest zero. Errors are those
// of Draw.
func (s *Device) Score(logits *tensors.Tensor, targets []int32, topN int) ([]TokenLogprob, [][]TokenLogprob, []error, error) {
	scores, tops, errs := make([]TokenLogprob, len(targets)), make([][]TokenLogprob, len(targets)), make([]error, len(targets))
	err := s.checkTargets(logits, targets, topN)
	switch {
	case err != nil:
	case s.hereFor(scoring{logits.Shape().Dim(0), topN > 0}):
		err = tensors.ConstFlatData(logits, func(flat []float32) {
			onAllCores(len(targets), func(_ *scratch, i int) {
				if target := targets[i]; target >= 0 {
					scores[i], tops[i], errs[i] = ScoreHost(flat[i*s.programs.vocab:(i+1)*s.programs.vocab], target, topN)
				}
			})
		})
	default:
		err = s.scoreThere(logits, targets, topN, scores, tops, errs)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("score tokens: %w", err)
	}
	for i, target := range targets {
		if target < 0 {
			scores[i].Token = -1
		}
	}
	return scores, tops, errs, nil
}

func (s *Device) scoreThere(logits *tensors.Tensor, targets []int32, topN int, scores []TokenLogprob, tops [][]TokenLogprob, errs []error) error {
	rows := logits.Shape().Dim(0)
	arguments := make([]int32, rows)
	for i, target := range targets {
		arguments[i] = max(0, target)
	}
	lines, err := s.run(scoring{rows, topN > 0}, logits, arguments, 1)
	if err != nil {
		return err
	}
	for i, target := range targets {
		if target < 0 {
			continue
		}
		if errs[i] = lines[i].err(); errs[i] == nil {
			scores[i], tops[i] = lines[i].chosen(), lines[i].top(topN)
		}
	}
	return nil
}

// run executes a program on logits and one matrix of i32 and gives the lines of its result.
func (s *Device) run(f form, logits *tensors.Tensor, arguments []int32, width int) ([]result, error) {
	program, err := s.programs.get(f)
	if err != nil {
		return nil, err
	}
	matrix := tensors.FromFlatDataAndDimensions(arguments, len(arguments)/width, width)
	defer matrix.FinalizeAll()
	start := time.Now()
	out, err := program.Run(logits, matrix)
	s.since(start)
	if err != nil {
		return nil, err
	}
	defer out[0].FinalizeAll()
	var lines []result
	err = tensors.ConstFlatData(out[0], func(flat []int32) {
		flat = append([]int32{}, flat...) // it is the device's memory
		width := out[0].Shape().Dim(1)
		for from := 0; from < len(flat); from += width {
			lines = append(lines, flat[from:from+width])
		}
	})
	return lines, err
}

// copyRow brings one row of logits to the host.
func (s *Device) copyRow(logits *tensors.Tensor, i int) (row []float32, err error) {
	program, err := s.programs.get(rowCopy(logits.Shape().Dim(0)))
	if err != nil {
		return nil, err
	}
	index := tensors.FromFlatDataAndDimensions([]int32{int32(i)}, 1, 1)
	defer index.FinalizeAll()
	out, err := program.Run(logits, index)
	if err != nil {
		return nil, err
	}
	defer out[0].FinalizeAll()
	err = tensors.ConstFlatData(out[0], func(flat []float32) { row = append(row, flat...) })
	return row, err
}

// rowCopy is the program that cuts one row out of logits of so many rows: logits and [1, 1] i32 give [1, vocab] f32.
type rowCopy int

func (r rowCopy) String() string { return fmt.Sprintf("sample_row_of_%d", int(r)) }

func (r rowCopy) spec(vocab int) device.Spec {
	params := []device.Param{
		{Name: "logits", Shape: shapes.Make(dtypes.Float32, int(r), vocab), Alias: -1},
		{Name: "index", Shape: shapes.Make(dtypes.Int32, 1, 1), Alias: -1},
	}
	return device.Spec{Name: r.String(), Params: params, Build: func(in []*Node) []*Node { return []*Node{Gather(in[0], in[1])} }}
}

func (s *Device) check(logits *tensors.Tensor, rows int) error {
	shape := logits.Shape()
	if shape.DType != dtypes.Float32 || shape.Rank() != 2 || shape.Dim(0) < rows || shape.Dim(1) != s.programs.vocab {
		return fmt.Errorf("logits are %s; want float32 [%d or more, %d]", shape, rows, s.programs.vocab)
	}
	return nil
}

func (s *Device) checkTargets(logits *tensors.Tensor, targets []int32, topN int) error {
	if topN < 0 || topN > MaxTopLogprobs {
		return fmt.Errorf("%d alternatives are wanted; want 0 to %d", topN, MaxTopLogprobs)
	}
	for i, target := range targets {
		if target < -1 || int(target) >= s.programs.vocab {
			return fmt.Errorf("target %d is token %d; want one below %d, or -1 for none", i, target, s.programs.vocab)
		}
	}
	return s.check(logits, len(targets))
}

// Warm compiles the usual program for logits of n rows, so that the first Draw from them need not wait for it. It may be called
// from another goroutine while Draw runs.
func (s *Device) Warm(n int) error {
	if s.onHost {
		return nil
	}
	_, err := s.programs.get(variant{rows: n})
	return err
}

// Close frees the programs, and waits for those that are being compiled. What is called later is an error.
func (s *Device) Close() { s.programs.close() }
