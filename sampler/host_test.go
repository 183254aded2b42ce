package sampler

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// gridLogits are multiples of 1/64, so that ties are frequent and nearly equal values do not exist.
func gridLogits(r *rand.Rand, vocab int) []float32 {
	logits := make([]float32, vocab)
	spread := math.Pow(2, float64(r.IntN(5)))
	for i := range logits {
		logits[i] = float32(math.Round(r.NormFloat64()*spread*4) / 64)
	}
	return logits
}

// randomTokens are ids of which some appear more than once.
func randomTokens(r *rand.Rand, vocab, n int) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(r.IntN(min(vocab, 3*n)))
	}
	return tokens
}

// settings change one thing each of a row that samples at temperature 1.
var settings = map[string]func(r *rand.Rand, row *Row, vocab int){
	"greedy":      func(r *rand.Rand, row *Row, _ int) { row.Params.Temperature = 0 },
	"temperature": func(r *rand.Rand, row *Row, _ int) { row.Params.Temperature = 0.05 + 1.95*r.Float32() },
	"top-k":       func(r *rand.Rand, row *Row, vocab int) { row.Params.TopK = 1 + r.IntN(vocab+2) },
	"top-p":       func(r *rand.Rand, row *Row, _ int) { row.Params.TopP = 1 - 0.99*r.Float32() },
	"min-p":       func(r *rand.Rand, row *Row, _ int) { row.Params.MinP = r.Float32() },
	"bias": func(r *rand.Rand, row *Row, vocab int) {
		row.Params.LogitBias = map[int32]float32{}
		for _, t := range randomTokens(r, vocab, 1+r.IntN(6)) {
			row.Params.LogitBias[t] = float32(r.IntN(400)-200) / 16
		}
	},
	"allowed": func(r *rand.Rand, row *Row, vocab int) {
		row.Allowed = make([]uint64, AllowedWords(vocab))
		for i := range row.Allowed {
			row.Allowed[i] = r.Uint64() & r.Uint64()
		}
		row.Allowed[0] |= 1 << r.IntN(min(vocab, 64))
	},
	"banned":     func(r *rand.Rand, row *Row, vocab int) { row.Banned = randomTokens(r, vocab, 1+r.IntN(vocab/2)) },
	"repetition": func(r *rand.Rand, row *Row, _ int) { row.Params.RepetitionPenalty = []float32{0.5, 2, 4}[r.IntN(3)] },
	"presence":   func(r *rand.Rand, row *Row, _ int) { row.Params.PresencePenalty = float32(r.IntN(17)-8) / 4 },
	"frequency":  func(r *rand.Rand, row *Row, _ int) { row.Params.FrequencyPenalty = float32(r.IntN(17)-8) / 4 },
}

// randomRow has history and the named settings.
func randomRow(r *rand.Rand, vocab int, names ...string) *Row {
	row := &Row{Params: Default(), Prompt: randomTokens(r, vocab, r.IntN(9)), Output: randomTokens(r, vocab, r.IntN(9))}
	row.Params.Seed = r.Uint64()
	for _, name := range names {
		settings[name](r, row, vocab)
	}
	leaveOne(row, vocab)
	return row
}

// leaveOne allows another token if all that are allowed are banned.
func leaveOne(row *Row, vocab int) {
	if row.Allowed == nil {
		return
	}
	free := -1
	for i := range vocab {
		if banned := slices.Contains(row.Banned, int32(i)); !banned && row.Allowed[i/64]>>(i%64)&1 == 1 {
			return
		} else if !banned {
			free = i
		}
	}
	row.Allowed[free/64] |= 1 << (free % 64)
}

// Logits of both zeros are equally near: the distance between them is not -0.
func TestZeros(t *testing.T) {
	logits := []float32{-3, float32(math.Copysign(0, -1)), 0}
	drawn := map[int32]bool{}
	for seed := range uint64(64) {
		row := Row{Params: Default()}
		row.Params.Seed = seed
		c, err := Host(logits, &row)
		if err != nil || math.Abs(float64(c.Logprob-c.Sampled)) > 1e-5 {
			t.Fatal(c, err)
		}
		drawn[c.Token] = true
	}
	if !drawn[1] || !drawn[2] {
		t.Errorf("64 draws gave only %v", drawn)
	}
}

// someSettings chooses each with probability 1/3; their order is fixed, because map iteration is not.
func someSettings(r *rand.Rand) (names []string) {
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(string) bool { return r.IntN(3) > 0 })
}

// judge holds Host against the oracle and says whether the oracle could decide the token.
func judge(t *testing.T, logits []float32, row *Row) bool {
	t.Helper()
	o := newOracle(logits, row)
	if !o.clear {
		return false
	}
	c, err := Host(logits, row)
	if err != nil {
		t.Fatalf("%v (params %+v)", err, row.Params)
	}
	raw := make([]float64, len(logits))
	for i, l := range logits {
		raw[i] = float64(l)
	}
	if want := math.Log(softmax(raw)[c.Token]); math.Abs(float64(c.Logprob)-want) > 1e-5 {
		t.Errorf("log-probability %g; want %g (params %+v)", c.Logprob, want, row.Params)
	}
	if want := math.Log(o.probs[c.Token]); math.Abs(float64(c.Sampled)-want) > 1e-5 {
		t.Errorf("log-probability %g where it was drawn; want %g (params %+v)", c.Sampled, want, row.Params)
	}
	want, lead := o.winner(row)
	if lead < 1e-5 {
		return false
	}
	if c.Token != want {
		t.Errorf("token %d; want %d (params %+v)", c.Token, want, row.Params)
	}
	checkKept(t, logits, row, o)
	return true
}

// checkKept compares the tokens that Host draws among with the oracle's.
func checkKept(t *testing.T, logits []float32, row *Row, o oracle) {
	t.Helper()
	if row.Params.Temperature == 0 {
		return
	}
	var s scratch
	final := s.edit(logits, row)
	s.measure(final, final[argMax(final)], row.Params.scale())
	limit := s.limit(&row.Params)
	const least = 1e-30 // of the best one's probability; what is below is never drawn, kept or not
	for i, d := range s.distances {
		if kept := d <= limit && s.mass[i] > least; kept != (o.probs[i] > least*slices.Max(o.probs)) {
			t.Errorf("token %d: kept is %v, its probability %g (params %+v)", i, kept, o.probs[i], row.Params)
		}
	}
}

func TestHostAgainstOracle(t *testing.T) {
	check := func(t *testing.T, rounds int, choose func(r *rand.Rand) []string) {
		r := rand.New(rand.NewPCG(3, 5))
		decided := 0
		for range rounds {
			vocab := 4 + r.IntN(200)
			if judge(t, gridLogits(r, vocab), randomRow(r, vocab, choose(r)...)) {
				decided++
			}
		}
		if decided < rounds*8/10 {
			t.Errorf("the oracle decided %d of %d draws; want 80 %%", decided, rounds)
		}
	}
	for name := range settings {
		t.Run(name, func(t *testing.T) { check(t, 200, func(*rand.Rand) []string { return []string{name} }) })
	}
	t.Run("combined", func(t *testing.T) { check(t, 2000, someSettings) })
}

func TestTiesAtALimitAreKept(t *testing.T) {
	logits := []float32{1, 3, 2, 2, 2, 0}
	cases := map[string]struct {
		change func(p *Params)
		want   []int32
	}{
		"top-k 1":              {func(p *Params) { p.TopK = 1 }, []int32{1}},
		"top-k 2":              {func(p *Params) { p.TopK = 2 }, []int32{1, 2, 3, 4}},
		"top-k 4":              {func(p *Params) { p.TopK = 4 }, []int32{1, 2, 3, 4}},
		"top-k 5":              {func(p *Params) { p.TopK = 5 }, []int32{0, 1, 2, 3, 4}},
		"top-p tiny":           {func(p *Params) { p.TopP = 1e-6 }, []int32{1}},
		"top-p above the best": {func(p *Params) { p.TopP = 0.5 }, []int32{1, 2, 3, 4}},
		"min-p 1":              {func(p *Params) { p.MinP = 1 }, []int32{1}},
		"min-p 0.3":            {func(p *Params) { p.MinP = 0.3 }, []int32{1, 2, 3, 4}},
		"min-p, then top-p":    {func(p *Params) { p.MinP, p.TopP = 0.3, 0.99 }, []int32{1, 2, 3, 4}},
	}
	for name, c := range cases {
		p := Default()
		c.change(&p)
		seen := map[int32]bool{}
		for seed := range uint64(2000) {
			p.Seed = seed
			choice, err := Host(logits, &Row{Params: p})
			if err != nil {
				t.Fatal(err)
			}
			seen[choice.Token] = true
		}
		for token := range int32(len(logits)) {
			if seen[token] != slices.Contains(c.want, token) {
				t.Errorf("%s: token %d drawn is %v; want tokens %v", name, token, seen[token], c.want)
			}
		}
	}
}

// A set that has exactly the mass top_p is complete, whatever the rounding of its sum.
func TestTopPAtExactlyItsMass(t *testing.T) {
	logits := []float32{0, 0, float32(-math.Log(4)), float32(-math.Log(4))} // 0.4, 0.4, 0.1, 0.1
	p := Default()
	p.TopP = 0.8
	for p.Seed = range uint64(500) {
		if c, err := Host(logits, &Row{Params: p}); err != nil || c.Token > 1 || math.Abs(float64(c.Sampled)-math.Log(0.5)) > 1e-5 {
			t.Fatalf("token %d with log-probability %g, error %v; want token 0 or 1 with that of 0.5", c.Token, c.Sampled, err)
		}
	}
}

func TestHostErrors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	cases := map[string]struct {
		logits []float32
		row    Row
		want   error
	}{
		"NaN":                    {[]float32{1, nan, 2}, Row{Params: Greedy()}, ErrNotFinite},
		"NaN first":              {[]float32{nan, 1, 2}, Row{Params: Default()}, ErrNotFinite},
		"+Inf":                   {[]float32{1, inf, 2}, Row{Params: Greedy()}, ErrNotFinite},
		"all -Inf":               {[]float32{-inf, -inf, -inf}, Row{Params: Greedy()}, ErrNotFinite},
		"-Inf elsewhere":         {[]float32{-inf, 0, -inf}, Row{Params: Default()}, nil},
		"all banned":             {[]float32{1, 2, 3}, Row{Params: Default(), Banned: []int32{0, 1, 2}}, ErrNothingAllowed},
		"all that is finite":     {[]float32{1, -inf, 3}, Row{Params: Greedy(), Banned: []int32{2, 0}}, ErrNothingAllowed},
		"none allowed":           {[]float32{1, 2, 3}, Row{Params: Default(), Allowed: []uint64{1 << 3}}, ErrNothingAllowed},
		"one allowed":            {[]float32{1, 2, 3}, Row{Params: Default(), Allowed: []uint64{1 << 1}}, nil},
		"allowed and banned":     {[]float32{1, 2, 3}, Row{Params: Greedy(), Allowed: []uint64{6}, Banned: []int32{2}}, nil},
		"one left":               {[]float32{1, 2, 3}, Row{Params: Default(), Banned: []int32{0, 2}}, nil},
		"the penalty overflowed": {[]float32{1, 3e38, 3}, Row{Params: Params{TopP: 1, RepetitionPenalty: 1e-3}, Prompt: []int32{1}}, ErrNotFinite},
	}
	for name, c := range cases {
		choice, err := Host(c.logits, &c.row)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v; want %v", name, err, c.want)
		}
		if c.want == nil && choice.Token != 1 {
			t.Errorf("%s: got token %d; want 1", name, choice.Token)
		}
	}
}

func TestHostBatchIsRowByRow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const vocab = 50
	logits := gridLogits(r, 9*vocab)
	logits[2*vocab+7] = float32(math.NaN())
	rows := make([]*Row, 9)
	for i := range rows {
		if i != 4 {
			rows[i] = randomRow(r, vocab, someSettings(r)...)
			rows[i].TopN = i
		}
	}
	choices, errs := HostBatch(logits, rows)
	for i, row := range rows {
		if row == nil {
			if errs[i] != nil || choices[i].Logprob != 0 {
				t.Errorf("a row that draws nothing got %v, %v", choices[i], errs[i])
			}
			continue
		}
		want, err := Host(logits[i*vocab:(i+1)*vocab], row)
		if choices[i].TokenLogprob != want.TokenLogprob || choices[i].Sampled != want.Sampled || (err == nil) != (errs[i] == nil) || (errs[i] != nil) != (i == 2) {
			t.Errorf("row %d: %v, %v; alone %v, %v", i, choices[i], errs[i], want, err)
		}
	}
}

func TestAlternatives(t *testing.T) {
	logits := []float32{1, 3, 2, 3, -1}
	c, err := Host(logits, &Row{Params: Greedy(), TopN: 3})
	if err != nil {
		t.Fatal(err)
	}
	var ids []int32
	for _, a := range c.Top {
		ids = append(ids, a.Token)
	}
	if !slices.Equal(ids, []int32{1, 3, 2}) || c.Top[0].Logprob != c.Logprob || !near(c.Top[0].Logprob-c.Top[2].Logprob, 1) {
		t.Errorf("alternatives %v beside %v; want tokens 1, 3, 2 at 0, 0, -1 from the best", c.Top, c.TokenLogprob)
	}
	if c, err = Host(logits, &Row{Params: Greedy(), TopN: 20}); err != nil || len(c.Top) != 5 {
		t.Errorf("%d alternatives of 5 tokens, error %v", len(c.Top), err)
	}
	score, top, err := ScoreHost(logits, 2, 1)
	if err != nil || score != (TokenLogprob{2, c.Top[2].Logprob}) || len(top) != 1 || top[0] != c.Top[0] {
		t.Errorf("score %v, %v, %v; want token 2 as among the alternatives %v", score, top, err, c.Top)
	}
}
