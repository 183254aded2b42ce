package pipeline

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"astro/training/eval"
	"astro/training/recipe/learning"
	"astro/training/recipe/stages"
)

// Table is the result of a run: what every seed gave, and the seeds together.
type Table struct {
	Size   string      `json:"size"`
	Seeds  []SeedTable `json:"seeds"`
	Stages []SeedNotes `json:"stages"`
	Mean   []MeanRow   `json:"mean"` // over seeds; empty where there is one
	curves []seedCurves
}

// SeedNotes says what each stage of a seed gave.
type SeedNotes struct {
	Seed  uint64        `json:"seed"`
	Notes []stages.Note `json:"notes"`
}

// MeanRow is an arm over seeds; standard errors are over seeds.
type MeanRow struct {
	Arm      Stage         `json:"arm"`
	Pass1    eval.Estimate `json:"pass1"`
	PassN    eval.Estimate `json:"pass_n"`
	Tokens   eval.Estimate `json:"tokens"`
	Returns  eval.Estimate `json:"returns"`
	Distinct eval.Estimate `json:"distinct"`
}

// seedCurves are the learning curves of a seed.
type seedCurves struct {
	seed          uint64
	astro, direct rlFigures
	compared      []learning.Named
}

// NewTable reads the results of runs whose evaluation is sealed.
func NewTable(runs []*Pipeline) (*Table, error) {
	if len(runs) == 0 {
		return nil, errors.New("there are no runs to make a table of")
	}
	t := &Table{Size: runs[0].Config.Size}
	for _, p := range runs {
		if err := t.add(p); err != nil {
			return nil, fmt.Errorf("make the table of seed %d: %w", p.Config.Seed, err)
		}
	}
	if len(runs) > 1 {
		for _, arm := range append(runs[0].Config.models(), Compared...) {
			if t.all(arm) {
				t.Mean = append(t.Mean, t.meanOf(arm))
			}
		}
	}
	return t, nil
}

func (t *Table) add(p *Pipeline) error {
	var s SeedTable
	c := seedCurves{seed: p.Config.Seed}
	if err := errors.Join(p.figures(Evaluate, &s), p.figures(AstroRL, &c.astro)); err != nil {
		return err
	}
	if p.Config.has(DirectRL) {
		if err := p.figures(DirectRL, &c.direct); err != nil {
			return err
		}
	}
	if err := p.compareMore(&s, &c); err != nil {
		return err
	}
	var names []Stage
	for _, stage := range p.plan(nil) {
		names = append(names, stage.Name)
	}
	notes, err := p.stages().Notes(names)
	if err != nil {
		return err
	}
	t.Seeds, t.curves, t.Stages = append(t.Seeds, s), append(t.curves, c), append(t.Stages, SeedNotes{p.Config.Seed, notes})
	return nil
}

// all says whether every seed has a row of an arm.
func (t *Table) all(arm Stage) bool {
	return !slices.ContainsFunc(t.Seeds, func(s SeedTable) bool { return !s.has(arm) })
}

func (t *Table) meanOf(arm Stage) MeanRow {
	over := func(of func(Row) float64) eval.Estimate {
		var values []float64
		for i := range t.Seeds {
			values = append(values, of(t.Seeds[i].Row(arm)))
		}
		return eval.Mean(values)
	}
	return MeanRow{arm, over(func(r Row) float64 { return r.Pass1.Mean }), over(func(r Row) float64 { return r.PassN }),
		over(func(r Row) float64 { return r.Tokens }), over(func(r Row) float64 { return r.Returns }), over(func(r Row) float64 { return r.Distinct })}
}

// Names of the files of a table.
const (
	tableText     = "table.txt"
	tableMarkdown = "table.md"
	tableJSON     = "table.json"
)

// Write writes the table as text, Markdown and JSON, and its plots.
func (t *Table) Write(dir string) error {
	files := map[string]string{tableText: t.Text(), tableMarkdown: t.Markdown()}
	for name, plot := range t.plots() {
		files[name] = plot.SVG()
	}
	if err := stages.WriteTexts(dir, files); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return stages.WriteJSON(filepath.Join(dir, tableJSON), t)
}
