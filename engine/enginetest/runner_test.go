package enginetest

import (
	"slices"
	"strings"
	"testing"

	"astro/engine"
	"astro/model"
	"astro/sampler"
)

// feed is a row of version 1 in pages.
func feed(start int, pages []int32, tokens ...int32) engine.Row {
	return engine.Row{Version: 1, Start: start, Pages: pages, Tokens: tokens}
}

func drawn(row engine.Row, prompt ...int32) engine.Row {
	row.Sample = &sampler.Row{Params: sampler.Default(), Prompt: prompt, TopN: 2}
	return row
}

// TestFindsWrongPlans: after tokens 1 2 3 were written to pages 0 and 1 by version 1, each of these plans is found out.
func TestFindsWrongPlans(t *testing.T) {
	stale := feed(3, []int32{0, 1}, 4)
	stale.Version = 2
	foreign := feed(0, []int32{2}, 1)
	foreign.Version = 9
	scored := feed(0, []int32{2}, 1, 2)
	scored.Score = &engine.Score{Targets: []int32{2}}
	ahead := drawn(feed(3, []int32{0, 1}, 4), 1, 2, 3, 4)
	ahead.Ahead = 2
	copied := engine.Plan{Rows: []engine.Row{feed(0, []int32{7}, 1)}, Copies: []engine.PageCopy{{From: 0, To: 2}, {From: 2, To: 3}}}
	for want, plan := range map[string]engine.Plan{
		"without rows":         {},
		"version:1":            {Rows: []engine.Row{stale}},
		"not published":        {Rows: []engine.Row{foreign}},
		"depends":              copied,
		"holds {written:false": {Rows: []engine.Row{feed(3, []int32{0, 5}, 4)}},
		"want {written:true":   {Rows: []engine.Row{feed(3, []int32{1, 0}, 4)}},
		"hold tokens":          {Rows: []engine.Row{drawn(feed(3, []int32{0, 1}, 4), 1, 2, 2, 4)}},
		"writes page 1":        {Rows: []engine.Row{feed(3, []int32{0, 1}, 4), feed(2, []int32{0, 1}, 4)}},
		"there twice":          {Rows: []engine.Row{feed(3, []int32{0, 0}, 4)}},
		"for 5 positions":      {Rows: []engine.Row{feed(3, []int32{0, 1}, 4, 5)}},
		"0 tokens":             {Rows: []engine.Row{feed(3, []int32{0, 1})}},
		"token 16":             {Rows: []engine.Row{feed(3, []int32{0, 1}, 16)}},
		"1 targets":            {Rows: []engine.Row{scored}},
		"2 tokens ahead":       {Rows: []engine.Row{ahead}}, // it wants alternatives
	} {
		r := prepared(t)
		if _, err := r.Run(&plan); err == nil || !strings.Contains(err.Error(), want) || len(r.Violations()) != 1 {
			t.Errorf("got %v; want a violation that names %q", err, want)
		}
	}
}

// prepared has tokens 1 2 3 in pages 0 and 1 of two tokens each, and versions 1 and 2.
func prepared(t *testing.T) *Runner {
	t.Helper()
	c := Options(16).Config
	c.PageTokens, c.Pages = 2, 8
	r := New(c)
	if err := r.Publish(model.NewPolicy(2, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(&engine.Plan{Rows: []engine.Row{feed(0, []int32{0, 1}, 1, 2, 3)}}); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTokensDependOnTheContextAlone: the same context in other pages, fed in other chunks, gives the same choice; another
// context, seed or version gives other logits or another draw.
func TestTokensDependOnTheContextAlone(t *testing.T) {
	choose := func(plans ...engine.Row) sampler.Choice {
		r := prepared(t)
		var result engine.Result
		for _, row := range plans {
			var err error
			if result, err = r.Run(&engine.Plan{Rows: []engine.Row{row}}); err != nil {
				t.Fatal(err)
			}
		}
		return result.Rows[0].Choices[0]
	}
	a := choose(drawn(feed(3, []int32{0, 1}, 4), 1, 2, 3, 4))
	b := choose(feed(0, []int32{6}, 1), drawn(feed(1, []int32{6, 3}, 2, 3, 4), 1, 2, 3, 4))
	if a.TokenLogprob != b.TokenLogprob || a.Sampled != b.Sampled || !slices.Equal(a.Top, b.Top) {
		t.Errorf("in other pages and chunks: %+v; want %+v", b, a)
	}
	if len(a.Top) != 2 || a.Top[0].Logprob < a.Top[1].Logprob || a.Logprob > a.Top[0].Logprob {
		t.Errorf("choice %+v: want two alternatives, best first, none worse than the choice", a)
	}
	if other := choose(drawn(feed(3, []int32{0, 1}, 5), 1, 2, 3, 5)); other.Top[0] == a.Top[0] {
		t.Errorf("another context gives the same distribution %+v", other)
	}
	row := drawn(feed(0, []int32{4, 5}, 1, 2, 3, 4), 1, 2, 3, 4)
	row.Version = 2
	if other := choose(row); other.Top[0] == a.Top[0] {
		t.Errorf("another version gives the same distribution %+v", other)
	}
}

// TestReplyAndBias: a test can make the model say what it wants.
func TestReplyAndBias(t *testing.T) {
	r := prepared(t)
	r.Reply = func(row *sampler.Row) int32 { return int32(len(row.Output)) + 9 }
	result, err := r.Run(&engine.Plan{Rows: []engine.Row{drawn(feed(3, []int32{0, 1}, 4), 1, 2, 3, 4)}})
	if err != nil || result.Rows[0].Choices[0].Token != 9 {
		t.Errorf("got %+v, %v; want token 9", result, err)
	}
	row := sampler.Row{Params: sampler.Greedy(), Banned: []int32{5}}
	row.Params.LogitBias = map[int32]float32{5: 100, 7: 50}
	if c := draw(&row, begin(1), 16); c.Token != 7 || c.Sampled != 0 {
		t.Errorf("got %+v; want token 7, which has the best bias of those not banned", c)
	}
}
