package pipeline

import (
	"context"
	"fmt"
	"path/filepath"

	"astro/training/linearize"
	"astro/training/recipe"
)

// traceFigures are kept of the traces.
type traceFigures struct {
	linearize.Report
}

// String is the figures in words.
func (f traceFigures) String() string {
	return fmt.Sprintf("%d of %d trees kept, %d search and %d direct traces, %d tokens in the search arm, %d returns of which %d to the beginning",
		f.Kept, f.Trees, f.Search, f.Direct, f.Tokens, f.Returns, f.Restarts)
}

// linearize makes the traces of both arms, as many of one as of the other.
func (p *Pipeline) linearize(ctx context.Context, part string) (func(string) error, any, error) {
	l := recipe.Linearize{Trees: filepath.Join(p.folder(Search), treesName), Dir: part, Options: p.Config.Traces, Domain: recipe.CountdownTraces(p.Config.domain()),
		Direct: true, Workers: 2}
	trees := p.Config.SearchProblems
	report, err := l.Run(ctx, func(r linearize.Report) {
		p.tell(Event{Stage: Linearize, Done: r.Trees, Total: max(trees, r.Trees), Note: fmt.Sprintf("%d kept", r.Kept)})
	})
	if err != nil {
		return nil, nil, err
	}
	if report.Search == 0 {
		return nil, nil, fmt.Errorf("none of %d trees gave a trace (left out: %v, %v): search more problems, or train the base model longer", report.Trees, report.Skipped, report.Dropped)
	}
	return func(dir string) error {
		return copyFiles(dir, part, recipe.SearchTraces, recipe.DirectTraces, recipe.TraceReport)
	}, traceFigures{report}, nil
}
