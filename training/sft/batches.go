package sft

import (
	"astro/training/trainer"
)

// feed gives the micro-batches of a run in order. The same examples and Config always give the same ones. Epochs follow each other
// without a gap, so that only the last micro-batch is not full.
type feed struct {
	config   Config
	examples []Example
	packer   *trainer.Packer
	epoch    int
	order    []int // of the epoch's examples that are still to come
	done     bool
	tokens   int // predicted so far, prompts included
}

func newFeed(c Config, examples []Example) *feed {
	return &feed{config: c, examples: examples, packer: trainer.NewPacker(c.Rows, c.RowTokens), order: trainer.Order(c.Seed, 0, len(examples))}
}

// next is the next micro-batch; nil = there are no more.
func (f *feed) next() *trainer.Batch {
	for !f.done {
		e, ok := f.example()
		if !ok {
			f.done = true
			return f.packer.Flush()
		}
		full, err := f.packer.Add(e)
		if err != nil {
			panic("BUG: an example that was checked does not fit: " + err.Error())
		}
		f.tokens += len(e.Tokens) - 1
		if full != nil {
			return full
		}
	}
	return nil
}

// example is the next one in order.
func (f *feed) example() (Example, bool) {
	if len(f.order) == 0 {
		if f.epoch++; f.epoch == f.config.Epochs {
			return Example{}, false
		}
		f.order = trainer.Order(f.config.Seed, uint64(f.epoch), len(f.examples))
	}
	e := f.examples[f.order[0]]
	f.order = f.order[1:]
	return e, true
}

// update is the micro-batches of the next update; none = the run is over. Micro-batches without a weight are left out.
func (f *feed) update() []*trainer.Batch {
	var batches []*trainer.Batch
	for len(batches) < f.config.Batches {
		b := f.next()
		if b == nil {
			break
		}
		if b.Counted() > 0 {
			batches = append(batches, b)
		}
	}
	return batches
}

// Steps counts the updates of a run.
func (c Config) Steps(examples []Example) int {
	n := 0
	for f := newFeed(c, examples); len(f.update()) > 0; n++ {
	}
	return n
}
