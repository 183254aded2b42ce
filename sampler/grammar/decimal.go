package grammar

import (
	"strconv"
	"strings"
)

// maxExponent of a number in a schema: what lies beyond is spelled out no further.
const maxExponent = 400

// decimal is a number as digits, exactly: no leading zeros in whole but for "0" itself, no trailing zeros in part.
type decimal struct {
	negative    bool // never of zero
	whole, part string
}

var zero = decimal{whole: "0"}

// parseDecimal reads a JSON number. It is not ok if the exponent is too large to be spelled out.
func parseDecimal(text string) (d decimal, ok bool) {
	text, d.negative = strings.CutPrefix(text, "-")
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	shift := 0
	if exponent != "" {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > maxExponent || n < -maxExponent {
			return d, false
		}
		shift = n
	}
	d.whole, d.part, _ = strings.Cut(mantissa, ".")
	if shift > 0 {
		d.part += strings.Repeat("0", max(0, shift-len(d.part)))
		d.whole, d.part = d.whole+d.part[:shift], d.part[shift:]
	} else if shift < 0 {
		d.whole = strings.Repeat("0", max(0, -shift-len(d.whole))) + d.whole
		cut := len(d.whole) + shift
		d.whole, d.part = d.whole[:cut], d.whole[cut:]+d.part
	}
	return d.normal(), true
}

func (d decimal) normal() decimal {
	d.whole, d.part = strings.TrimLeft(d.whole, "0"), strings.TrimRight(d.part, "0")
	if d.whole == "" {
		d.whole = "0"
	}
	if d.isZero() {
		d.negative = false
	}
	return d
}

func (d decimal) isZero() bool  { return d.whole == "0" && d.part == "" }
func (d decimal) isWhole() bool { return d.part == "" }

func (d decimal) negated() decimal {
	d.negative = !d.negative
	return d.normal()
}

// compare is negative, zero or positive as d is below, equal to or above e.
func (d decimal) compare(e decimal) int {
	switch {
	case d.negative && e.negative:
		return e.negated().compare(d.negated())
	case d.negative:
		return -1
	case e.negative:
		return 1
	case len(d.whole) != len(e.whole):
		return len(d.whole) - len(e.whole)
	case d.whole != e.whole:
		return strings.Compare(d.whole, e.whole)
	}
	return strings.Compare(d.part, e.part)
}

// multipleOf says that d is a whole number of steps m/10^places, where m is small.
func (d decimal) multipleOf(m, places int) bool {
	if len(d.part) > places {
		return false
	}
	rest := 0
	for _, c := range d.whole + d.part + strings.Repeat("0", places-len(d.part)) {
		rest = (rest*10 + int(c-'0')) % m
	}
	return rest == 0
}

// step is the number as m/10^places with m up to maxStep; it is not ok for others, and for what is not above zero.
func (d decimal) step() (m, places int, ok bool) {
	digits := strings.TrimLeft(d.whole+d.part, "0")
	if d.negative || digits == "" || len(digits) > 6 || len(d.part) > maxFloatDigits {
		return 0, 0, false
	}
	m, _ = strconv.Atoi(digits)
	return m, len(d.part), m <= maxStep
}

// bound is one end of an interval.
type bound struct {
	decimal
	open bool // the number itself is outside
}

// admits says that d lies on the right side of the bound; nil admits all.
func (b *bound) admits(d decimal, lower bool) bool {
	if b == nil {
		return true
	}
	c := d.compare(b.decimal)
	if !lower {
		c = -c
	}
	return c > 0 || c == 0 && !b.open
}

// tighter is the stronger one of two bounds on the same side; nil is none.
func tighter(a, b *bound, lower bool) *bound {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.compare(b.decimal) == 0:
		return &bound{a.decimal, a.open || b.open}
	case a.compare(b.decimal) > 0 == lower:
		return a
	}
	return b
}
