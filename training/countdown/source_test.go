package countdown

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"testing"

	"astro/training/random"
)

var testMix = Mix{Hindsight: .8, Depths: [3]float64{.6, .25, .15}, Notes: .12}

func testSource(t *testing.T, seed uint64) *Source {
	t.Helper()
	s, err := NewSource(CD4, testMix, CD4.Split().Train, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The split is by multiset: 11,472 problems, and no multiset of one part appears in another.
func TestSplit(t *testing.T) {
	s := CD4.Split()
	if len(s.Train) != 396 || len(s.Val) != 49 || len(s.Test) != 50 {
		t.Errorf("got %d, %d, %d multisets", len(s.Train), len(s.Val), len(s.Test))
	}
	all := slices.Concat(s.Train, s.Val, s.Test)
	slices.SortFunc(all, slices.Compare)
	if len(slices.CompactFunc(all, slices.Equal)) != 495 {
		t.Error("a multiset is in two parts")
	}
	if n := len(CD4.Problems(all)); n != 11472 {
		t.Errorf("got %d problems; want 11472", n)
	}
}

// Documents are the same on every machine: a hash of the first 2,000 is fixed.
func TestSourceIsDeterministic(t *testing.T) {
	sum := func(seed uint64) uint64 {
		s, h := testSource(t, seed), fnv.New64a()
		for range 2000 {
			_ = binary.Write(h, binary.LittleEndian, s.Next().Tokens)
		}
		return h.Sum64()
	}
	if sum(1) == sum(2) {
		t.Error("two seeds give the same documents")
	}
	if got, want := sum(1), uint64(0xfbee9ac92e6b7ab1); got != want {
		t.Errorf("the documents of seed 1 changed: hash %#x; want %#x", got, want)
	}
}

// The stream keeps what the Mix promises: the share of notes, the hindsight share, lengths, and truthful verdicts.
func TestSourceKeepsItsMix(t *testing.T) {
	s := testSource(t, 3)
	total, notes, tasks, right := 0, 0, 0, 0
	for range 5000 {
		doc := s.Next()
		if len(doc.Tokens) > MaxDocumentTokens || doc.Tokens[0] != BOS || doc.Tokens[len(doc.Tokens)-1] != EOS {
			t.Fatalf("bad document of %d tokens", len(doc.Tokens))
		}
		total += len(doc.Tokens)
		if doc.Tokens[doc.Prompt-1] == End {
			notes += len(doc.Tokens)
			continue
		}
		tasks++
		r := CD4.Verify(problemOf(t, doc), doc.Tokens[doc.Prompt:])
		if r.Steps != r.LegalSteps || r.RightVerdicts != 1 {
			t.Fatalf("an untrue document: %+v", r)
		}
		if r.Correct {
			right++
		}
	}
	if share := float64(notes) / float64(total); share < .11 || share > .13 {
		t.Errorf("notes are %.3f of the tokens; want .12", share)
	}
	if share := float64(right) / float64(tasks); share < .78 || share > .84 {
		t.Errorf("%.3f of the tasks are solved; want hindsight .8 and a little luck", share)
	}
}

// Documents keep to the bound of their domain and Mix, and some come near it.
func TestDocumentTokens(t *testing.T) {
	three := Domain{Numbers: 3, Low: 1, High: 6, MaxValue: 20, TargetLow: 3, TargetHigh: 20}
	for _, c := range []struct {
		domain Domain
		mix    Mix
		want   int
	}{{CD4, Mix{Hindsight: .7, Depths: [3]float64{1, 0, 0}, Notes: .5}, 255}, {three, Mix{Hindsight: .7, Depths: [3]float64{1, 0, 0}, Notes: .5, NoteTokens: 60}, 96}} {
		if got := c.mix.DocumentTokens(c.domain); got != c.want {
			t.Errorf("the bound is %d; want %d", got, c.want)
		}
		s, err := NewSource(c.domain, c.mix, c.domain.Split().Train, 1)
		if err != nil {
			t.Fatal(err)
		}
		longest := 0
		for range 20_000 {
			longest = max(longest, len(s.Next().Tokens))
		}
		if longest > c.want || longest < c.want-12 {
			t.Errorf("the longest document has %d tokens; the bound is %d", longest, c.want)
		}
	}
	if (Mix{Depths: [3]float64{1, 0, 0}, NoteTokens: 10}).Validate() == nil {
		t.Error("notes that are shorter than the shortest were found valid")
	}
}

// problemOf reads a document's problem back from its prompt.
func problemOf(t *testing.T, doc Document) Problem {
	t.Helper()
	arrow := slices.Index(doc.Tokens, Arrow)
	p := Problem{Target: int(doc.Tokens[arrow+1]-firstNumber) + 1}
	for _, id := range doc.Tokens[1:arrow] {
		p.Numbers = append(p.Numbers, int(id-firstNumber)+1)
	}
	if !slices.Equal(Prompt(p), doc.Tokens[:doc.Prompt]) {
		t.Fatalf("prompt of %v is not read back", p)
	}
	return p
}

// A note restates exactly: every return is followed by the numbers of a state on its live path, and by the header's target.
func TestNotesRestateTruly(t *testing.T) {
	s, returns := testSource(t, 4), 0
	for range 200 {
		tokens := s.note().Tokens
		target := tokens[slices.Index(tokens, Arrow)+1]
		for i, id := range tokens {
			if id == Restart {
				returns++
				header := tokens[1 : slices.Index(tokens, End)+1]
				if !slices.Equal(tokens[i+1:i+1+len(header)], header) {
					t.Fatalf("a restart does not restate the header: %v", tokens)
				}
			}
			if id == Arrow && tokens[i+1] != target {
				t.Fatalf("another target is restated: %v", tokens)
			}
			if id == ButWait || id == Answer || id == Colon {
				t.Fatalf("a note holds the word %q", Text(id))
			}
		}
	}
	if returns < 200 {
		t.Errorf("only %d restarts in 200 notes", returns)
	}
}

// Sample draws different problems and reorders their numbers; the same stream draws the same ones.
func TestSample(t *testing.T) {
	sets := CD4.Split().Val
	a, b := CD4.Sample(sets, 50, random.New(1, 9)), CD4.Sample(sets, 50, random.New(1, 9))
	seen := map[string]bool{}
	for i := range a {
		if a[i].String() != b[i].String() {
			t.Fatal("two draws of one stream differ")
		}
		seen[a[i].String()] = true
	}
	if len(seen) != 50 || len(CD4.Sample(sets, 1<<20, random.New(1, 9))) != len(CD4.Problems(sets)) {
		t.Errorf("got %d different problems", len(seen))
	}
}
