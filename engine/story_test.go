package engine_test

import (
	"fmt"
	"strings"

	"astro/engine"
)

// stepOnce runs one Step and writes its plan and events.
func (s *story) stepOnce(out *strings.Builder) {
	events, err := s.step()
	if s.plan.Empty() {
		fmt.Fprintln(out, "nothing to run")
	}
	for _, c := range s.plan.Copies {
		fmt.Fprintf(out, "copy page %d to %d\n", c.From, c.To)
	}
	for _, row := range s.plan.Rows {
		s.showRow(out, row)
	}
	s.showEvents(out, events)
	if err != nil {
		fmt.Fprintf(out, "error: %v\n", err)
	}
}

// showRow: a Row does not say whose it is; rows are in order of class and arrival, decodes before prompts.
func (s *story) showRow(out *strings.Builder, row engine.Row) {
	end := row.Start + len(row.Tokens) - 1
	what := fmt.Sprintf("prefill %d-%d", row.Start, end)
	if row.Start == end {
		what = fmt.Sprintf("feed %d", end)
	}
	fmt.Fprintf(out, "%s, pages %v, version %d", what, row.Pages, row.Version)
	if row.Score != nil {
		fmt.Fprintf(out, ", score %v", row.Score.Targets)
	}
	if row.Sample != nil {
		fmt.Fprint(out, ", draw")
		if row.Ahead > 0 {
			fmt.Fprintf(out, " %d", 1+row.Ahead)
		}
		if len(row.Sample.Banned) > 0 {
			fmt.Fprintf(out, " but not %v", row.Sample.Banned)
		}
	}
	fmt.Fprintln(out)
}

func (s *story) showEvents(out *strings.Builder, events []engine.Event) {
	for _, e := range events {
		fmt.Fprintf(out, "  %s/%d", s.names[e.Request], e.Index)
		if e.HasToken {
			fmt.Fprintf(out, " token %d", e.Choice.Token)
		}
		if e.CachedTokens > 0 {
			fmt.Fprintf(out, " (%d prompt tokens cached)", e.CachedTokens)
		}
		if e.PromptScores != nil {
			fmt.Fprintf(out, " scores of %d prompt tokens", len(e.PromptScores))
		}
		if e.Finish != "" {
			fmt.Fprintf(out, " finish %s", e.Finish)
		}
		if e.StopID >= 0 {
			fmt.Fprintf(out, " on token %d", e.StopID)
		}
		if e.Err != nil {
			fmt.Fprintf(out, ": %s", strings.ReplaceAll(e.Err.Error(), "\n", "; "))
		}
		fmt.Fprintln(out)
	}
}

func (s *story) show(out *strings.Builder) {
	l := s.scheduler.Load()
	fmt.Fprintf(out, "%d queued, %d waiting, %d running, %d stalled; pages: %d free, %d cached, %d held\n",
		l.QueuedRequests(), l.Waiting, l.Running, l.Stalled, l.Pages.Free, l.Pages.Cached, l.Pages.Held)
}

func (s *story) showVersions(out *strings.Builder) {
	fmt.Fprintf(out, "current version %d, live %v\n", s.scheduler.Version(), s.runner.Versions())
}

// quiet runs to the end and writes each sample's tokens.
func (s *story) quiet(out *strings.Builder) error {
	steps := 0
	for ; s.scheduler.Runnable(); steps++ {
		if _, err := s.step(); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d steps\n", steps)
	for number := uint64(1); number <= uint64(len(s.collected)); number++ {
		for i, sample := range s.collected[number].samples {
			fmt.Fprintf(out, "  %s/%d tokens %v finish %s\n", s.names[number], i, sample.tokens, sample.finish)
		}
	}
	return nil
}
