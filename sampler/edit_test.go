package sampler

import (
	"slices"
	"testing"
)

// Edits by hand: what happens to logits {2, -2, 1, 0.5} of a row with prompt {0, 1} and output {2, 2, 1}.
func TestEditsByHand(t *testing.T) {
	cases := map[string]struct {
		change func(r *Row)
		want   []float32
	}{
		"none":       {func(r *Row) {}, []float32{2, -2, 1, 0.5}},
		"bias":       {func(r *Row) { r.Params.LogitBias = map[int32]float32{1: 3, 3: -0.25} }, []float32{2, 1, 1, 0.25}},
		"repetition": {func(r *Row) { r.Params.RepetitionPenalty = 2 }, []float32{1, -4, 0.5, 0.5}},
		"presence":   {func(r *Row) { r.Params.PresencePenalty = 0.5 }, []float32{2, -2.5, 0.5, 0.5}},
		"frequency":  {func(r *Row) { r.Params.FrequencyPenalty = 0.5 }, []float32{2, -2.5, 0, 0.5}},
		"reward":     {func(r *Row) { r.Params.FrequencyPenalty = -1 }, []float32{2, -1, 3, 0.5}},
		"banned":     {func(r *Row) { r.Banned = []int32{0, 0, 3} }, []float32{forbidden, -2, 1, forbidden}},
		"bias before repetition": {func(r *Row) {
			r.Params.RepetitionPenalty, r.Params.LogitBias = 2, map[int32]float32{1: 3}
		}, []float32{1, 0.5, 0.5, 0.5}},
		"all": {func(r *Row) {
			r.Params.RepetitionPenalty, r.Params.PresencePenalty, r.Params.FrequencyPenalty = 2, 1, 0.25
			r.Params.LogitBias = map[int32]float32{0: -1, 2: 3}
			r.Banned = []int32{3}
		}, []float32{0.5, -5.25, 0.5, forbidden}},
		"outside of the vocabulary": {func(r *Row) {
			r.Params.LogitBias, r.Banned = map[int32]float32{-1: 5, 4: 5, 1 << 30: 1}, []int32{99}
		}, []float32{2, -2, 1, 0.5}},
	}
	for name, c := range cases {
		row := &Row{Params: Greedy(), Prompt: []int32{0, 1}, Output: []int32{2, 2, 1}}
		c.change(row)
		logits := []float32{2, -2, 1, 0.5}
		var s scratch
		if got := s.edit(logits, row); !slices.Equal(got, c.want) {
			t.Errorf("%s: logits %v; want %v", name, got, c.want)
		}
		if !slices.Equal(logits, []float32{2, -2, 1, 0.5}) {
			t.Errorf("%s: the caller's logits were changed to %v", name, logits)
		}
		choice, err := Host(logits, row)
		if want := argMax(c.want); err != nil || int(choice.Token) != want {
			t.Errorf("%s: token %d, error %v; want token %d", name, choice.Token, err, want)
		}
		if want, _, _ := ScoreHost(logits, choice.Token, 0); choice.TokenLogprob != want || choice.Sampled != 0 {
			t.Errorf("%s: got %+v; want the log-probability of the unchanged logits, %g, and 0 for a greedy draw", name, choice, want.Logprob)
		}
	}
}

func TestGreedyTakesTheFirstOfEquals(t *testing.T) {
	if c, err := Host([]float32{0, 5, 1, 5}, &Row{Params: Greedy()}); err != nil || c.Token != 1 {
		t.Errorf("token %d, error %v; want token 1", c.Token, err)
	}
}

func TestForbiddenLogitsStayForbidden(t *testing.T) {
	row := &Row{Params: Greedy(), Prompt: []int32{0}}
	row.Params.RepetitionPenalty = 1e-6
	row.Params.LogitBias = map[int32]float32{0: 100}
	if c, err := Host([]float32{-1e30, -500}, row); err != nil || c.Token != 1 {
		t.Errorf("token %d, error %v; want token 1", c.Token, err)
	}
}
