// Package reasoning draws what a model did in one answer: its steps, where it reflected, and where it went back to. It reads the answer
// alone, whoever wrote it; Countdown and Text know the two forms, and a Graph is written as JSON, DOT or SVG.
package reasoning

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Limits of what is read.
const (
	MaxTextBytes = 1 << 20
	MaxNodes     = 4000
)

// NodeKind says what a node is.
type NodeKind string

// Kinds of nodes.
const (
	Problem    NodeKind = "problem"    // the root
	Step       NodeKind = "step"       // one step of reasoning
	Reflection NodeKind = "reflection" // a question whether all is well, with its verdict
	Answer     NodeKind = "answer"     // the final answer
)

// EdgeKind says how the text goes from one node to another.
type EdgeKind string

// Kinds of edges.
const (
	Advance EdgeKind = "advance" // to the next step
	Reflect EdgeKind = "reflect" // to a reflection on what was just said
	Return  EdgeKind = "return"  // back to an earlier step
	Restart EdgeKind = "restart" // back to the problem
)

// Mark is a judgement on a node; "" = there is none.
type Mark string

// Marks: of a step by a verifier, of a reflection by its own verdict.
const (
	Good Mark = "good" // a legal step; a positive verdict
	Bad  Mark = "bad"  // a step that the rules forbid; a negative verdict
)

// Node is a piece of the answer; its index in the Graph is its name.
type Node struct {
	Kind  NodeKind `json:"kind"`
	Text  string   `json:"text"`
	State string   `json:"state,omitempty"` // what is left after it, where the form says so; else the answer that it states
	Mark  Mark     `json:"mark,omitempty"`
}

// Edge leads from a node to another. Advance and Reflect edges make a tree; Return and Restart edges lead up in it.
type Edge struct {
	From    int      `json:"from"`
	To      int      `json:"to"`
	Kind    EdgeKind `json:"kind"`
	Text    string   `json:"text,omitempty"`    // the sentence of a return
	Guessed bool     `json:"guessed,omitempty"` // the text does not say to which step it returns: it is the one that shares most words
}

// Graph is one answer.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
	Cut   bool   `json:"cut,omitempty"` // the answer goes on, but MaxNodes (or twice as many edges) are reached
}

// Count is the number of edges of a kind.
func (g *Graph) Count(kind EdgeKind) int {
	n := 0
	for _, e := range g.Edges {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// WriteJSON writes the Graph as one object; docs/formats/reasoning-graph.md.
func (g *Graph) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Format int `json:"format"`
		*Graph
	}{1, g})
}

// WriteDOT writes the Graph for Graphviz.
func (g *Graph) WriteDOT(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph reasoning {\n  node [shape=box, fontsize=10];\n")
	for i, n := range g.Nodes {
		fmt.Fprintf(&b, "  n%d [label=%s, color=%q];\n", i, dotString(strings.Join(label(n), "\n")), colour(n))
	}
	for _, e := range g.Edges {
		style := "solid"
		if e.Kind == Return || e.Kind == Restart {
			style = "dashed, constraint=false"
		}
		fmt.Fprintf(&b, "  n%d -> n%d [class=%q, tooltip=%s, style=%s];\n", e.From, e.To, e.Kind, dotString(e.Text), style)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// dotString quotes a text for DOT, where a backslash and a quote are escaped and nothing else is.
func dotString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(printable(text)) + `"`
}

// printable replaces what no file format wants to hold: control characters but the line end, and bytes that are no UTF-8.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f || r == 0xFFFE || r == 0xFFFF {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// builder follows an answer. path is the live one: the problem, then the steps that the text still stands on.
type builder struct {
	graph Graph
	path  []int
	at    int                     // the node that was said last
	said  map[int]map[string]bool // words of steps, for guesses
}

func newBuilder(problem string) *builder {
	return &builder{graph: Graph{Nodes: []Node{{Kind: Problem, Text: problem}}}, path: []int{0}}
}

// full says that nothing more is taken.
func (b *builder) full() bool {
	b.graph.Cut = b.graph.Cut || len(b.graph.Nodes) >= MaxNodes || len(b.graph.Edges) >= 2*MaxNodes
	return b.graph.Cut
}

// add appends a node after another and returns its name.
func (b *builder) add(n Node, after int, kind EdgeKind) int {
	b.graph.Nodes = append(b.graph.Nodes, n)
	b.at = len(b.graph.Nodes) - 1
	b.graph.Edges = append(b.graph.Edges, Edge{From: after, To: b.at, Kind: kind})
	return b.at
}

func (b *builder) live() int { return b.path[len(b.path)-1] }

func (b *builder) step(text, state string) {
	b.path = append(b.path, b.add(Node{Kind: Step, Text: text, State: state}, b.live(), Advance))
}

func (b *builder) reflect(text string, verdict Mark) {
	b.add(Node{Kind: Reflection, Text: text, Mark: verdict}, b.live(), Reflect)
}

// answer comes after a reflection, or after the last step.
func (b *builder) answer(text, state string) {
	b.add(Node{Kind: Answer, Text: text, State: state}, b.at, Advance)
}

// back returns to a node of the live path, given by how many steps it keeps; more than there are keep what there is.
func (b *builder) back(keep int, sentence string, guessed bool) {
	b.path = b.path[:min(keep, len(b.path)-1)+1]
	kind := Return
	if keep == 0 {
		kind = Restart
	}
	b.graph.Edges = append(b.graph.Edges, Edge{From: b.at, To: b.live(), Kind: kind, Text: sentence, Guessed: guessed})
	b.at = b.live()
}
