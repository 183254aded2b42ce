package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"astro/training/recipe/pipeline"
)

// stageBars shows where a recipe stands: a bar for each stage where somebody watches, else a line now and then; always a line at its end.
type stageBars struct {
	seed             uint64
	out, diagnostics io.Writer
	stage            pipeline.Stage
	bar              *progressbar.ProgressBar
	begin, said      time.Time
	first            int // done when it began: an earlier run's
}

func newStageBars(seed uint64, out, diagnostics io.Writer) *stageBars {
	return &stageBars{seed: seed, out: out, diagnostics: diagnostics}
}

// show takes an Event.
func (s *stageBars) show(e pipeline.Event) {
	if e.End {
		s.end(e)
		return
	}
	if s.stage != e.Stage {
		s.stage, s.begin, s.first = e.Stage, time.Now(), e.Done
		s.bar = stepBar(s.diagnostics, e.Total)
	}
	if isTerminal(s.diagnostics) {
		s.bar.ChangeMax(e.Total)
		s.bar.Describe(fmt.Sprintf("%s  %s", e.Stage, e.Note))
		s.bar.Set(e.Done) // fails only if the terminal does
		return
	}
	const interval = 15 * time.Second
	if time.Since(s.said) < interval {
		return
	}
	s.said = time.Now()
	fmt.Fprintf(s.diagnostics, "%s %d/%d  %s  %s left\n", e.Stage, e.Done, e.Total, e.Note, s.left(e))
}

// left estimates the time that a stage still takes.
func (s *stageBars) left(e pipeline.Event) string {
	made := e.Done - s.first
	if made < 1 {
		return "?"
	}
	return (time.Since(s.begin) * time.Duration(max(0, e.Total-e.Done)) / time.Duration(made)).Round(time.Second).String()
}

func (s *stageBars) end(e pipeline.Event) {
	if s.bar != nil {
		s.bar.Clear()
	}
	s.stage, s.bar = "", nil
	word := "made"
	if e.Skipped {
		word = "kept"
	}
	fmt.Fprintf(s.out, "seed %d  %s %s: %s\n", s.seed, e.Stage, word, e.Note)
}
