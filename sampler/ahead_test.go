package sampler

import (
	"slices"
	"testing"
)

// What a draw so many tokens ahead takes is what it takes once they are there.
func TestPackAhead(t *testing.T) {
	const vocab = 50
	cut := Default()
	cut.Seed, cut.Temperature, cut.TopK, cut.TopP, cut.MinP = 7, 0.7, 5, 0.9, 0.05
	for _, p := range []Params{Greedy(), Default(), cut} {
		row := &Row{Params: p, Prompt: []int32{1, 2, 3}, Output: []int32{4}}
		v := variantOf([]job{{row: row}}, 1, vocab)
		for ahead := range 5 {
			then := *row
			then.Output = append(slices.Clone(row.Output), make([]int32, ahead)...)
			line := make([]int32, AheadColumns)
			PackAhead(line, row, vocab, ahead)
			if want := v.pack(jobsOf([]*Row{&then}, vocab), vocab); !slices.Equal(line, want) {
				t.Errorf("%+v, %d ahead: %v; want %v", p, ahead, line, want)
			}
		}
		if c := CutsOf([]*Row{nil, row}, vocab); c != (Cuts{v.topK, v.topP}) {
			t.Errorf("%+v: cuts %+v; want those of %+v", p, c, v)
		}
	}
	line := make([]int32, AheadColumns)
	if PackAhead(line, nil, vocab, 0); !slices.Equal(line, variant{rows: 1}.pack(nil, vocab)) {
		t.Errorf("nobody's line is %v; want a greedy draw", line)
	}
}

// A draw that depends on other tokens cannot be packed before them.
func TestPlain(t *testing.T) {
	for what, change := range map[string]func(*Row){
		"bias": func(r *Row) { r.Params.LogitBias = map[int32]float32{1: 1} }, "repetition": func(r *Row) { r.Params.RepetitionPenalty = 1.1 },
		"presence": func(r *Row) { r.Params.PresencePenalty = 1 }, "frequency": func(r *Row) { r.Params.FrequencyPenalty = 1 },
		"banned": func(r *Row) { r.Banned = []int32{1} }, "allowed": func(r *Row) { r.Allowed = []uint64{7} }, "top": func(r *Row) { r.TopN = 1 },
	} {
		row := &Row{Params: Default(), Prompt: []int32{1}}
		if !row.Plain() {
			t.Errorf("a default row is not plain")
		}
		if change(row); row.Plain() {
			t.Errorf("a row with %s is plain", what)
		}
	}
}
