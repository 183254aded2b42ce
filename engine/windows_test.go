package engine_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// TestWindowsMirrorPools drives two runners on go, one of which has no room for windows, through the same Plans: Sequences that start in
// pages that others left, share full pages, get copies of begun ones, decode in changing company and order, and end. Both draw the same.
func TestWindowsMirrorPools(t *testing.T) {
	d := openDevice(t, device.Go)
	c := model.Config{Vocab: 61, Hidden: 32, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 8, FFN: 48, MaxPositions: 64, NormEps: 1e-5,
		TiedHead: true, Rope: model.Rope{Theta: 10000}, BOS: -1, InitStd: .5}
	for _, kv := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
		w, err := model.Random(c, 1, d.Backend(), dtypes.Float32)
		if err != nil {
			t.Fatal(err)
		}
		policy := model.NewPolicy(1, w)
		t.Cleanup(policy.Release)
		config := engine.RunnerConfig{Pages: 20, PageTokens: 4, MaxSlots: 4, ChunkTokens: 32, MaxContextTokens: 20, KVType: kv,
			GatherBytes: 1 << 20, LogitsBytes: engine.DefaultLogitsBytes}
		windowed := newRunner(t, d, policy, config)
		config.GatherBytes = 1
		s := &windowStory{t: t, r: rand.New(rand.NewPCG(1, 2)), runners: []*engine.DeviceRunner{windowed, newRunner(t, d, policy, config)}}
		for range config.Pages {
			s.free = append(s.free, int32(len(s.free)))
		}
		for range 2000 {
			s.next()
		}
		if s.decoded < 1000 {
			t.Errorf("the story decoded %d tokens; want at least 1000", s.decoded)
		}
	}
}

// A windowStory is random Sequences that both runners compute.
type windowStory struct {
	t       *testing.T
	r       *rand.Rand
	runners []*engine.DeviceRunner
	free    []int32
	live    []*told
	decoded int
}

// told is a Sequence: length tokens are in its pages, next is fed next. The first shared pages are another's, too.
type told struct {
	pages  []int32
	shared int
	length int
	next   int32
}

func (s *windowStory) next() {
	switch k := s.r.IntN(12); {
	case len(s.live) < 4 && k < 4:
		s.start()
	case len(s.live) == 1 && k < 8:
		s.fork()
	case len(s.live) > 2 && k == 8:
		s.end(s.r.IntN(len(s.live)))
	case len(s.live) > 0:
		s.decode()
	}
}

func (s *windowStory) page() int32 {
	i := len(s.free) - 1 // what was freed last is used first
	p := s.free[i]
	s.free = s.free[:i]
	return p
}

func (s *windowStory) start() {
	x := &told{length: 2 + s.r.IntN(12)}
	for len(x.pages)*4 < x.length {
		x.pages = append(x.pages, s.page())
	}
	tokens := make([]int32, x.length)
	for i := range tokens {
		tokens[i] = int32(s.r.IntN(61))
	}
	s.run(&engine.Plan{Rows: []engine.Row{{Version: 1, Tokens: tokens, Pages: x.pages, Sample: greedy(x.length)}}}, []*told{x})
	s.live = append(s.live, x)
}

// fork gives the only Sequence a twin on its full pages and a copy of the begun one.
func (s *windowStory) fork() {
	from := s.live[0]
	if from.length%4 == 0 {
		return
	}
	twin := &told{length: from.length, next: (from.next + 7) % 61, shared: from.length / 4}
	twin.pages = append(append(twin.pages, from.pages[:twin.shared]...), s.page())
	s.live = append(s.live, twin)
	s.step([]*told{twin, from}, []engine.PageCopy{{From: from.pages[twin.shared], To: twin.pages[twin.shared]}})
}

// end frees the pages that nobody else has.
func (s *windowStory) end(i int) {
	x := s.live[i]
	s.live = append(s.live[:i:i], s.live[i+1:]...)
	held := map[int32]bool{}
	for _, other := range s.live {
		for _, p := range other.pages {
			held[p] = true
		}
	}
	for _, p := range x.pages {
		if !held[p] {
			s.free = append(s.free, p)
		}
	}
}

func (s *windowStory) decode() {
	list := append([]*told{}, s.live...)
	s.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	if s.r.IntN(4) == 0 {
		list = list[:1+s.r.IntN(len(list))]
	}
	s.step(list, nil)
}

func (s *windowStory) step(list []*told, copies []engine.PageCopy) {
	plan := &engine.Plan{Copies: copies}
	for _, x := range list {
		if x.length == 4*len(x.pages) {
			x.pages = append(x.pages, s.page())
		}
		plan.Rows = append(plan.Rows, engine.Row{Version: 1, Tokens: []int32{x.next}, Start: x.length, Pages: x.pages, Sample: greedy(x.length + 1)})
		x.length++
	}
	s.decoded += len(list)
	s.run(plan, list)
	for i := len(s.live) - 1; i >= 0; i-- {
		if s.live[i].length == 19 {
			s.end(i)
		}
	}
}

// run gives a Plan to both runners, compares and goes on with what was drawn.
func (s *windowStory) run(plan *engine.Plan, list []*told) {
	s.t.Helper()
	var results []engine.Result
	for _, r := range s.runners {
		result, err := r.Run(plan)
		if err != nil {
			s.t.Fatal(err)
		}
		results = append(results, result)
	}
	for i, x := range list {
		a, b := results[0].Rows[i].Choices[0], results[1].Rows[i].Choices[0]
		if a.Token != b.Token || math.Abs(float64(a.Logprob-b.Logprob)) > 1e-4 {
			s.t.Fatalf("after %d decodes row %d drew %v on windows; want %v", s.decoded, i, a.TokenLogprob, b.TokenLogprob)
		}
		x.next = a.Token
	}
}

func greedy(n int) *sampler.Row {
	return &sampler.Row{Params: sampler.Greedy(), Prompt: make([]int32, n)}
}
