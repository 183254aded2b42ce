package reasoning

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Sizes of the drawing, in pixels.
const (
	boxWidth, boxHeight = 190, 62
	gapX, gapY          = 24, 44
	margin              = 20
	labelRunes          = 30 // of a line
	labelLines          = 3
)

// place is where a node lies: a column counted in leaves from the left, a row counted in steps from the problem.
type place struct{ column, row float64 }

func (p place) x() float64 { return margin + p.column*(boxWidth+gapX) }
func (p place) y() float64 { return margin + p.row*(boxHeight+gapY) }

// layout puts the tree of Advance and Reflect edges in layers: a leaf takes the next column, a node lies amid its children. Nodes come
// after their parents, so two passes over them do: rows downwards, columns upwards.
func (g *Graph) layout() (places []place, columns, rows float64) {
	places = make([]place, len(g.Nodes))
	children := make([][]int, len(g.Nodes))
	for _, e := range g.Edges {
		if e.Kind == Advance || e.Kind == Reflect {
			children[e.From] = append(children[e.From], e.To)
			places[e.To].row = places[e.From].row + 1
			rows = max(rows, places[e.To].row)
		}
	}
	var leaves func(stack []int) // depth first without recursion: an answer may be one long path
	leaves = func(stack []int) {
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if len(children[n]) == 0 {
				places[n].column = columns
				columns++
			}
			for i := len(children[n]) - 1; i >= 0; i-- {
				stack = append(stack, children[n][i])
			}
		}
	}
	leaves([]int{0})
	for n := len(g.Nodes) - 1; n >= 0; n-- {
		if c := children[n]; len(c) > 0 {
			places[n].column = (places[c[0]].column + places[c[len(c)-1]].column) / 2
		}
	}
	return places, columns, rows + 1
}

// WriteSVG draws the Graph. The same Graph always gives the same bytes; texts are escaped, whatever they hold.
func (g *Graph) WriteSVG(w io.Writer) error {
	places, columns, rows := g.layout()
	var b strings.Builder
	width, height := 2*margin+columns*(boxWidth+gapX), 2*margin+rows*(boxHeight+gapY)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" font-family="sans-serif" font-size="10">`+"\n", width, height, width, height)
	b.WriteString(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#666"/></marker></defs>` + "\n")
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	for _, e := range g.Edges {
		drawEdge(&b, e, places[e.From], places[e.To])
	}
	for i, n := range g.Nodes {
		drawNode(&b, n, places[i])
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// drawEdge goes straight down, or back up in a dashed bow.
func drawEdge(b *strings.Builder, e Edge, from, to place) {
	x1, y1, x2, y2 := from.x()+boxWidth/2, from.y()+boxHeight, to.x()+boxWidth/2, to.y()
	path, style := fmt.Sprintf("M%g %gL%g %g", x1, y1, x2, y2), `stroke="#666"`
	if e.Kind == Return || e.Kind == Restart {
		x1, y1, x2, y2 = from.x()+boxWidth, from.y()+boxHeight/2, to.x()+boxWidth, to.y()+boxHeight/2
		path = fmt.Sprintf("M%g %gC%g %g %g %g %g %g", x1, y1, x1+gapX*2, y1, max(x1, x2)+gapX*2, y2, x2, y2)
		style = `stroke="#c0392b" stroke-dasharray="5 3"`
	}
	fmt.Fprintf(b, `<path class="%s" d="%s" fill="none" %s marker-end="url(#arrow)"><title>%s</title></path>`+"\n", e.Kind, path, style, escape(e.Text))
}

func drawNode(b *strings.Builder, n Node, at place) {
	fmt.Fprintf(b, `<g class="%s"><title>%s</title><rect x="%g" y="%g" width="%d" height="%d" rx="6" fill="#fff" stroke="%s" stroke-width="1.5"/>`,
		n.Kind, escape(n.Text), at.x(), at.y(), boxWidth, boxHeight, colour(n))
	for i, line := range label(n) {
		fmt.Fprintf(b, `<text x="%g" y="%g">%s</text>`, at.x()+8, at.y()+17+float64(i)*13, escape(line))
	}
	b.WriteString("</g>\n")
}

// colour tells kinds and marks apart.
func colour(n Node) string {
	switch {
	case n.Mark == Good:
		return "#27ae60"
	case n.Mark == Bad:
		return "#c0392b"
	case n.Kind == Step:
		return "#2c3e50"
	}
	return "#2980b9"
}

// label is the first words of a node, and what is left after it.
func label(n Node) []string {
	lines := wrap(n.Text, labelLines)
	if n.State != "" && n.Kind == Step {
		lines = append(lines, wrap("= "+n.State, 1)...)
	}
	return lines
}

// wrap breaks a text at spaces into lines; what does not fit ends in dots.
func wrap(text string, limit int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > labelRunes {
			if len(lines) == limit-1 {
				return append(lines, cut(line)+" ...")
			}
			lines, line = append(lines, cut(line)), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, cut(line))
}

// cut shortens one long word.
func cut(line string) string {
	if runes := []rune(line); len(runes) > labelRunes {
		return string(runes[:labelRunes-3]) + "..."
	}
	return line
}

// escape makes any text fit for XML.
func escape(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(printable(text))); err != nil {
		panic("BUG: a text in memory cannot be escaped: " + err.Error())
	}
	return b.String()
}
