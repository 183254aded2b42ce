package reward

import (
	"slices"

	"astro/training/reward/precise"
)

// bound is a real number or, where inf is not 0, an infinite one of that sign.
type bound struct {
	inf   int
	value precise.Number
}

// span is an interval; loIn and hiIn say whether it holds its ends.
type span struct {
	lo, hi     bound
	loIn, hiIn bool
}

// region is a set of real numbers: spans in rising order that do not touch.
type region []span

var everything = region{{lo: bound{inf: -1}, hi: bound{inf: 1}}}

// order compares bounds.
func (c *comparer) order(a, b bound) int {
	if a.inf != 0 || b.inf != 0 {
		return a.inf - b.inf
	}
	n, err := c.judge.Compare(a.value, b.value)
	if err != nil {
		return 0
	}
	return n
}

// valid says that a span has at least one point.
func (c *comparer) valid(s span) bool {
	o := c.order(s.lo, s.hi)
	return o < 0 || o == 0 && s.loIn && s.hiIn
}

// merged sorts spans and joins those that overlap or touch.
func (c *comparer) merged(spans []span) region {
	slices.SortStableFunc(spans, func(a, b span) int {
		if o := c.order(a.lo, b.lo); o != 0 {
			return o
		}
		if a.loIn && !b.loIn {
			return -1
		}
		return 0
	})
	var r region
	for _, s := range spans {
		if !c.valid(s) {
			continue
		}
		if n := len(r); n > 0 && c.touches(r[n-1], s) {
			r[n-1] = c.joined(r[n-1], s)
			continue
		}
		r = append(r, s)
	}
	return r
}

// touches says that b, which does not begin before a, begins inside a or at its end without a gap.
func (c *comparer) touches(a, b span) bool {
	o := c.order(b.lo, a.hi)
	return o < 0 || o == 0 && (a.hiIn || b.loIn)
}

func (c *comparer) joined(a, b span) span {
	switch o := c.order(b.hi, a.hi); {
	case o > 0:
		a.hi, a.hiIn = b.hi, b.hiIn
	case o == 0:
		a.hiIn = a.hiIn || b.hiIn
	}
	return a
}

func (c *comparer) intersection(a, b region) region {
	var spans []span
	for _, s := range a {
		for _, t := range b {
			if !c.judge.Spend(equalCost) {
				return nil
			}
			spans = append(spans, c.common(s, t))
		}
	}
	return c.merged(spans)
}

// common is what two spans share; it may be empty.
func (c *comparer) common(s, t span) span {
	if o := c.order(t.lo, s.lo); o > 0 {
		s.lo, s.loIn = t.lo, t.loIn
	} else if o == 0 {
		s.loIn = s.loIn && t.loIn
	}
	if o := c.order(t.hi, s.hi); o < 0 {
		s.hi, s.hiIn = t.hi, t.hiIn
	} else if o == 0 {
		s.hiIn = s.hiIn && t.hiIn
	}
	return s
}

// complement is every real number outside of r.
func (c *comparer) complement(r region) region {
	rest := span{lo: bound{inf: -1}}
	var spans []span
	for _, s := range r {
		rest.hi, rest.hiIn = s.lo, !s.loIn
		spans = append(spans, rest)
		rest.lo, rest.loIn = s.hi, !s.hiIn
	}
	rest.hi, rest.hiIn = bound{inf: 1}, false
	return c.merged(append(spans, rest))
}

func (c *comparer) sameRegion(a, b region) bool {
	return slices.EqualFunc(a, b, func(s, t span) bool {
		return c.order(s.lo, t.lo) == 0 && c.order(s.hi, t.hi) == 0 && s.loIn == t.loIn && s.hiIn == t.hiIn
	})
}
