package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"astro/training/countdown"
	"astro/training/linearize/reasoning"
	"astro/training/reward"
)

// graphFlags are the flags of astro graph.
type graphFlags struct {
	in, out, domain, problem, format string
	maxValue                         int
}

func newGraphCommand() *cobra.Command {
	g := graphFlags{in: "-", domain: "text", maxValue: countdown.CD4.MaxValue}
	c := &cobra.Command{
		Use:   "graph",
		Short: "Draw what an answer did: its steps, where it reflected, where it went back",
		Long: "Draw the reasoning graph of one answer as SVG, DOT or JSON (docs/formats/reasoning-graph.md). --in is the answer as text, or a JSON\n" +
			"object with \"text\" (and \"problem\"), such as a line of a file of traces, or an answer of /v1/chat/completions.",
		Example: "  astro graph --in answer.txt --problem 'What is 2 + 2?' --out answer.svg\n" +
			"  head -1 traces/search.jsonl | astro graph --domain countdown --problem '3 7 2 9 -> 27' --format dot",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return g.run(c.InOrStdin(), c.OutOrStdout()) },
	}
	f := c.Flags()
	f.StringVar(&g.in, "in", g.in, "file of the answer; - = the standard input")
	f.StringVar(&g.out, "out", "", "file to write (default: the standard output)")
	f.StringVar(&g.domain, "domain", g.domain, "text, or countdown: then steps are judged by the rules")
	f.StringVar(&g.problem, "problem", "", "the problem; countdown needs it")
	f.StringVar(&g.format, "format", "", "svg, dot or json (default: by the name of --out, else svg)")
	f.IntVar(&g.maxValue, "max-value", g.maxValue, "countdown: largest value that a step may reach")
	return c
}

func (g *graphFlags) run(in io.Reader, out io.Writer) error {
	if g.format == "" {
		g.format = "svg"
		if ext := strings.TrimPrefix(filepath.Ext(g.out), "."); ext != "" {
			g.format = ext
		}
	}
	write := map[string]func(*reasoning.Graph, io.Writer) error{"svg": (*reasoning.Graph).WriteSVG, "dot": (*reasoning.Graph).WriteDOT,
		"json": (*reasoning.Graph).WriteJSON}[g.format]
	if write == nil {
		return fmt.Errorf("unknown format %q: want --format svg, dot or json", g.format)
	}
	graph, err := g.read(in)
	if err != nil {
		return err
	}
	if g.out == "" {
		return write(graph, out)
	}
	f, err := os.Create(g.out)
	if err != nil {
		return fmt.Errorf("write the graph: %w", err)
	}
	return errors.Join(write(graph, f), f.Close())
}

// read makes the graph of the input.
func (g *graphFlags) read(in io.Reader) (*reasoning.Graph, error) {
	if g.in != "-" {
		f, err := os.Open(g.in)
		if err != nil {
			return nil, fmt.Errorf("open the answer: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, 8*reasoning.MaxTextBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	text, problem := answerIn(data)
	if g.problem != "" {
		problem = g.problem
	}
	if len(text) > reasoning.MaxTextBytes {
		return nil, fmt.Errorf("the answer has more than %d bytes", reasoning.MaxTextBytes)
	}
	switch g.domain {
	case "text":
		return reasoning.Text(problem, text), nil
	case "countdown":
		p, err := reward.ParseCountdown(problem)
		if err != nil {
			return nil, fmt.Errorf("--problem: %w", err)
		}
		return countdownGraph(g.maxValue, p, text), nil
	}
	return nil, fmt.Errorf("unknown --domain %q: want text or countdown", g.domain)
}

// countdownGraph is the graph of an answer to a problem of the numbers game, as much of it as can be read.
func countdownGraph(maxValue int, p reward.CountdownProblem, text string) *reasoning.Graph {
	words, whole := reward.CountdownWords(text)
	graph := reasoning.Countdown(reward.Countdown{MaxValue: maxValue}, p, words)
	graph.Cut = graph.Cut || !whole
	return graph
}

// answerIn takes the answer out of what was given: a JSON object that holds one, or a text.
func answerIn(data []byte) (text, problem string) {
	var object struct {
		Text    *string `json:"text"`
		Problem string  `json:"problem"`
		Choices []struct {
			Text    *string `json:"text"`
			Message struct {
				Content *string `json:"content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return string(data), ""
	}
	if object.Text != nil {
		return *object.Text, object.Problem
	}
	if len(object.Choices) > 0 {
		for _, s := range []*string{object.Choices[0].Message.Content, object.Choices[0].Text} {
			if s != nil {
				return *s, object.Problem
			}
		}
	}
	return string(data), ""
}
