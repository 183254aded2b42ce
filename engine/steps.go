package engine

import (
	"fmt"
	"hash/fnv"
	"slices"

	"astro/internal/device"
	"astro/kernels"
	"astro/sampler"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// buildAhead is build of a Bucket with Steps: a loop whose body is the decode of one token and its draw. All that the body reads is state of
// the loop, for closures see nothing else; weights pass through it, pools are updated where they are.
func (f *forward) buildAhead(b Bucket, in []*Node) []*Node {
	g := in[0].Graph()
	zero := Const(g, int32(0))
	drawn := BroadcastToDims(zero, b.Steps, b.Seqs, sampler.DrawnColumns)
	state := append([]*Node{SliceAxis(in[0], 1, AxisRange(0, 1)), drawn}, in...)
	body := func(in []*Node) []*Node { return f.decode(b, in[0], in[1:]) }
	next := func(i *Node, state []*Node) []*Node {
		in := append([]*Node{i, state[0]}, state[2:]...)
		out := device.Call(f.decodeName(b), body, in...)
		state[0], state[1] = sampler.Drawn(out[0]), kernels.SetAt(state[1], i, out[0])
		copy(state[len(state)-f.pools():], out[1:])
		return state
	}
	state = kernels.Loop(g, b.Steps, state, next)
	return append(state[1:2:2], state[len(state)-f.pools():]...)
}

// decode is step i of a Bucket with Steps, from tokens [seqs, 1] and the program's parameters: what it draws, and the pools.
func (f *forward) decode(b Bucket, i *Node, in []*Node) []*Node {
	tokens, batch := in[0], in[1]
	cut := func(from, n int, at *Node) *Node {
		start := []*Node{Const(batch.Graph(), int32(0)), Add(Const(batch.Graph(), int32(from)), at)}
		return DynamicSlice(batch, start, []int{b.Seqs, n})
	}
	table := 1 + 2*b.Steps
	line := Concatenate([]*Node{tokens, cut(1, 1, i), cut(1+b.Steps, 1, i), SliceAxis(batch, 1, AxisRange(table, table+b.Pages)), ZerosLike(tokens)}, 1)
	one, build := Bucket{Seqs: b.Seqs, Tokens: 1, Pages: b.Pages}, f.build
	if f.packed != nil {
		build = f.buildPacked
	}
	out := build(one, append([]*Node{line}, in[2:]...))
	draw := cut(table+b.Pages, sampler.AheadColumns, MulScalar(i, sampler.AheadColumns))
	return append([]*Node{b.Cuts.Draw(out[0], draw)}, out[1:]...)
}

// decodeName is that of decode as a library function, which depends on its name and its shapes alone.
func (f *forward) decodeName(b Bucket) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%v %+v %d", b, f.config, f.pageTokens)
	if f.packed != nil {
		fmt.Fprintf(h, " %+v", *f.packed)
	}
	return fmt.Sprintf("decode_%016x", h.Sum64())
}

// suffix tells the programs of packed weights from others.
func (f *forward) suffix() string {
	if f.packed != nil {
		return "_packed"
	}
	return ""
}

// CUDARolloutSteps is RolloutSteps of a GPU.
const CUDARolloutSteps = 8

// RolloutSteps is the Config.DecodeSteps that suits rollouts on a device. On processors a program's start costs little beside its run, and a
// Slot that stays idle behind an end costs as much as one that works: there it is 1.
func RolloutSteps(d *device.Device) int {
	if d.Kind() == device.XLACUDA {
		return CUDARolloutSteps
	}
	return 1
}

// stepsAhead is the number of tokens that the rows that go ahead draw at most; 0 = none does.
func stepsAhead(rows []Row) (steps int) {
	for i := range rows {
		if rows[i].Ahead > 0 {
			steps = max(steps, 1+rows[i].Ahead)
		}
	}
	return steps
}

// longest is the length of the longest page table of the listed rows.
func longest(all []Row, list []int) (pages int) {
	for _, i := range list {
		pages = max(pages, len(all[i].Pages))
	}
	return pages
}

// packAhead lays out a row of a Bucket with Steps; nil pads the batch. Behind its own last step a row goes on at that step's position and
// stores nothing.
func (r *DeviceRunner) packAhead(b Bucket, line []int32, row *Row) {
	positions, slots, draws := line[1:1+b.Steps], line[1+b.Steps:1+2*b.Steps], line[1+2*b.Steps+b.Pages:]
	for i := range b.Steps {
		slots[i] = -1
		var sample *sampler.Row
		if row != nil {
			positions[i] = int32(row.Start + min(i, row.Ahead))
			if sample = row.Sample; i <= row.Ahead {
				slots[i] = r.slot(row, row.Start+i)
			}
		}
		sampler.PackAhead(draws[i*sampler.AheadColumns:(i+1)*sampler.AheadColumns], sample, r.forward.config.Vocab, i)
	}
	if row != nil {
		line[0] = row.Tokens[0]
		copy(line[1+2*b.Steps:1+2*b.Steps+b.Pages], row.Pages)
	}
}

// runAhead is runSome of rows that draw several tokens: in one program, or one by one where there is none.
func (r *DeviceRunner) runAhead(g *group, all []Row, list []int, out []RowResult) (int, error) {
	if r.device.Kind() == device.Go || r.forward.devices > 1 { // a library function is traced for one device: it would sum over none
		return len(list), r.oneByOne(g, all, list, out)
	}
	samples := make([]*sampler.Row, len(list))
	for i, at := range list {
		samples[i] = all[at].Sample
	}
	want := r.bucket(len(list), 1, longest(all, list), false)
	want.Steps, want.Cuts = g.steps, sampler.CutsOf(samples, r.forward.config.Vocab)
	b, program, err := r.buckets.pick(want, len(list))
	if err != nil {
		return 0, err
	}
	list = list[:min(b.Seqs, len(list))]
	if program == nil {
		return len(list), r.oneByOne(g, all, list, out)
	}
	made, err := r.step(b, program, r.policy(g.version), all, list)
	if err != nil {
		return 0, err
	}
	defer freeAll(made)
	return len(list), takeAhead(made[0], b, all, list, out)
}

// takeAhead reads what a program drew, [steps, seqs, columns].
func takeAhead(drawn *tensors.Tensor, b Bucket, all []Row, list []int, out []RowResult) error {
	return tensors.ConstFlatData(drawn, func(flat []int32) {
		for s, at := range list {
			result := &out[at]
			result.Choices = make([]sampler.Choice, 0, 1+all[at].Ahead)
			for i := 0; i <= all[at].Ahead && result.Err == nil; i++ {
				from := (i*b.Seqs + s) * sampler.DrawnColumns
				var choice sampler.Choice
				if choice, result.Err = sampler.ReadDrawn(flat[from : from+sampler.DrawnColumns]); result.Err == nil {
					result.Choices = append(result.Choices, choice)
				}
			}
		}
	})
}

// oneByOne draws ahead with the programs of one token.
func (r *DeviceRunner) oneByOne(g *group, all []Row, list []int, out []RowResult) error {
	single := *g
	single.steps = 0
	rows, results := slices.Clone(all), make([]RowResult, len(all))
	for list = slices.Clone(list); len(list) > 0; {
		clear(results)
		for rest := list; len(rest) > 0; {
			n, err := r.runSome(&single, rows, rest, results)
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		list = slices.DeleteFunc(list, func(at int) bool {
			out[at].Choices, out[at].Err = append(out[at].Choices, results[at].Choices...), results[at].Err
			if out[at].Err != nil || len(out[at].Choices) > all[at].Ahead {
				return true
			}
			rows[at] = rows[at].After(results[at].Choices[0].Token)
			return false
		})
	}
	return nil
}

// After is the Row that feeds the token which was drawn for r, and draws the next one.
func (r Row) After(token int32) Row {
	sample := *r.Sample
	sample.Output = append(slices.Clip(sample.Output), token)
	r.Tokens, r.Start, r.Sample = []int32{token}, r.Start+1, &sample
	return r
}
