package eval

import "math"

// Z95 is the quantile of the normal distribution for an interval that holds 95 %.
const Z95 = 1.959963984540054

// Interval is a range that holds the true value with the confidence that its maker was asked for.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Normal is the mean plus and minus z standard errors.
func (e Estimate) Normal(z float64) Interval { return Interval{e.Mean - z*e.SE, e.Mean + z*e.SE} }

// Wilson is the score interval of a share of successes among n independent trials. Unlike Normal it is right at shares near 0
// and 1. Of no trials it is all of [0, 1].
func Wilson(successes, n int, z float64) Interval {
	if n == 0 {
		return Interval{0, 1}
	}
	p, count := float64(successes)/float64(n), float64(n)
	scale := 1 + z*z/count
	center := (p + z*z/(2*count)) / scale
	half := z / scale * math.Sqrt(p*(1-p)/count+z*z/(4*count*count))
	return Interval{max(0, center-half), min(1, center+half)}
}
