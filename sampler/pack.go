package sampler

import (
	"math"
)

// editBuckets are the numbers of edits per row that programs are made for. A row with more is drawn on the host.
var editBuckets = []int{32, 256, 2048}

// job is a row on its way to a device.
type job struct {
	row   *Row
	edits []edit
}

// jobsOf finds out what each row needs; a nil row is an empty job.
func jobsOf(rows []*Row, vocab int) []job {
	jobs := make([]job, len(rows))
	onAllCores(len(rows), func(_ *scratch, i int) {
		if rows[i] != nil {
			jobs[i] = job{rows[i], rows[i].edits(vocab)}
		}
	})
	return jobs
}

// forHost says that the device has no program for the job.
func (j *job) forHost() bool { return len(j.edits) > editBuckets[len(editBuckets)-1] }

// variantOf is the smallest program that draws for all jobs that are not for the host.
func variantOf(jobs []job, rows, vocab int) variant {
	v := variant{rows: rows}
	edits := 0
	for i := range jobs {
		j := &jobs[i]
		if j.row == nil || j.forHost() {
			continue
		}
		p := &j.row.Params
		v.topK = v.topK || p.cutsTopK(vocab)
		v.topP = v.topP || p.cutsTopP()
		v.topN = v.topN || j.row.TopN > 0
		if j.row.Allowed != nil {
			v.mask = maskWords(vocab)
		}
		edits = max(edits, len(j.edits))
	}
	for i := 0; edits > v.edits; i++ {
		v.edits = editBuckets[i]
	}
	return v
}

// maskWords is the number of i32 that a row's Allowed has on the device.
func maskWords(vocab int) int { return (vocab + 31) / 32 }

func (p *Params) cutsTopK(vocab int) bool { return p.Temperature > 0 && p.TopK > 0 && p.TopK < vocab }
func (p *Params) cutsTopP() bool          { return p.Temperature > 0 && p.TopP < 1 }

// pack makes the program's parameters; lines without a job draw greedily for nobody.
func (v variant) pack(jobs []job, vocab int) []int32 {
	width := v.parameterWidth()
	all := make([]int32, v.rows*width)
	for i := range v.rows {
		line := all[i*width : (i+1)*width]
		plainLine(line, vocab)
		for at := range v.edits {
			line[parameterColumns+at] = -1
		}
		mask := line[width-v.mask:]
		for at := range mask {
			mask[at] = -1
		}
		if i < len(jobs) && jobs[i].row != nil && !jobs[i].forHost() {
			v.packJob(line, &jobs[i], vocab)
		}
	}
	return all
}

// plainLine is a greedy draw from all tokens.
func plainLine(line []int32, vocab int) {
	line[columnScale], line[columnMinP], line[columnTopK], line[columnTopP] = 0, anyDistance, int32(vocab), float(2)
}

func (v variant) packJob(line []int32, j *job, vocab int) {
	p := &j.row.Params
	if p.Temperature > 0 {
		line[columnKeyA], line[columnKeyB] = j.row.key().columns()
		line[columnScale], line[columnMinP] = float(p.scale()), int32(p.minPLimit())
	}
	if p.cutsTopK(vocab) {
		line[columnTopK] = int32(p.TopK)
	}
	if p.cutsTopP() {
		line[columnTopP] = float(p.topPShare())
	}
	if j.row.Allowed != nil {
		packMask(line[len(line)-v.mask:], j.row.Allowed)
	}
	for i, e := range j.edits {
		at := line[parameterColumns+i:]
		at[0], at[v.edits], at[2*v.edits], at[3*v.edits], at[4*v.edits] = e.token, float(e.bias), float(e.up), float(e.down), float(e.after)
	}
}

// packMask splits words of 64 bits, the low half first.
func packMask(line []int32, allowed []uint64) {
	for i := range line {
		line[i] = int32(uint32(allowed[i/2] >> (i % 2 * 32)))
	}
}

// float gives the bits of a float for a matrix of i32.
func float(x float32) int32 { return int32(math.Float32bits(x)) }

// result is a line of a program's results.
type result []int32

// err is the row's own failure.
func (r result) err() error {
	switch r[columnStatus] {
	case statusNotFinite:
		return notFinite(r.float(columnLogprob))
	case statusNothingAllowed:
		return ErrNothingAllowed
	}
	return nil
}

func (r result) float(column int) float32 { return math.Float32frombits(uint32(r[column])) }

func (r result) chosen() TokenLogprob { return TokenLogprob{r[columnToken], r.float(columnLogprob)} }

// top reads the first n alternatives.
func (r result) top(n int) []TokenLogprob {
	there := (len(r) - resultColumns) / 2
	if n == 0 || there == 0 {
		return nil
	}
	list := make([]TokenLogprob, min(n, there))
	for i := range list {
		list[i] = TokenLogprob{r[resultColumns+i], r.float(resultColumns + there + i)}
	}
	return list
}
