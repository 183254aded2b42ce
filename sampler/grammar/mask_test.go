package grammar

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestMaskIsBruteForce: at each step of random texts, the mask is what trying each token by itself on the plain graph gives.
func TestMaskIsBruteForce(t *testing.T) {
	v := byteVocab(t)
	specs := []Spec{JSONObject(), Regex(`(a|ab|abc)*[0-9]{2,4}`), Regex(`é+|[^\x00-\x7f]{3}`), Choice("ab", "abc", "a", "éé", `{"`),
		JSONSchema(`{"type":"string","minLength":3,"maxLength":40}`), JSONSchema(`{"type":"string","minLength":30,"maxLength":33}`), JSONSchema(`{"type":"array","items":{"type":"string","maxLength":12}}`), JSONSchema(`{"type":"array","minItems":2,"maxItems":50,"items":{"maxLength":2,"type":"string"}}`)}
	for i, e := range examples(t) {
		if i%3 == 0 {
			specs = append(specs, JSONSchema(string(e.Schema)))
		}
	}
	r := &generator{Rand: rand.New(rand.NewPCG(5, 5))}
	for range 10 {
		specs = append(specs, JSONSchema(r.root()))
	}
	states := 0
	for i, spec := range slices.Concat(specs, specs) {
		g := compiled(t, spec, v)
		if n := len(specs); i >= n {
			g.maskSteps = (i - n) % 3 // single paths are followed without entries from the first steps on
		}
		n := naive{g}
		write(t, g, uint64(i), 40, func(s State, mask []uint64) {
			if states++; states%3 != 0 {
				return
			}
			paths := naiveOf(g.lookup(s))
			if want := n.mask(paths); !slices.Equal(mask, want) {
				t.Fatalf("%.200s: mask %v; want %v", spec.Text, allowedTokens(mask), allowedTokens(want))
			}
		})
	}
	if states < 1000 {
		t.Fatalf("%d states; want at least 1000", states)
	}
}

// naiveOf are the paths of an entry, each with its own stack.
func naiveOf(e *entry) []naivePath {
	var all []naivePath
	for _, p := range e.paths {
		var stack [][2]int32
		for f := p.stack; f != nil; f = f.below {
			stack = append(stack, [2]int32{f.node, f.count})
		}
		slices.Reverse(stack)
		all = append(all, naivePath{p.node, stack})
	}
	return all
}

// TestStepIsNaive: after each byte the paths are those of the plain graph, in any order.
func TestStepIsNaive(t *testing.T) {
	v := byteVocab(t)
	for i, e := range examples(t) {
		g := compiled(t, JSONSchema(string(e.Schema)), v)
		n := naive{g}
		head := naiveOf(g.lookup(g.Start()))
		for _, text := range append(e.Valid, write(t, g, uint64(i), 60, nil).bytes) {
			fast, slow := g.lookup(g.Start()), head
			for k := range len(text) {
				fast, slow = g.step(fast, g.classOf[text[k]]), n.step(slow, text[k])
				if a, b := pathsText(naiveOf(fast)), pathsText(slow); a != b {
					t.Fatalf("%s: after %q the paths are %s; want %s", e.Name, text[:k+1], a, b)
				}
			}
		}
	}
}

func pathsText(paths []naivePath) string {
	var all []string
	for _, p := range paths {
		all = append(all, fmt.Sprint(p))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// TestSmallCaches: with caches that overflow all the time, the same tokens are drawn.
func TestSmallCaches(t *testing.T) {
	v := byteVocab(t)
	for i, e := range examples(t) {
		if i%3 != 0 {
			continue
		}
		large := compiled(t, JSONSchema(string(e.Schema)), v)
		small, err := Compile(JSONSchema(string(e.Schema)), v, Limits{CacheBytes: 4000 << (i % 4)})
		if err != nil {
			t.Fatal(err)
		}
		a, b := write(t, large, 3, 100, nil), write(t, small, 3, 100, nil)
		if a != b {
			t.Errorf("%s: with large caches %q, with small ones %q", e.Name, a.bytes, b.bytes)
		}
		if small.bytes > 200_000 || small.masks.bytes > 32_000 {
			t.Errorf("%s: %d bytes of states and %d of masks are kept; limit 4000 to 32000", e.Name, small.bytes, small.masks.bytes)
		}
	}
}

// TestStatesAreValues: a State may be kept, forked and compared, also when the Grammar has forgotten it.
func TestStatesAreValues(t *testing.T) {
	g := compiled(t, JSONSchema(`{"type":"array","items":{"type":"array","items":{"enum":[1,2]},"maxItems":9}}`), byteVocab(t))
	to := func(s State, text string) State {
		for i := range len(text) {
			next, err := g.Next(s, int32(text[i]))
			if err != nil {
				t.Fatal(err)
			}
			s = next
		}
		return s
	}
	fork := to(g.Start(), "[[1,2],[")
	left := to(fork, "1]]")
	g.states.forget()
	g.masks.forget()
	right := to(fork, "1]]")
	if left != right || !g.Accepts(left) || !g.Done(right) || g.Accepts(fork) {
		t.Fatalf("forks differ: %q and %q", left.paths, right.paths)
	}
	if again := to(g.Start(), "[[2], [2,2],["); again != fork {
		t.Fatal("the same may follow, but the states differ")
	}
}

// TestEnd: an end token is allowed exactly where the text is complete; other special tokens and wrong ids never are.
func TestEnd(t *testing.T) {
	v := byteVocab(t)
	g := compiled(t, Choice("a", "ab"), v)
	a, err := g.Next(g.Start(), 'a')
	if err != nil || !g.Accepts(a) || g.Done(a) || g.Accepts(g.Start()) {
		t.Fatalf("after a: accepts %v, done %v, %v", g.Accepts(a), g.Done(a), err)
	}
	mask := make([]uint64, v.Words())
	if g.Mask(a, mask); !slices.Equal(allowedTokens(mask), []int32{'b', 256}) {
		t.Fatalf("after a the tokens are %v; want b and the end", allowedTokens(mask))
	}
	last, err := g.Next(a, 256)
	if err != nil || !g.Done(last) {
		t.Fatalf("the end is refused: %v", err)
	}
	if g.Mask(last, mask); !slices.Equal(allowedTokens(mask), []int32{256}) {
		t.Fatalf("after the end the tokens are %v; want the end", allowedTokens(mask))
	}
	for _, id := range []int32{-1, 256, 257, 258, 'b', 1 << 20} {
		if _, err := g.Next(g.Start(), id); err == nil {
			t.Errorf("token %d is taken at the start", id)
		}
	}
}

// TestSec_R09MaskWorkIsBounded: where following all paths costs too much, fewer tokens are allowed, but each of them leads on.
func TestSec_R09MaskWorkIsBounded(t *testing.T) {
	var properties []string
	for i := range 200 {
		properties = append(properties, fmt.Sprintf(`"aaaaaaaa%c%d":{"type":"boolean"}`, 'a'+i%26, i))
	}
	spec := JSONSchema(`{"type":"object","additionalProperties":false,"properties":{` + strings.Join(properties, ",") + `}}`)
	v := byteVocab(t)
	full := compiled(t, spec, v)
	tight, err := Compile(spec, v, Limits{MaskWorkUnits: 1, StatePaths: 50})
	if err != nil {
		t.Fatal(err)
	}
	some := false
	for seed := range uint64(20) {
		out := write(t, tight, seed, 400, func(s State, mask []uint64) { some = some || len(allowedTokens(mask)) > 1 })
		if !out.ended || valid(spec.Text, out.bytes) != nil || !matches(full, out.bytes) {
			t.Fatalf("wrote %q, ended %v", out.bytes, out.ended)
		}
	}
	if !some {
		t.Fatal("nothing was ever to choose")
	}
}

// TestSec_R28Depth: values nest as deep as the limit and no deeper, and at the bottom there is still a way to the end.
func TestSec_R28Depth(t *testing.T) {
	v := byteVocab(t)
	g, err := Compile(JSONObject(), v, Limits{ValueDepth: 5})
	if err != nil {
		t.Fatal(err)
	}
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	if !matches(g, deep(4)) || matches(g, deep(6)) {
		t.Fatal("4 levels must be possible, 6 must not")
	}
	tree := `{"$defs":{"n":{"type":"object","properties":{"l":{"anyOf":[{"$ref":"#/$defs/n"},{"const":0}]},"r":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"array","items":{"const":1},"minItems":1,"maxItems":1}]}},"required":["l","r"]}},"$ref":"#/$defs/n"}`
	if g, err = Compile(JSONSchema(tree), v, Limits{ValueDepth: 6}); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(50) {
		if out := write(t, g, seed, 5000, nil); !out.ended || valid(tree, out.bytes) != nil {
			t.Fatalf("wrote %.300q, ended %v", out.bytes, out.ended)
		}
	}
	if _, err := Compile(JSONSchema(`{"type":"array","minItems":1,"items":{"type":"array","minItems":1,"items":{"type":"array"}}}`), v, Limits{ValueDepth: 2}); err == nil {
		t.Fatal("a value that needs 3 levels compiles with a limit of 2")
	}
}

// TestPoorVocabulary: bytes that no token spells alone are not written; if it does not go without them, compiling says so.
func TestPoorVocabulary(t *testing.T) {
	var tokens [][]byte
	for _, s := range []string{"0", "1", "2", "[", "]", ",", "12", `"a`, "x1"} {
		tokens = append(tokens, []byte(s))
	}
	v, err := NewVocab(tokens, nil)
	if err != nil {
		t.Fatal(err)
	}
	schema := `{"type":"array","maxItems":4,"items":{"anyOf":[{"type":"string"},{"type":"integer","minimum":0,"maximum":99},{"type":"boolean"}]}}`
	g := compiled(t, JSONSchema(schema), v)
	mask := make([]uint64, v.Words())
	for seed := range uint64(30) {
		r, s, out := rand.New(rand.NewPCG(seed, 1)), g.Start(), ""
		for !g.Done(s) {
			g.Mask(s, mask)
			ids := allowedTokens(mask)
			if len(ids) == 0 {
				t.Fatalf("a dead end after %q", out)
			}
			id := ids[r.IntN(len(ids))]
			if s, err = g.Next(s, id); err != nil {
				t.Fatal(err)
			}
			out += string(tokens[id])
		}
		if err := valid(schema, out); err != nil {
			t.Fatalf("wrote %q: %v", out, err)
		}
	}
	if _, err := Compile(JSONSchema(`{"type":"boolean"}`), v, Limits{}); err == nil || !strings.Contains(err.Error(), "vocabulary") {
		t.Fatalf("true and false cannot be spelled, but: %v", err)
	}
}

func TestVocabErrors(t *testing.T) {
	for name, call := range map[string]func() (*Vocab, error){
		"end token":     func() (*Vocab, error) { return NewVocab([][]byte{[]byte("a")}, []int32{1}) },
		"has bytes":     func() (*Vocab, error) { return NewVocab([][]byte{nil, {}}, nil) },
		"4097 bytes":    func() (*Vocab, error) { return NewVocab([][]byte{make([]byte, 4097)}, nil) },
		"none of 1 tok": func() (*Vocab, error) { return NewVocab([][]byte{[]byte("a")}, []int32{0}) },
	} {
		if _, err := call(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
