package engine

import (
	"fmt"
	"math/bits"

	"astro/sampler"
	"astro/sampler/grammar"
)

// constraint follows one sample's text through its Request's Grammar. A failure in there, even a panic, is the sample's own.
type constraint struct {
	grammar *grammar.Grammar
	state   grammar.State
	mask    []uint64 // tokens that may come next, as sampler.Row takes them
}

// newConstraint begins a text; nil = there is no Grammar.
func newConstraint(g *grammar.Grammar, vocab int) (c *constraint, err error) {
	if g == nil {
		return nil, nil
	}
	defer recovered(&err)
	c = &constraint{grammar: g, state: g.Start(), mask: make([]uint64, sampler.AllowedWords(vocab))}
	g.Mask(c.state, c.mask)
	return c, nil
}

// take follows a drawn token. over: the text is complete and nothing may follow.
func (c *constraint) take(token int32) (over bool, err error) {
	if c == nil {
		return false, nil
	}
	defer recovered(&err)
	if c.state, err = c.grammar.Next(c.state, token); err != nil {
		return false, err
	}
	if c.grammar.Done(c.state) {
		return true, nil
	}
	c.grammar.Mask(c.state, c.mask)
	return false, nil
}

// onlyAmong says that nothing but the given tokens may come next: then they cannot be banned as well.
func (c *constraint) onlyAmong(tokens []int32) bool {
	if c == nil {
		return false
	}
	left := 0
	for _, word := range c.mask {
		left += bits.OnesCount64(word)
	}
	for _, t := range tokens {
		left -= int(c.mask[t/64] >> (t % 64) & 1)
	}
	return left == 0
}

// recovered makes a panic an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the grammar panicked: %v", r)
	}
}
