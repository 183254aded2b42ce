package trainer

import (
	"fmt"

	"astro/internal/invariant"
)

// Example is one text to learn from. Weights[i] is how much the prediction of Tokens[i] counts in the loss: 0 for a prompt, 1
// for an answer; Weights[0] is not used, for nothing predicts the first token. Both have the same length, at least 2.
type Example struct {
	Tokens  []int32
	Weights []float32
}

// Batch is rows of packed Examples: input i of a row predicts target i. Each field has Rows*Tokens elements, row by row.
// A segment is one Example; tokens see the earlier tokens of their own segment only. Padding is segment 0 with weight 0.
type Batch struct {
	Rows, Tokens int
	Inputs       []int32
	Targets      []int32
	Positions    []int32 // in the Example, from 0
	Segments     []int32 // 1, 2, ... in each row
	Weights      []float32
}

// NewBatch makes a batch of padding.
func NewBatch(rows, tokens int) *Batch {
	n := rows * tokens
	return &Batch{Rows: rows, Tokens: tokens, Inputs: make([]int32, n), Targets: make([]int32, n), Positions: make([]int32, n),
		Segments: make([]int32, n), Weights: make([]float32, n)}
}

// Weight is the sum of the weights.
func (b *Batch) Weight() float64 {
	sum := 0.0
	for _, w := range b.Weights {
		sum += float64(w)
	}
	return sum
}

// put writes an Example at element at, which must be in one row with its end.
func (b *Batch) put(e Example, at int, segment int32) {
	for i := range len(e.Tokens) - 1 {
		b.Inputs[at+i], b.Targets[at+i] = e.Tokens[i], e.Tokens[i+1]
		b.Positions[at+i], b.Segments[at+i], b.Weights[at+i] = int32(i), segment, e.Weights[i+1]
	}
}

// check panics unless the fields have their lengths.
func (b *Batch) check() {
	for _, n := range []int{len(b.Inputs), len(b.Targets), len(b.Positions), len(b.Segments), len(b.Weights)} {
		if n != b.Rows*b.Tokens {
			panic(fmt.Sprintf("BUG: a batch of %d rows of %d tokens got a field of %d elements", b.Rows, b.Tokens, n))
		}
	}
}

// Packer fills Batches with Examples in the order in which they come, each in the first row that has room.
// The same Examples always give the same Batches.
type Packer struct {
	rows, tokens int
	open         *Batch
	used         []int   // tokens of each row of the open batch
	segments     []int32 // examples of each row
}

// NewPacker packs into rows of so many tokens.
func NewPacker(rows, tokens int) *Packer {
	p := &Packer{rows: rows, tokens: tokens}
	p.reset()
	return p
}

func (p *Packer) reset() {
	p.open, p.used, p.segments = NewBatch(p.rows, p.tokens), make([]int, p.rows), make([]int32, p.rows)
}

// Add packs an Example. If it has no room, the batch so far is returned and the Example begins the next one.
// An Example that no row can hold is an error.
func (p *Packer) Add(e Example) (full *Batch, err error) {
	if len(e.Tokens) < 2 || len(e.Weights) != len(e.Tokens) {
		panic(fmt.Sprintf("BUG: an Example of %d tokens and %d weights; want at least 2 of each", len(e.Tokens), len(e.Weights)))
	}
	need := len(e.Tokens) - 1
	if need > p.tokens {
		return nil, fmt.Errorf("cannot pack an example of %d tokens into rows of %d; use longer rows or cut it", len(e.Tokens), p.tokens+1)
	}
	row := p.room(need)
	if row < 0 {
		full, row = p.open, 0
		p.reset()
	}
	p.segments[row]++
	p.open.put(e, row*p.tokens+p.used[row], p.segments[row])
	p.used[row] += need
	invariant.Check(p.check)
	return full, nil
}

// check says where the open batch is not what the counts say: each row holds its examples one after the other, each counting its
// positions from 0, and padding behind them.
func (p *Packer) check() error {
	for row := range p.rows {
		segment, position := int32(0), int32(0)
		for i := range p.tokens {
			at := row*p.tokens + i
			if s := p.open.Segments[at]; s == segment+1 {
				segment, position = s, 0
			} else if i < p.used[row] && s != segment || i >= p.used[row] && s != 0 {
				return fmt.Errorf("row %d, token %d is in segment %d after %d; %d tokens are used", row, i, s, segment, p.used[row])
			}
			if i < p.used[row] && p.open.Positions[at] != position {
				return fmt.Errorf("row %d, token %d has position %d; want %d", row, i, p.open.Positions[at], position)
			}
			position++
		}
		if segment != p.segments[row] {
			return fmt.Errorf("row %d holds %d examples; want %d", row, segment, p.segments[row])
		}
	}
	return nil
}

// room is the first row with so many tokens left; -1 = none.
func (p *Packer) room(need int) int {
	for row, used := range p.used {
		if p.tokens-used >= need {
			return row
		}
	}
	return -1
}

// Flush returns what is packed so far and starts anew; nil if there is nothing.
func (p *Packer) Flush() *Batch {
	if p.used[0] == 0 {
		return nil
	}
	b := p.open
	p.reset()
	return b
}
