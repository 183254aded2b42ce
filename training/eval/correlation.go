package eval

import (
	"fmt"
	"math"
)

// Correlation is Pearson's r of N pairs.
type Correlation struct {
	R       float64 `json:"r"`
	N       int     `json:"n"`
	Defined bool    `json:"defined"` // false where either side does not vary: then R is 0 and means nothing
}

// Pearson correlates two lists of one length.
func Pearson(x, y []float64) Correlation {
	if len(x) != len(y) {
		panic(fmt.Sprintf("BUG: got %d and %d values; want pairs", len(x), len(y)))
	}
	c := Correlation{N: len(x)}
	mx, my := Mean(x).Mean, Mean(y).Mean
	var xx, yy, xy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		xx, yy, xy = xx+dx*dx, yy+dy*dy, xy+dx*dy
	}
	if scale := math.Sqrt(xx) * math.Sqrt(yy); scale > 0 && varies(x) && varies(y) {
		c.R, c.Defined = max(-1, min(1, xy/scale)), true
	}
	return c
}

// varies guards against a constant list whose mean is not exact, so that its deviations are rounding errors.
func varies(values []float64) bool {
	for _, v := range values {
		if v != values[0] {
			return true
		}
	}
	return false
}

// String is r with its n, or says that there is none.
func (c Correlation) String() string {
	if !c.Defined {
		return fmt.Sprintf("undefined (n = %d, one side is constant)", c.N)
	}
	return fmt.Sprintf("%+.3f (n = %d)", c.R, c.N)
}
