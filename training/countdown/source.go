package countdown

import (
	"cmp"
	"fmt"
	"slices"

	"astro/training/random"
)

// Mix says what a base model reads.
type Mix struct {
	Hindsight float64    // share of task documents whose target is the value that random play reached (rho); the others miss
	Depths    [3]float64 // weights of tasks with all numbers, after one step and after two steps
	Notes     float64    // share of all tokens in notes, in [0, 1)

	NoteTokens int `json:",omitempty"` // longest drawn length of a note; the walk that crosses it adds some. 0 = 200
}

// DefaultMix is the measured choice of docs/LOG.md: notes are cut to what copying needs, most targets are reached.
var DefaultMix = Mix{Hindsight: .7, Depths: [3]float64{.6, .25, .15}, Notes: .12}

// Validate says what is wrong with a Mix, or nil.
func (m Mix) Validate() error {
	if m.Hindsight < 0 || m.Hindsight > 1 || m.Notes < 0 || m.Notes >= 1 {
		return fmt.Errorf("mix: hindsight %g must be in [0, 1] and notes %g in [0, 1)", m.Hindsight, m.Notes)
	}
	if slices.Min(m.Depths[:]) < 0 || m.Depths[0] <= 0 {
		return fmt.Errorf("mix: the weights of depths %v must not be negative, the first must be positive", m.Depths)
	}
	if m.NoteTokens != 0 && (m.NoteTokens < noteMinTokens || m.NoteTokens > noteMaxTokens) {
		return fmt.Errorf("mix: notes of up to %d tokens: want %d to %d, or 0 for %d", m.NoteTokens, noteMinTokens, noteMaxTokens, noteMaxTokens)
	}
	return nil
}

// MaxDocumentTokens bounds every Document of a Source.
const MaxDocumentTokens = 256

const (
	noteMinTokens = 50
	noteMaxTokens = 200 // drawn length; see noteExcess
)

// noteTokens is the longest drawn length of a note.
func (m Mix) noteTokens() int { return cmp.Or(m.NoteTokens, noteMaxTokens) }

// noteExcess is what the last walk of a note may add to its drawn length: an aside, a game and a return; 54 with four numbers.
func noteExcess(d Domain) int {
	game := 1 // the `;` at its end
	for left := d.Numbers - 1; left > 0; left-- {
		game += 5
		if left > 1 {
			game += 1 + left
		}
	}
	return 2*game + d.Numbers + 4
}

// DocumentTokens bounds the documents of a Source of this domain and Mix.
func (m Mix) DocumentTokens(d Domain) int {
	return min(MaxDocumentTokens, m.noteTokens()+noteExcess(d)+1)
}

// Source draws an endless stream of training documents. Position and seed decide what comes next.
type Source struct {
	domain  Domain
	mix     Mix
	sets    [][]int // multisets with at least one target
	targets [][]int // of sets[i]
	rng     *random.Rand
	tokens  float64 // drawn so far
	notes   float64 // of them in notes
}

// NewSource draws from the given multisets. The domain and the mix must be valid.
func NewSource(d Domain, mix Mix, multisets [][]int, seed uint64) (*Source, error) {
	if err := mix.Validate(); err != nil {
		return nil, err
	}
	s := &Source{domain: d, mix: mix, rng: random.New(seed, 1)}
	for _, m := range multisets {
		if t := d.Targets(m); len(t) > 0 {
			s.sets, s.targets = append(s.sets, m), append(s.targets, t)
		}
	}
	if len(s.sets) == 0 {
		return nil, fmt.Errorf("no multiset of the domain %+v reaches a target", d)
	}
	return s, nil
}

// Next draws a document: a note whenever notes are behind their share, else a task.
func (s *Source) Next() Document {
	if s.notes < s.mix.Notes*s.tokens {
		doc := s.note()
		s.notes += float64(len(doc.Tokens))
		s.tokens += float64(len(doc.Tokens))
		return doc
	}
	doc := s.task()
	s.tokens += float64(len(doc.Tokens))
	return doc
}

// task is a random legal game, its target set either in hindsight or at random.
func (s *Source) task() Document {
	hindsight := s.rng.Chance(s.mix.Hindsight)
	for {
		i := s.rng.Intn(len(s.sets))
		numbers := s.rng.Shuffled(s.sets[i])
		game := s.domain.randomGame(numbers, s.rng)
		if game == nil {
			continue // a dead end
		}
		target := s.targets[i][s.rng.Intn(len(s.targets[i]))]
		if value := game[len(game)-1].C; hindsight && !s.domain.inTarget(value) {
			continue
		} else if hindsight {
			target = value
		}
		depth := min(s.rng.Weighted(s.mix.Depths[:]), len(game)-1)
		for range depth {
			numbers, game = Next(numbers, game[0]), game[1:]
		}
		return Direct(Problem{Numbers: numbers, Target: target}, game)
	}
}

// note is a neutral text that teaches what the words of return mean, not when to return: aimless walks through a problem,
// and returns that restate it exactly. Its header ends in `;`, so that no task's prompt leads to it; it holds no verdict, and
// its target means nothing (toy-recipe.md 6.2).
func (s *Source) note() Document {
	i := s.rng.Intn(len(s.sets))
	numbers := s.rng.Shuffled(s.sets[i])
	if game := s.domain.randomGame(numbers, s.rng); len(game) > 1 && s.rng.Chance(.2) {
		numbers = Next(numbers, game[0])
	}
	p := Problem{Numbers: numbers, Target: s.targets[i][s.rng.Intn(len(s.targets[i]))]}
	n := &note{source: s, target: p.Target, tokens: restate([]int32{BOS}, p, End), states: [][]int{numbers}}
	prompt := len(n.tokens)
	for want := noteMinTokens + s.rng.Intn(s.mix.noteTokens()-noteMinTokens+1); len(n.tokens) < want; {
		n.wander()
		n.goBack()
	}
	return Document{Tokens: append(n.tokens, EOS), Prompt: prompt}
}

// note is one note in the making. Invariant: states is the live path, the header's numbers first.
type note struct {
	source *Source
	target int
	tokens []int32
	states [][]int
}

// wander walks on from the live state, sometimes after an aside, so that what a return copies lies at any distance.
func (n *note) wander() {
	s := n.source
	if s.rng.Chance(.12) {
		aside := s.rng.Shuffled(s.sets[s.rng.Intn(len(s.sets))])
		n.tokens, _ = appendGame(n.tokens, aside, s.domain.randomGame(aside, s.rng))
	}
	state := n.states[len(n.states)-1]
	stop := 1
	if s.rng.Chance(.3) {
		stop = 1 + s.rng.Intn(max(1, len(state)-1))
	}
	for len(state) > stop {
		moves := s.domain.Moves(state)
		if len(moves) == 0 {
			return
		}
		m := moves[s.rng.Intn(len(moves))]
		state = Next(state, m)
		n.tokens, n.states = appendStep(n.tokens, m, state), append(n.states, state)
	}
}

// goBack returns to the beginning (65 %) or to any state of the live path that has several numbers.
func (n *note) goBack() {
	s, depth := n.source, 0
	if !s.rng.Chance(.65) {
		depth = s.rng.Intn(len(n.states))
		for len(n.states[depth]) < 2 {
			depth--
		}
	}
	word := Restart
	if depth > 0 {
		word = GoBack1 + int32(depth) - 1
	}
	n.states = n.states[:depth+1]
	n.tokens = restate(append(n.tokens, word), Problem{Numbers: n.states[depth], Target: n.target}, End)
}
