package grammar

import (
	"fmt"
	"slices"
)

// Limits of a vocabulary.
const (
	maxVocabTokens = 1 << 22
	maxTokenBytes  = 1 << 12
)

// Vocab is what a grammar must know of a model's vocabulary: the bytes of its tokens, as a tree. It does not change; all grammars
// of a model share one.
type Vocab struct {
	tokens  [][]byte
	eos     []int32
	isEOS   map[int32]bool
	nodes   []trieNode // depth first; a node's descendants follow it
	order   []int32    // tokens sorted by their bytes: those of a subtree lie side by side
	have    [256]bool  // bytes that are tokens
	longest int        // bytes of the longest token
}

// trieNode is a beginning of tokens; the root is not stored.
type trieNode struct {
	groups uint64 // of the bytes that stand below it, and its own
	skip   int32  // the node after its descendants
	first  int32  // in order: the tokens of the subtree begin here ...
	ends   int32  // ... and so many of them end at this node
	depth  uint16 // the number of bytes, from 1
	height uint16 // of the subtree: bytes from the parent to its deepest end
	b      byte
}

// NewVocab takes the bytes of each token by id, which it keeps and which must not be changed: nil for ids that must never be drawn
// (special tokens, gaps), and the ids that end a text, which may be empty. A byte that no token spells alone is never
// written, so that there is always a way on; a vocabulary without bytes is an error.
func NewVocab(tokens [][]byte, eos []int32) (*Vocab, error) {
	if len(tokens) > maxVocabTokens {
		return nil, fmt.Errorf("grammar vocabulary: %d tokens, limit %d", len(tokens), maxVocabTokens)
	}
	v := &Vocab{tokens: slices.Clone(tokens), eos: slices.Clone(eos), isEOS: map[int32]bool{}}
	for _, id := range eos {
		if id < 0 || int(id) >= len(tokens) {
			return nil, fmt.Errorf("grammar vocabulary: the end token %d is not below %d, the number of tokens", id, len(tokens))
		}
		v.isEOS[id] = true
		v.tokens[id] = nil
	}
	for id, t := range v.tokens {
		if len(t) > maxTokenBytes {
			return nil, fmt.Errorf("grammar vocabulary: token %d has %d bytes, limit %d", id, len(t), maxTokenBytes)
		}
		if len(t) == 1 {
			v.have[t[0]] = true
		}
		if len(t) > 0 {
			v.order = append(v.order, int32(id))
		}
		v.longest = max(v.longest, len(t))
	}
	if v.longest == 0 {
		return nil, fmt.Errorf("grammar vocabulary: none of %d tokens has bytes", len(tokens))
	}
	v.build()
	return v, nil
}

// Words is the length of a mask: a bit per token, 64 in a word.
func (v *Vocab) Words() int { return (len(v.tokens) + 63) / 64 }

// build makes the tree of the sorted tokens: a token adds the nodes in which it differs from the one before.
func (v *Vocab) build() {
	slices.SortFunc(v.order, func(a, b int32) int {
		if c := slices.Compare(v.tokens[a], v.tokens[b]); c != 0 {
			return c
		}
		return int(a - b)
	})
	var open []int32 // the nodes of the token before
	closeTo := func(depth int) {
		for len(open) > depth {
			last := open[len(open)-1]
			open = open[:len(open)-1]
			v.nodes[last].skip = int32(len(v.nodes))
			if len(open) > 0 {
				parent := &v.nodes[open[len(open)-1]]
				parent.groups |= v.nodes[last].groups
				parent.height = max(parent.height, v.nodes[last].height+1)
			}
		}
	}
	var before []byte
	var groups []uint8
	for i, id := range v.order {
		t := v.tokens[id]
		groups = groupsOf(t, groups)
		same := 0
		for same < len(before) && same < len(t) && before[same] == t[same] {
			same++
		}
		closeTo(same)
		for d, n := range open { // what they begin, this token may break off
			v.nodes[n].groups |= 1 << groups[d]
		}
		for d := same; d < len(t); d++ {
			open = append(open, int32(len(v.nodes)))
			v.nodes = append(v.nodes, trieNode{groups: 1 << groups[d], first: int32(i), depth: uint16(d + 1), height: 1, b: t[d]})
		}
		v.nodes[open[len(open)-1]].ends++
		before = t
	}
	closeTo(0)
}

// groupOf sorts the ASCII bytes into groups, so that a word can say which stand below a node: what JSON cares for has a group of
// its own, letters and the like share some.
var groupOf = func() (of [128]uint8) {
	n := uint8(0)
	group := func(lo, hi int) {
		for b := lo; b <= hi; b++ {
			of[b] = n
		}
		n++
	}
	group(0, 0x1F)
	for b := ' '; b <= '/'; b++ {
		group(int(b), int(b))
	}
	group('0', '9')
	for b := ':'; b <= '@'; b++ {
		group(int(b), int(b))
	}
	group('A', 'F')
	group('G', 'Z')
	for b := '['; b <= '`'; b++ {
		group(int(b), int(b))
	}
	group('a', 'f')
	group('g', 'z')
	for b := '{'; b <= '~'; b++ {
		group(int(b), int(b))
	}
	group(0x7F, 0x7F)
	return of
}()

// The groups of bytes above 0x7F: of characters, maybe cut off at the end of the token, or of nothing that is UTF-8.
const (
	wideGroup   = 62
	brokenGroup = 63
)

// wideRunes are the bytes of the characters that have more than one, as UTF-8 defines them.
var wideRunes = [][][2]byte{
	{{0xC2, 0xDF}, {0x80, 0xBF}},
	{{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}},
	{{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}},
	{{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}},
	{{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}},
	{{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
	{{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
	{{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}},
}

// groupsOf lists the group of each byte of a token. A character counts as such only if the token holds it in full or ends in it.
func groupsOf(token []byte, out []uint8) []uint8 {
	out = out[:0]
	for len(token) > 0 {
		n, group := 1, uint8(brokenGroup)
		if token[0] < 0x80 {
			group = groupOf[token[0]]
		}
		for _, r := range wideRunes {
			if k := min(len(r), len(token)); within(token[:k], r) {
				n, group = k, wideGroup
			}
		}
		for range n {
			out = append(out, group)
		}
		token = token[n:]
	}
	return out
}

func within(bytes []byte, ranges [][2]byte) bool {
	for i, b := range bytes {
		if b < ranges[i][0] || b > ranges[i][1] {
			return false
		}
	}
	return true
}
