package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"
	"astro/sampler/grammar"

	"github.com/gomlx/compute/dtypes"
)

// maskModel has the shape of the 110M model that speed is compared on.
var maskModel = model.Config{Vocab: 32000, Hidden: 768, Layers: 12, Heads: 12, KVHeads: 4, HeadDim: 64, FFN: 2048, MaxPositions: 4096,
	NormEps: 1e-5, TiedHead: true, Rope: model.Rope{Theta: 500000}, BOS: -1, InitStd: .02}

// maskSchema keeps a text going: records without end, of free and bounded strings, numbers and choices.
const maskSchema = `{"type":"array","minItems":100,"items":{"type":"object","properties":{"name":{"type":"string","maxLength":64},
	"age":{"type":"integer","minimum":0,"maximum":150},"color":{"enum":["red","green","blue"]},"note":{"type":"string"},
	"tags":{"type":"array","items":{"type":"string","maxLength":20},"maxItems":8}},"required":["name","age","color"],"additionalProperties":false}}`

// maskRows Sequences decode from maskPrompt to maskEnd, then others take their place.
const maskRows, maskPrompt, maskEnd = 8, 64, 128

// BenchmarkMaskCost times decode steps of 8 Sequences on the 110M shape, whole ones (Scheduler, programs, grammar), without and
// with a JSON schema on every row, in turns and at equal positions. over/... is what the schema costs, in percent: of the best
// step, the median and the mean; the mean has the states in it that are met for the first time.
func BenchmarkMaskCost(b *testing.B) {
	d := openDevice(b, device.XLACPU)
	w, err := model.Random(maskModel, 1, d.Backend(), dtypes.Float32)
	if err != nil {
		b.Fatal(err)
	}
	policy := model.NewPolicy(1, w)
	b.Cleanup(policy.Release)
	schema, err := grammar.Compile(grammar.JSONSchema(maskSchema), maskVocab(b, maskModel.Vocab), grammar.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	both := []*decoding{newDecoding(b, d, policy, nil), newDecoding(b, d, policy, schema)}
	var took [2][]time.Duration
	for b.Loop() {
		if both[0].over() || both[1].over() {
			both[0].restart()
			both[1].restart()
		}
		turn := len(took[0]) % 2 // who goes first changes
		for _, i := range []int{turn, 1 - turn} {
			start := time.Now()
			both[i].step()
			took[i] = append(took[i], time.Since(start))
		}
	}
	reportOver(b, took)
}

// reportOver compares the two series.
func reportOver(b *testing.B, took [2][]time.Duration) {
	var best, median, mean [2]float64
	for i, list := range took {
		sum := time.Duration(0)
		for _, t := range list {
			sum += t
		}
		sorted := slices.Sorted(slices.Values(list))
		best[i], median[i], mean[i] = float64(sorted[0]), float64(sorted[len(sorted)/2]), float64(sum)/float64(len(list))
	}
	for name, v := range map[string][2]float64{"best": best, "median": median, "mean": mean} {
		b.ReportMetric(v[0]/1e6, "ms/"+name)
		b.ReportMetric(100*(v[1]/v[0]-1), "over/"+name)
	}
}

// decoding is a Scheduler with a runner whose slots all decode.
type decoding struct {
	b         *testing.B
	scheduler *engine.Scheduler
	runner    *engine.DeviceRunner
	grammar   *grammar.Grammar
	position  int
	rows      int
}

func newDecoding(b *testing.B, d *device.Device, p *model.Policy, g *grammar.Grammar) *decoding {
	c := engine.RunnerConfig{Pages: maskRows * maskEnd / 16, PageTokens: 16, MaxSlots: maskRows, ChunkTokens: maskPrompt, MaxContextTokens: maskEnd,
		KVType: dtypes.Float32, GatherBytes: 1 << 30, LogitsBytes: engine.DefaultLogitsBytes}
	s := schedulerConfig(maskModel.Vocab, c)
	s.PrefixCache, s.StepTokens = false, maskRows*maskPrompt
	x := &decoding{b: b, scheduler: engine.NewScheduler(s, 1), runner: newRunner(b, d, p, c), grammar: g}
	x.restart()
	for range 4 { // compiles
		x.step()
	}
	x.position = maskEnd
	return x
}

// over says that some Sequence has ended.
func (x *decoding) over() bool { return x.rows != maskRows || x.position >= maskEnd-1 }

// restart puts a new Sequence into each slot and computes its prompt.
func (x *decoding) restart() {
	x.scheduler.CancelAll()
	for i := range maskRows {
		r := engine.Request{Prompt: make([]int32, maskPrompt), N: 1, MaxTokens: maskEnd - maskPrompt, Grammar: x.grammar, Params: sampler.Default(), Seeded: true}
		r.Params.Seed = uint64(i)
		for j := range r.Prompt {
			r.Prompt[j] = int32(i + j)
		}
		if _, err := x.scheduler.Submit(r); err != nil {
			x.b.Fatal(err)
		}
	}
	x.position, x.rows = maskPrompt, maskRows
	x.step()
}

func (x *decoding) step() {
	plan := x.scheduler.Next()
	result, err := x.runner.Run(plan)
	if err != nil {
		x.b.Fatal(err)
	}
	x.scheduler.Apply(result)
	x.rows = len(plan.Rows)
	x.position++
}

// maskVocab has every byte, numbers, words with and without a space before them, marks, and an end.
func maskVocab(b *testing.B, size int) *grammar.Vocab {
	r := rand.New(rand.NewPCG(1, 1))
	var tokens [][]byte
	seen := map[string]bool{}
	add := func(s string) {
		if !seen[s] && len(tokens) < size-1 {
			seen[s], tokens = true, append(tokens, []byte(s))
		}
	}
	for i := range 256 {
		add(string([]byte{byte(i)}))
	}
	for n := range 1000 {
		add(fmt.Sprint(n))
	}
	parts := []string{"a", "in", "er", "tion", "st", "re", "con", "de", "la", "mo", "ing", "o", "th", "qu", "ver", "ly", "é", "ж", "\":", "\",", "{\"", "}", " ", "\n"}
	for len(tokens) < size-1 {
		s := []string{"", " "}[r.IntN(2)]
		for range 1 + r.IntN(4) {
			s += parts[r.IntN(len(parts))]
		}
		add(s)
	}
	v, err := grammar.NewVocab(append(tokens, nil), []int32{int32(size - 1)})
	if err != nil {
		b.Fatal(err)
	}
	return v
}
