package pipeline

import (
	"context"
	"fmt"
	"path/filepath"

	"astro/training/linearize"
	"astro/training/recipe"
	"astro/training/recipe/stages"
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
	report, err := p.traces(ctx, Linearize, part, p.Config.Traces, true)
	if err != nil {
		return nil, nil, err
	}
	return func(dir string) error {
		return stages.CopyFiles(dir, part, recipe.SearchTraces, recipe.DirectTraces, recipe.TraceReport)
	}, traceFigures{report}, nil
}

// traces makes the traces of a stage from the trees of the search; that there are none is an error.
func (p *Pipeline) traces(ctx context.Context, s Stage, dir string, o linearize.Options, direct bool) (linearize.Report, error) {
	l := recipe.Linearize{Trees: filepath.Join(p.folder(Search), treesName), Dir: dir, Options: o, Domain: recipe.CountdownTraces(p.Config.domain()),
		Direct: direct, Workers: 2}
	trees := p.Config.SearchProblems
	report, err := l.Run(ctx, func(r linearize.Report) {
		p.tell(Event{Stage: s, Done: r.Trees, Total: max(trees, r.Trees), Note: fmt.Sprintf("%d kept", r.Kept)})
	})
	if err == nil && report.Search == 0 {
		err = fmt.Errorf("none of %d trees gave a trace (left out: %v, %v): search more problems, or train the base model longer", report.Trees, report.Skipped, report.Dropped)
	}
	return report, err
}
