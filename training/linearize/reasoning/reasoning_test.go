package reasoning

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"astro/training/linearize"
	"astro/training/reward"
)

var rules = reward.Countdown{MaxValue: 50}

func countdown(t *testing.T, response string) *Graph {
	t.Helper()
	p, err := reward.ParseCountdown("3 7 2 9 -> 7")
	if err != nil {
		t.Fatal(err)
	}
	words, _ := reward.CountdownWords(strings.NewReplacer("BUTWAIT", reward.WordButWait, "NOTSURE", reward.WordNotSure, "LOOKSOK", reward.WordLooksOK,
		"ANS", reward.WordAnswer, "RESTART", reward.WordRestart, "GB1", reward.WordGoBack1).Replace(response))
	return Countdown(rules, p, words)
}

// draw is a Graph as a line: nodes by kind and mark, edges that do not go on.
func draw(g *Graph) string {
	var b strings.Builder
	for i, n := range g.Nodes {
		fmt.Fprintf(&b, "%d%s", i, map[NodeKind]string{Problem: "p", Step: "s", Reflection: "r", Answer: "a"}[n.Kind])
		b.WriteString(map[Mark]string{Good: "+", Bad: "-", "": ""}[n.Mark] + " ")
	}
	for _, e := range g.Edges {
		if e.Kind == Return || e.Kind == Restart {
			fmt.Fprintf(&b, "%d>%d ", e.From, e.To)
		}
	}
	return strings.TrimSpace(b.String())
}

// A derivation with an illegal step, a restart, a return to the first step and an answer becomes the graph that a reader would draw.
func TestCountdown(t *testing.T) {
	g := countdown(t, "9 + 2 = 12 | 3 7 12 7 - 3 = 4 | 12 4 BUTWAIT NOTSURE RESTART 3 7 2 9 -> 7 : 9 + 2 = 11 | 3 7 11 7 * 3 = 21 | 11 21 21 - 11 = 10 ; "+
		"BUTWAIT NOTSURE GB1 3 7 11 -> 7 : 7 - 3 = 4 | 11 4 11 - 4 = 7 ; BUTWAIT LOOKSOK ANS 7")
	if got, want := draw(g), "0p 1s- 2s 3r- 4s+ 5s+ 6s+ 7r- 8s+ 9s+ 10r+ 11a 3>0 7>4"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := g.Nodes[4]; n.Text != "9 + 2 = 11" || n.State != "3 7 11" || g.Nodes[11].State != "7" || g.Count(Return) != 1 || g.Count(Restart) != 1 || g.Count(Reflect) != 3 {
		t.Errorf("got %+v", g)
	}
	for response, want := range map[string]string{
		"": "0p", "ANS": "0p 1a", "RESTART RESTART": "0p 0>0 0>0", "GB1": "0p 0>0", "LOOKSOK | ; 7 :": "0p 1r+ 2s- 3s 4s",
		"9 + 2": "0p 1s", "BUTWAIT BUTWAIT NOTSURE": "0p 1r 2r-",
	} {
		if got := draw(countdown(t, response)); got != want {
			t.Errorf("%q: got %s; want %s", response, got, want)
		}
	}
}

// Prose: steps at blank lines, sentences wherever they stand, a return to the step that it speaks of.
func TestText(t *testing.T) {
	text := "Let the sides be $a$ and $b$, so that $a+b=10$.\n\nThe area gives $ab = 24$.\n\nSo the diagonal is \\boxed{9}.\n\n" +
		linearize.Reflect + " " + linearize.NotSure + "\nLet\u2019s go back to where we named the sides $a$ and $b$. The square of the diagonal is $100-48$.\n \n" +
		"Thus \\boxed{7}. " + linearize.Reflect + " " + linearize.NotSure + " Let's restart our solution from the beginning.\n\nAgain.\n\n" +
		linearize.Reflect + " " + linearize.LooksOK + " The answer is $\\boxed{8}$."
	g := Text("A  rectangle\n", text)
	if got, want := draw(g), "0p 1s 2s 3s 4r- 5s 6s 7r- 8s 9r+ 10a 4>1 7>0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if e := g.Edges[4]; !e.Guessed || e.Kind != Return || e.Text != "Let's go back to where we named the sides $a$ and $b$." || g.Nodes[3].State != "9" || g.Nodes[10].State != "8" {
		t.Errorf("got %+v", g)
	}
	for text, want := range map[string]string{
		"": "0p", "\n\n \n": "0p", "one\ntwo": "0p 1s", "Let's go back to": "0p 0>0", linearize.LooksOK: "0p 1r+", linearize.Reflect: "0p 1r",
		"a\n\nb\n\nc\n\nLet's go back to the start": "0p 1s 2s 3s 3>2", "LET US START OVER! x": "0p 1s 0>0",
	} {
		if got := draw(Text("p", text)); got != want {
			t.Errorf("%q: got %s; want %s", text, got, want)
		}
	}
}

// The returns of a graph are those that linearize counts.
func TestCountsAgree(t *testing.T) {
	text := strings.Repeat("Step.\n\nLet's go back to where we began. Let's restart our solution, please. ", 5) + "Let us start over"
	g, want := Text("p", text), linearize.CountReturns(text)
	if g.Count(Return) != want.Back || g.Count(Restart) != want.Restart || want.Total() != 11 {
		t.Errorf("the graph has %d and %d, the count is %+v", g.Count(Return), g.Count(Restart), want)
	}
}

// Whatever is written is well-formed, the same each time, and bounded.
func check(t *testing.T, g *Graph) {
	t.Helper()
	var svg, again, dot, object bytes.Buffer
	for _, err := range []error{g.WriteSVG(&svg), g.WriteSVG(&again), g.WriteDOT(&dot), g.WriteJSON(&object)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(svg.Bytes(), again.Bytes()) {
		t.Fatal("two drawings differ")
	}
	for d, n := xml.NewDecoder(&svg), 0; ; n++ {
		_, err := d.Token()
		if err == io.EOF && n > 5 {
			break
		}
		if err != nil {
			t.Fatalf("the SVG is not well-formed: %v", err)
		}
	}
	var back struct {
		Format int
		Graph
	}
	if err := json.Unmarshal(object.Bytes(), &back); err != nil || back.Format != 1 || len(back.Nodes) != len(g.Nodes) {
		t.Fatalf("the JSON comes back as %+v, %v", back, err)
	}
	if strings.Count(dot.String(), "\n") != len(g.Nodes)+len(g.Edges)+3 {
		t.Fatalf("the DOT is not one line per node and edge:\n%s", dot.String())
	}
	checkGraph(t, g)
}

// checkGraph: every node but the problem has one edge that leads to it, from an earlier node; returns lead to an ancestor or the node itself.
func checkGraph(t *testing.T, g *Graph) {
	t.Helper()
	parent := make([]int, len(g.Nodes))
	for i := range parent {
		parent[i] = -1
	}
	for _, e := range g.Edges {
		if e.Kind == Advance || e.Kind == Reflect {
			if e.From >= e.To || parent[e.To] != -1 {
				t.Fatalf("edge %+v", e)
			}
			parent[e.To] = e.From
			continue
		}
		up := e.From
		for up != e.To && up > 0 {
			up = parent[up]
		}
		if up != e.To {
			t.Fatalf("the return %+v leads to no ancestor", e)
		}
	}
	if slices.Contains(parent[1:], -1) || len(g.Nodes) > MaxNodes {
		t.Fatalf("%d nodes, parents %v", len(g.Nodes), parent)
	}
}

func FuzzText(f *testing.F) {
	f.Add("<script>&\"'", "a\n\n]]>\x00\x1b\xff\ufffe\n\n"+linearize.Reflect+linearize.NotSure+"Let's go back to \\\" <b>.")
	f.Add("p", "x\n\n"+linearize.LooksOK+"\\boxed{<!--}")
	f.Fuzz(func(t *testing.T, problem, text string) { check(t, Text(problem, text)) })
}

func FuzzCountdown(f *testing.F) {
	f.Add("9 + 2 = 11 | 3 7 11 " + reward.WordButWait + reward.WordNotSure + reward.WordGoBack1 + " 3 <&> ; | | \\\"")
	f.Fuzz(func(t *testing.T, text string) {
		words, _ := reward.CountdownWords(text)
		check(t, Countdown(rules, reward.CountdownProblem{Numbers: []int{3, 7, 2, 9}, Target: 7}, words))
	})
}

// An answer of any length ends in a bounded graph that says that it was cut.
func TestBounds(t *testing.T) {
	for _, text := range []string{strings.Repeat("a\n\n", 2*MaxNodes), strings.Repeat("Let us start over. ", 2*MaxNodes+50), strings.Repeat(linearize.LooksOK, 2*MaxNodes),
		strings.Repeat("some words here\n\n", MaxNodes-9) + strings.Repeat("Let us go back to some "+strings.Repeat("words ", 20)+". ", MaxNodes+50)} {
		g := Text("p", text)
		if !g.Cut {
			t.Errorf("%.20q...: %d nodes and %d edges, not cut", text, len(g.Nodes), len(g.Edges))
		}
		check(t, g)
	}
}
