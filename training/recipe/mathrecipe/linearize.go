package mathrecipe

import (
	"context"
	"fmt"
	"path/filepath"

	"astro/training/linearize"
	"astro/training/recipe"
	"astro/training/recipe/prose"
	"astro/training/recipe/stages"
)

// repliesName is the file of what a writer's model said.
const repliesName = "replies.jsonl"

// failuresInARow of a server end the stage.
const failuresInARow = 8

// traceFigures are kept of the traces.
type traceFigures struct {
	linearize.Report
}

// String is the figures in words.
func (f traceFigures) String() string {
	text := fmt.Sprintf("%d of %d trees kept, %d search and %d direct traces, %d tokens in the search arm, %d returns of which %d to the beginning",
		f.Kept, f.Trees, f.Search, f.Direct, f.Tokens, f.Returns, f.Restarts)
	if len(f.Skipped) > 0 {
		text += fmt.Sprintf("; trees left out: %v", f.Skipped)
	}
	if len(f.Dropped) > 0 {
		text += fmt.Sprintf("; traces left out: %v", f.Dropped)
	}
	return text
}

// linearize makes the traces of both arms, as many of one as of the other.
func (r *run) linearize(ctx context.Context, part string) (func(string) error, any, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	domain, closeWriter, err := r.openWriter(part, stop)
	if err != nil {
		return nil, nil, err
	}
	defer closeWriter()
	var searched searchFigures
	if err := r.figures(Search, &searched); err != nil {
		return nil, nil, err
	}
	l := recipe.Linearize{Trees: filepath.Join(r.stages().Path(Search), treesName), Dir: part, Options: r.config.Traces, Domain: domain, Direct: true, Workers: r.config.Prose.Workers}
	report, err := l.Run(ctx, func(t linearize.Report) {
		r.tell(Linearize, t.Trees, searched.Trees, fmt.Sprintf("%d kept", t.Kept))
	})
	if err != nil {
		return nil, nil, err
	}
	if report.Search == 0 {
		return nil, nil, fmt.Errorf("none of %d trees gave a trace (left out: %v, %v; first errors: %.600v): search more, ask for fewer self-evaluations, or choose another writer",
			report.Trees, report.Skipped, report.Dropped, report.Examples)
	}
	return func(dir string) error {
		return stages.CopyFiles(dir, part, recipe.SearchTraces, recipe.DirectTraces, recipe.TraceReport)
	}, traceFigures{report}, nil
}

// openWriter makes the domain of traces. Whatever a model says is kept in part, so that it is not asked twice.
func (r *run) openWriter(part string, stop context.CancelCauseFunc) (d linearize.Domain, closeWriter func(), err error) {
	c := r.config.Prose
	p := linearize.NewProse(nil)
	p.Temperature, closeWriter = c.Temperature, func() {}
	if p.Tokenize, err = recipe.TextTokens(r.Model); err != nil {
		return d, nil, err
	}
	if c.Writer != Template || c.SelfEval > 0 {
		model, closeModel, err := r.openModel(part, stop)
		if err != nil {
			return d, nil, err
		}
		closeWriter = closeModel
		if c.Writer != Template {
			p.Model = model
		}
		if c.SelfEval > 0 {
			d.Quality = linearize.SelfEvaluation(model, c.SelfEval, r.config.Seed)
		}
	}
	d.Write = p.Write
	return d, closeWriter, nil
}

// openModel opens the model that writes or judges, with a journal before it.
func (r *run) openModel(part string, stop context.CancelCauseFunc) (linearize.Completer, func(), error) {
	c := r.config.Prose
	var asked linearize.Completer
	name, closeModel := r.identity, func() {}
	if c.Writer == Server {
		name, asked = c.Model, &prose.Guard{Model: prose.NewClient(c.URL, c.Model, c.Key, c.Workers), Limit: failuresInARow, Stop: stop}
	} else {
		own, err := r.openOwn()
		if err != nil {
			return nil, nil, err
		}
		asked, closeModel = own, own.close
	}
	journal, err := prose.OpenJournal(filepath.Join(part, repliesName), name, asked)
	if err != nil {
		closeModel()
		return nil, nil, err
	}
	return journal, func() { journal.Close(); closeModel() }, nil
}
