package grammar

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"astro/model/tokenizer"
)

// byteVocab has the 256 bytes, some longer tokens, special ones without bytes, and 256 as the end.
func byteVocab(t testing.TB) *Vocab {
	var tokens [][]byte
	for b := range 256 {
		tokens = append(tokens, []byte{byte(b)})
	}
	tokens = append(tokens, nil, nil)
	for _, s := range []string{`{"`, `":`, `": `, `", "`, `"}`, `"},`, `}}`, `]}`, `true`, ` false`, `null`, `00`, `12`, `\"`, `\u`, `\n`, "é", "é\xc3", "\xc3a", "\xa9b", "\xe2\x82", "\x82\xac", "\xe2\x82\xac!", "\xed\xa0", "😀x", "\xf0\x9f", "\x80\x80", "  ", "ab", "abc", `a"`, `"a`, `1.`, `-1`, `},{"`, "aaaaaaaaaa", "abc abc abc abc", strings.Repeat(" ", 30), strings.Repeat("é", 15)} {
		tokens = append(tokens, []byte(s))
	}
	v, err := NewVocab(append(tokens, []byte("ab"), []byte{}), []int32{256})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fixtureVocab is that of a tokenizer of the fixtures: byte-level BPE with 512 tokens.
func fixtureVocab(t testing.TB, path string) *Vocab {
	tok, err := tokenizer.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	tokens, eos := make([][]byte, tok.Vocab()), []int32{}
	for id := range tokens {
		if tok.Special(int32(id)) {
			eos = append(eos, int32(id))
		} else {
			tokens[id] = tok.Bytes(int32(id))
		}
	}
	v, err := NewVocab(tokens, eos[:1])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const bpe512 = "../../model/tokenizer/testdata/bpe512/tokenizer.json"

func TestFixtureIsThere(t *testing.T) {
	if _, err := os.Stat(filepath.FromSlash(bpe512)); err != nil {
		t.Fatal(err)
	}
}

// allowedTokens are the ids whose bits are set.
func allowedTokens(mask []uint64) []int32 {
	var ids []int32
	for i, word := range mask {
		for b := range 64 {
			if word>>b&1 == 1 {
				ids = append(ids, int32(64*i+b))
			}
		}
	}
	return ids
}

// text is what sampling wrote.
type text struct {
	bytes  string
	ended  bool
	tokens int
}

// write samples among the allowed tokens, uniformly, and calls see at each step.
func write(t testing.TB, g *Grammar, seed uint64, maxTokens int, see func(s State, mask []uint64)) text {
	t.Helper()
	r, s, out := rand.New(rand.NewPCG(seed, 7)), g.Start(), text{}
	mask := make([]uint64, g.vocab.Words())
	for ; out.tokens < maxTokens; out.tokens++ {
		g.Mask(s, mask)
		if see != nil {
			see(s, mask)
		}
		ids := allowedTokens(mask)
		if len(ids) == 0 {
			t.Fatalf("a dead end after %q", out.bytes)
		}
		id := ids[r.IntN(len(ids))]
		next, err := g.Next(s, id)
		if err != nil {
			t.Fatalf("after %q the mask allows token %d, but: %v", out.bytes, id, err)
		}
		if g.vocab.isEOS[id] {
			if out.ended = true; !g.Done(next) {
				t.Fatalf("after the end of %q the state is not done", out.bytes)
			}
			return out
		}
		out.bytes += string(g.vocab.tokens[id])
		s = next
	}
	return out
}

// matches says whether the grammar takes the whole text, byte by byte.
func matches(g *Grammar, text string) bool {
	e := g.lookup(g.Start())
	for i := range len(text) {
		e = g.step(e, g.classOf[text[i]])
	}
	return e.accepts()
}

// naivePath is a path whose stack is a plain list: node and count of each call, the innermost last.
type naivePath struct {
	node  int32
	stack [][2]int32
}

// naive follows the graph as it reads: no classes, no sharing, no cache. It is the slow truth of step, and through it of the mask.
type naive struct{ g *Grammar }

func (n naive) depth(stack [][2]int32) (d int32) {
	for _, f := range stack {
		if call := n.g.nodes[f[0]]; call.kind == kindCall {
			d += int32(n.g.nodes[call.body].deeper)
		}
	}
	return d
}

// close lists where p leads without reading.
func (n naive) close(p naivePath) []naivePath {
	if n.depth(p.stack)+n.g.measures.depth[p.node] > int32(n.g.limits.ValueDepth) {
		return nil
	}
	nd := n.g.nodes[p.node]
	push := func(count int32) []naivePath {
		stack := append(slices.Clone(p.stack), [2]int32{p.node, count})
		if n.depth(p.stack)+n.g.measures.depth[nd.next] > int32(n.g.limits.ValueDepth) {
			return nil
		}
		return n.close(naivePath{nd.body, stack})
	}
	switch nd.kind {
	case kindBytes:
		return []naivePath{p}
	case kindSplit:
		var all []naivePath
		for _, a := range nd.alternatives {
			all = append(all, n.close(naivePath{a, p.stack})...)
		}
		return all
	case kindCall, kindRepeat:
		all := push(0)
		if nd.kind == kindRepeat && nd.min == 0 {
			all = append(all, n.close(naivePath{nd.next, p.stack})...)
		}
		return all
	}
	if len(p.stack) == 0 {
		return []naivePath{p}
	}
	last := p.stack[len(p.stack)-1]
	below, call := p.stack[:len(p.stack)-1], n.g.nodes[last[0]]
	if call.kind == kindCall {
		return n.close(naivePath{call.next, below})
	}
	var all []naivePath
	if count := last[1] + 1; count >= call.min {
		all = n.close(naivePath{call.next, below})
	}
	if count := last[1] + 1; call.max == unbounded || count < call.max {
		if n.depth(below)+n.g.measures.depth[call.next] <= int32(n.g.limits.ValueDepth) {
			if call.max == unbounded {
				count = min(count, call.min) // beyond it all counts are alike
			}
			all = append(all, n.close(naivePath{call.body, append(slices.Clone(below), [2]int32{last[0], count})})...)
		}
	}
	return all
}

func (n naive) step(paths []naivePath, b byte) []naivePath {
	var all []naivePath
	for _, p := range paths {
		for _, e := range n.g.nodes[p.node].edges {
			if e.lo <= b && b <= e.hi {
				all = append(all, n.close(naivePath{e.to, p.stack})...)
			}
		}
	}
	return all
}

// mask tries each token by itself.
func (n naive) mask(paths []naivePath) []uint64 {
	bits := make([]uint64, n.g.vocab.Words())
	for id, text := range n.g.vocab.tokens {
		at := paths
		for _, b := range text {
			at = n.step(at, b)
		}
		ok := len(at) > 0 && len(text) > 0
		if n.g.vocab.isEOS[int32(id)] {
			ok = slices.ContainsFunc(paths, func(p naivePath) bool { return p.node == end })
		}
		if ok {
			bits[id/64] |= 1 << (id % 64)
		}
	}
	return bits
}
