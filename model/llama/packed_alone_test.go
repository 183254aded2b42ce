package llama

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/kernels/native"
	"astro/model"

	"github.com/gomlx/gomlx/core/tensors"
)

// atEachLevel runs test at each level of this processor, and then goes back to the one that was in use.
func atEachLevel(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	used := native.Used().String()
	t.Cleanup(func() { useLevel(t, used) })
	for _, l := range native.Levels() {
		t.Run(l.String(), func(t *testing.T) {
			useLevel(t, l.String())
			test(t)
		})
	}
}

func useLevel(t *testing.T, name string) {
	t.Helper()
	if err := native.Use(name); err != nil {
		t.Fatal(err)
	}
}

// small is a model whose contexts can have three spans of attention.
func small() model.Config {
	return model.Config{Vocab: 70, Hidden: 64, Layers: 2, Heads: 6, KVHeads: 2, HeadDim: 32, FFN: 96, MaxPositions: 640, NormEps: 1e-5, TiedHead: true,
		Rope: model.Rope{Theta: 1e4}, BOS: -1, InitStd: .1}
}

// crowd is a packed model whose pool holds some Sequences of one length.
type crowd struct {
	*packed
	made  *testing.T // by which
	own   [][]int32  // pages of each Sequence
	texts [][]int32
	pages int
}

// crowdOf makes n Sequences of random tokens with pages strewn over the pool.
func crowdOf(t *testing.T, d *device.Device, p Packed, n, tokens int) *crowd {
	t.Helper()
	pages := (tokens + p.PageTokens - 1) / p.PageTokens
	c := &crowd{made: t, packed: pack(t, d, p, n*pages+3), pages: pages}
	r := rand.New(rand.NewPCG(7, uint64(n)))
	order := r.Perm(n*pages + 3)
	for s := range n {
		own, text := make([]int32, pages), make([]int32, tokens)
		for i := range own {
			own[i] = int32(order[s*pages+i])
		}
		for i := range text {
			text[i] = int32(r.IntN(p.Config.Vocab))
		}
		c.own, c.texts = append(c.own, own), append(c.texts, text)
	}
	return c
}

// feed runs tokens from..to of these Sequences as one batch, and gives the logits of each: [len(who)][to-from, vocab].
func (c *crowd) feed(t *testing.T, who []int, from, to int) [][]float32 {
	t.Helper()
	n := to - from
	var batch []int32
	for _, s := range who {
		line := c.lineOf(rand.New(rand.NewPCG(1, 1)), n, c.pages, from, c.own[s])
		copy(line, c.texts[s][from:to])
		batch = append(batch, line...)
	}
	all := c.run(t, batch, len(who), n)
	out, size := make([][]float32, len(who)), n*c.Config.Vocab
	for i := range who {
		out[i] = all[i*size : (i+1)*size]
	}
	return out
}

// run is step with a program for each number of Sequences, which lives as long as the test that made the crowd.
func (c *crowd) run(t *testing.T, batch []int32, seqs, tokens int) []float32 {
	t.Helper()
	key := seqs*10000 + tokens
	if c.programs[key] == nil {
		p, err := c.device.Compile(c.spec(seqs, tokens, c.pages))
		if err != nil {
			t.Fatal(err)
		}
		c.programs[key] = p
		c.made.Cleanup(p.Close)
	}
	out, err := c.programs[key].Run(tensors.FromFlatDataAndDimensions(batch, seqs, len(batch)/seqs), c.cos, c.sin, c.blob, c.pool)
	if err != nil {
		t.Fatal(err)
	}
	c.pool = out[1]
	return tensors.MustCopyFlatData[float32](out[0])
}

// inChunks feeds one Sequence in chunks of such sizes, again and again, and gives the logits of all its tokens.
func (c *crowd) inChunks(t *testing.T, who, to int, sizes ...int) []float32 {
	t.Helper()
	var out []float32
	for from, i := 0, 0; from < to; i++ {
		next := min(from+sizes[i%len(sizes)], to)
		out = append(out, c.feed(t, []int{who}, from, next)[0]...)
		from = next
	}
	return out
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d logits; want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: logit %d is %g; want %g", what, i, got[i], want[i])
		}
	}
}

func (c *crowd) fresh() { c.pool = tensors.FromShape(c.PoolShape(c.poolPages)) }

// A Sequence's logits are the same, bit for bit, alone and beside seven others, and however its prompt is cut into chunks.
func TestPackedSequenceStandsAlone(t *testing.T) {
	d := devicetest.Native(t)
	const prompt, end = 70, 73
	for _, w := range []native.Weights{native.F32, native.BF16, native.Int8, native.Int4} {
		c := crowdOf(t, d, Packed{Config: small(), Weights: w, Pages: native.Pages(int(w) % 3), PageTokens: 16}, 8, end)
		atEachLevel(t, func(t *testing.T) {
			c.fresh()
			all := []int{5, 0, 1, 2, 3, 4, 6, 7}
			beside := c.feed(t, all, 0, prompt)[0]
			for at := prompt; at < end; at++ {
				beside = append(beside, c.feed(t, all, at, at+1)[0]...)
			}
			for _, sizes := range [][]int{{prompt, 1}, {end}, {1, 16, 3}, {33, 5}, {17}} {
				c.fresh()
				sameBits(t, fmt.Sprintf("%s in chunks of %d", w, sizes), c.inChunks(t, 5, end, sizes...), beside)
			}
		})
	}
}

// Contexts of three spans of attention, whole and in chunks, give what the reference gives, and the same bits.
func TestPackedLongContext(t *testing.T) {
	d := devicetest.Native(t)
	const end = 540
	config := small()
	config.Layers = 1 // the reference takes seconds
	for _, w := range []native.Weights{native.F32, native.Int8} {
		form := Packed{Config: config, Weights: w, PageTokens: 64}
		plain := form
		plain.plain = true
		want := crowdOf(t, d, plain, 1, end).feed(t, []int{0}, 0, end)[0]
		got := crowdOf(t, d, form, 1, end)
		atEachLevel(t, func(t *testing.T) {
			got.fresh()
			whole := got.feed(t, []int{0}, 0, end)[0]
			if diff := relative(whole, want); !(diff <= tolerance(w, native.PagesF32)) {
				t.Fatalf("%s: logits differ by %.2g of their size; want at most %g", w, diff, tolerance(w, native.PagesF32))
			}
			got.fresh()
			sameBits(t, w.String()+" in chunks", got.inChunks(t, 0, end, 250, 7, 90), whole)
		})
	}
}

// A decode at a long context gives the same bits on one thread, where it is one task, on many, where its spans are tasks, and beside others whose
// contexts are short.
func TestPackedLongDecode(t *testing.T) {
	d := devicetest.Native(t)
	const end, short = 540, 20
	config := small()
	config.Layers = 1
	before := native.Threads()
	t.Cleanup(func() { native.SetThreads(before) })
	c := crowdOf(t, d, Packed{Config: config, Pages: native.PagesF16, PageTokens: 64}, 3, end)
	atEachLevel(t, func(t *testing.T) {
		c.fresh()
		whole := c.feed(t, []int{0}, 0, end)[0]
		want := whole[(end-1)*c.Config.Vocab:]
		c.feed(t, []int{1, 2}, 0, short)
		for _, threads := range []int{1, 2, 5} {
			native.SetThreads(threads)
			sameBits(t, fmt.Sprintf("alone, %d threads", threads), c.feed(t, []int{0}, end-1, end)[0], want)
			lines := [3][]int32{}
			for i, at := range []int{short, end - 1, short} {
				who := []int{1, 0, 2}[i]
				lines[i] = c.lineOf(rand.New(rand.NewPCG(1, 1)), 1, c.pages, at, c.own[who])
				lines[i][0] = c.texts[who][at]
			}
			beside := c.run(t, slices.Concat(lines[:]...), 3, 1)
			sameBits(t, fmt.Sprintf("beside short ones, %d threads", threads), beside[c.Config.Vocab:2*c.Config.Vocab], want)
		}
	})
}

// poison makes the embedding of a token NaN or infinite. The head is not tied.
func poison(t *testing.T, c *crowd, token int, bad float32) {
	t.Helper()
	b := c.model().Blob()
	bytes := tensors.MustCopyFlatData[uint8](c.blob)
	for k := range c.Config.Hidden {
		if c.Weights == native.F32 {
			putWord(bytes[b.Embed+4*(token*c.Config.Hidden+k):], math.Float32bits(bad), 4)
		} else {
			putWord(bytes[b.Embed+2*(token*c.Config.Hidden+k):], math.Float32bits(bad)>>16, 2)
		}
	}
	c.blob = tensors.FromFlatDataAndDimensions(bytes, len(bytes))
}

func putWord(to []byte, word uint32, bytes int) {
	for i := range bytes {
		to[i] = byte(word >> (8 * i))
	}
}

// A row that is not finite stays alone: its logits tell it, the Sequences beside it do not know, nor does who owns its pages next.
func TestPackedNaNStaysInItsSequence(t *testing.T) {
	d := devicetest.Native(t)
	const end, sickToken = 40, 69
	config := small()
	config.TiedHead = false
	for _, w := range []native.Weights{native.F32, native.Int8} {
		for i, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
			form := Packed{Config: config, Weights: w, Pages: native.Pages(1 + i), PageTokens: 16}
			well, sick := crowdOf(t, d, form, 3, end), crowdOf(t, d, form, 3, end)
			for _, c := range []*crowd{well, sick} {
				for _, text := range c.texts {
					for i := range text {
						text[i] %= sickToken
					}
				}
			}
			poison(t, sick, sickToken, bad)
			sick.texts[1][20], sick.texts[1][39] = sickToken, sickToken
			atEachLevel(t, func(t *testing.T) { staysAlone(t, well, sick) })
		}
	}
}

func staysAlone(t *testing.T, well, sick *crowd) {
	t.Helper()
	const end = 40
	well.fresh()
	sick.fresh()
	want, got := well.feed(t, []int{0, 1, 2}, 0, end), sick.feed(t, []int{0, 1, 2}, 0, end)
	sameBits(t, "the first Sequence", got[0], want[0])
	sameBits(t, "the third Sequence", got[2], want[2])
	vocab := sick.Config.Vocab
	sameBits(t, "what came before", got[1][:20*vocab], want[1][:20*vocab])
	for _, row := range []int{20, 39} {
		if v := float64(got[1][row*vocab]); !math.IsNaN(v) && !math.IsInf(v, 0) {
			t.Errorf("a logit of the row that is not finite is %g", v)
		}
	}
	well.fresh()
	heir := *sick // with the sick one's pages
	heir.own = [][]int32{sick.own[1], sick.own[0], sick.own[2]}
	sameBits(t, "the next owner", heir.feed(t, []int{0}, 0, end)[0], well.feed(t, []int{0}, 0, end)[0])
}

// Keys and values that are too large for f16 are stored as its largest number: as infinities they would turn rows that do not see them,
// but are fed beside them, into NaN, for attention multiplies what is masked by zero.
func TestPackedOverflowIsStoredFinite(t *testing.T) {
	d := devicetest.Native(t)
	const end = 24
	c := crowdOf(t, d, Packed{Config: small(), PageTokens: 16, Pages: native.PagesF16}, 1, end)
	scale := tensors.MustCopyFlatData[uint8](c.blob) // the norm before attention: all keys and values become 1e6 times larger
	for k := range c.Config.Hidden {
		putWord(scale[c.model().Blob().AttnNorm+4*k:], math.Float32bits(1e6), 4)
	}
	c.blob = tensors.FromFlatDataAndDimensions(scale, len(scale))
	atEachLevel(t, func(t *testing.T) {
		c.fresh()
		for i, y := range c.feed(t, []int{0}, 0, end)[0] {
			if v := float64(y); math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("logit %d is %g", i, v)
			}
		}
	})
}
