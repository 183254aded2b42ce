package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Plot is a chart of lines or points with linear axes.
type Plot struct {
	Title, XLabel, YLabel string
	Lines                 []Line
	Scatter               bool // points alone
}

// Line is one set of points; X and Y are of one length.
type Line struct {
	Name string
	X, Y []float64
}

// The picture in pixels.
const (
	plotWidth, plotHeight   = 720.0, 420.0
	plotLeft, plotRight     = 64.0, 180.0 // the legend stands on the right
	plotTop, plotBottom     = 40.0, 52.0
	maxTicks, pointRadius   = 6, 3.0
	plotInnerX, plotInnerY  = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
	plotFont, plotTitleFont = 12, 15
)

// plotColours can be told apart by the colour-blind (Okabe and Ito).
var plotColours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// axis maps values to pixels.
type axis struct{ low, high, step, from, to float64 }

// newAxis chooses round ends and ticks that hold all values.
func newAxis(values []float64, from, to float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	if len(values) == 0 {
		low, high = 0, 1
	}
	if low == high {
		low, high = low-.5, high+.5
	}
	step := roundStep((high - low) / maxTicks)
	return axis{math.Floor(low/step) * step, math.Ceil(high/step) * step, step, from, to}
}

// roundStep is the next of 1, 2, 5 times a power of ten.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, k := range []float64{1, 2, 5} {
		if x <= k*power*(1+1e-9) {
			return k * power
		}
	}
	return 10 * power
}

func (a axis) at(v float64) float64 { return a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from) }

func (a axis) ticks() (ticks []float64) {
	for i := 0; ; i++ {
		v := a.low + float64(i)*a.step
		if v > a.high+a.step/2 {
			return ticks
		}
		ticks = append(ticks, v)
	}
}

// SVG draws the plot.
func (p Plot) SVG() string {
	var xs, ys []float64
	for _, l := range p.Lines {
		xs, ys = append(xs, l.X...), append(ys, l.Y...)
	}
	x, y := newAxis(xs, plotLeft, plotLeft+plotInnerX), newAxis(ys, plotTop+plotInnerY, plotTop)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="%d">`+"\n", plotWidth, plotHeight, plotFont)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="white"/>`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<text x="%g" y="24" font-size="%d">%s</text>`+"\n", plotLeft, plotTitleFont, html.EscapeString(p.Title))
	p.drawAxes(&b, x, y)
	for i, l := range p.Lines {
		p.drawLine(&b, l, x, y, i)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p Plot) drawAxes(b *strings.Builder, x, y axis) {
	bottom, right := plotTop+plotInnerY, plotLeft+plotInnerX
	for _, v := range x.ticks() {
		fmt.Fprintf(b, `<path d="M%.1f %gV%g" stroke="#ddd"/><text x="%.1f" y="%g" text-anchor="middle">%.6g</text>`+"\n", x.at(v), plotTop, bottom, x.at(v), bottom+16, tidy(v))
	}
	for _, v := range y.ticks() {
		fmt.Fprintf(b, `<path d="M%g %.1fH%g" stroke="#ddd"/><text x="%g" y="%.1f" text-anchor="end">%.6g</text>`+"\n", plotLeft, y.at(v), right, plotLeft-6, y.at(v)+4, tidy(v))
	}
	fmt.Fprintf(b, `<text x="%g" y="%g" text-anchor="middle">%s</text>`+"\n", plotLeft+plotInnerX/2, plotHeight-14, html.EscapeString(p.XLabel))
	fmt.Fprintf(b, `<text transform="translate(18 %g) rotate(-90)" text-anchor="middle">%s</text>`+"\n", plotTop+plotInnerY/2, html.EscapeString(p.YLabel))
}

// tidy takes rounding errors of ticks away.
func tidy(v float64) float64 { return math.Round(v*1e9) / 1e9 }

func (p Plot) drawLine(b *strings.Builder, l Line, x, y axis, index int) {
	colour := plotColours[index%len(plotColours)]
	var path strings.Builder
	for i := range l.X {
		px, py := x.at(l.X[i]), y.at(l.Y[i])
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], px, py)
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="%g" fill="%s"/>`+"\n", px, py, pointRadius, colour)
	}
	if !p.Scatter && len(l.X) > 1 {
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour)
	}
	top := plotTop + 10 + 18*float64(index)
	fmt.Fprintf(b, `<circle cx="%g" cy="%g" r="4" fill="%s"/><text x="%g" y="%g">%s</text>`+"\n", plotLeft+plotInnerX+18, top, colour, plotLeft+plotInnerX+28, top+4, html.EscapeString(l.Name))
}
