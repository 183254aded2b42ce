package trainer

import (
	"fmt"

	"astro/internal/invariant"
)

// Example is one text to learn from. Weights[i] is how much the prediction of Tokens[i] counts in the loss: 0 for a prompt, 1
// for an answer; Weights[0] is not used, for nothing predicts the first token. Both have the same length, at least 2, as has each
// of Columns, which are what a Loss asks for.
type Example struct {
	Tokens  []int32
	Weights []float32
	Columns [][]float32 // by Loss.Columns; Columns[c][i] belongs to the prediction of Tokens[i]
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
	Columns      [][]float32 // by Loss.Columns, for the targets
}

// NewBatch makes a batch of padding for NextToken.
func NewBatch(rows, tokens int) *Batch { return NextToken().NewBatch(rows, tokens) }

// NewBatch makes a batch of padding with this Loss's columns.
func (l Loss) NewBatch(rows, tokens int) *Batch {
	n := rows * tokens
	b := &Batch{Rows: rows, Tokens: tokens, Inputs: make([]int32, n), Targets: make([]int32, n), Positions: make([]int32, n),
		Segments: make([]int32, n), Weights: make([]float32, n)}
	for range l.Columns {
		b.Columns = append(b.Columns, make([]float32, n))
	}
	return b
}

// Weight is the sum of the weights.
func (b *Batch) Weight() float64 {
	sum := 0.0
	for _, w := range b.Weights {
		sum += float64(w)
	}
	return sum
}

// Counted is the number of tokens that have a weight in the loss.
func (b *Batch) Counted() int {
	n := 0
	for _, w := range b.Weights {
		if w != 0 {
			n++
		}
	}
	return n
}

// put writes an Example at element at, which must be in one row with its end.
func (b *Batch) put(e Example, at int, segment int32) {
	for i := range len(e.Tokens) - 1 {
		b.Inputs[at+i], b.Targets[at+i] = e.Tokens[i], e.Tokens[i+1]
		b.Positions[at+i], b.Segments[at+i], b.Weights[at+i] = int32(i), segment, e.Weights[i+1]
	}
	for c, column := range e.Columns {
		copy(b.Columns[c][at:], column[1:])
	}
}

// check panics unless the fields have their lengths and there are as many columns as the Loss has.
func (b *Batch) check(columns int) {
	if len(b.Columns) != columns {
		panic(fmt.Sprintf("BUG: a batch got %d columns; want %d", len(b.Columns), columns))
	}
	lengths := []int{len(b.Inputs), len(b.Targets), len(b.Positions), len(b.Segments), len(b.Weights)}
	for _, c := range b.Columns {
		lengths = append(lengths, len(c))
	}
	for _, n := range lengths {
		if n != b.Rows*b.Tokens {
			panic(fmt.Sprintf("BUG: a batch of %d rows of %d tokens got a field of %d elements", b.Rows, b.Tokens, n))
		}
	}
}

// Packer fills Batches with Examples in the order in which they come, each in the first row that has room.
// The same Examples always give the same Batches.
type Packer struct {
	loss         Loss
	rows, tokens int
	open         *Batch
	used         []int   // tokens of each row of the open batch
	segments     []int32 // examples of each row
	last         int     // element at which the newest Example begins
}

// NewPacker packs Examples for NextToken into rows of so many tokens.
func NewPacker(rows, tokens int) *Packer { return NextToken().NewPacker(rows, tokens) }

// NewPacker packs Examples with this Loss's columns into rows of so many tokens.
func (l Loss) NewPacker(rows, tokens int) *Packer {
	p := &Packer{loss: l, rows: rows, tokens: tokens}
	p.reset()
	return p
}

func (p *Packer) reset() {
	p.open, p.used, p.segments = p.loss.NewBatch(p.rows, p.tokens), make([]int, p.rows), make([]int32, p.rows)
}

// Add packs an Example. If it has no room, the batch so far is returned and the Example begins the next one.
// An Example that no row can hold is an error.
func (p *Packer) Add(e Example) (full *Batch, err error) {
	e.check(len(p.loss.Columns))
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
	p.last = row*p.tokens + p.used[row]
	p.open.put(e, p.last, p.segments[row])
	p.used[row] += need
	invariant.Check(p.check)
	return full, nil
}

// Place is where the Example that was added last begins in the batch that is open: its Tokens[i+1] is the target of element Place()+i.
func (p *Packer) Place() int { return p.last }

// check panics if the fields do not fit together.
func (e Example) check(columns int) {
	if len(e.Tokens) < 2 || len(e.Weights) != len(e.Tokens) || len(e.Columns) != columns {
		panic(fmt.Sprintf("BUG: got an Example of %d tokens, %d weights and %d columns; want at least 2 tokens, as many weights, %d columns",
			len(e.Tokens), len(e.Weights), len(e.Columns), columns))
	}
	for _, c := range e.Columns {
		if len(c) != len(e.Tokens) {
			panic(fmt.Sprintf("BUG: an Example got a column of %d values; want %d", len(c), len(e.Tokens)))
		}
	}
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
