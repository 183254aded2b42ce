package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/gomlx/compute/dtypes"

	"astro/model"
	"astro/training/checkpoint"
	"astro/training/recipe/learning"
	"astro/training/recipe/report"
	"astro/training/recipe/stages"
)

// The methods that ours is compared with. Each is a stage that is run on request only, and judges its model itself: the evaluation of the
// other arms does not depend on whether it was run. It is given as many tokens to learn from as the astro arm drew.
const (
	SPOC    Stage = "spoc"
	StepKTO Stage = "step-kto"
)

// Compared are the stages that leave a model on request.
var Compared = []Stage{SPOC, StepKTO}

// comparedPairs are what stands beside the comparisons of the table, where these stages were run.
var comparedPairs = [][2]Stage{{Base, SPOC}, {SPOC, AstroRL}, {Base, StepKTO}, {StepKTO, AstroRL}}

// comparedFigures are kept of such a stage.
type comparedFigures struct {
	learning.Figures
	Taught *learning.Imitated `json:"taught,omitempty"` // before it learnt by rewards
	Row    Row                `json:"row"`
}

// String is the figures in words.
func (f comparedFigures) String() string {
	text := fmt.Sprintf("%s; test pass@1 %.1f %% (+- %.1f)", f.Figures, 100*f.Row.Pass1.Mean, 100*f.Row.Pass1.SE)
	if f.Taught != nil {
		text = f.Taught.String() + "; " + text
	}
	return text
}

// finish learns, judges the model and seals it with its answers.
func (p *Pipeline) finish(ctx context.Context, part string, arm Stage, l *learning.Learning, taught *learning.Imitated) (func(string) error, any, error) {
	w, learnt, err := l.Run(ctx)
	if err != nil {
		return nil, nil, err
	}
	made := filepath.Join(part, "model")
	if err := checkpoint.Write(made, p.writer(w)); err != nil {
		return nil, nil, err
	}
	load := func() (*model.Weights, error) { return p.loadFrom(made) }
	answers, err := p.judge(ctx, part, arm, load, func(done, problems int) {
		p.tell(Event{Stage: arm, Done: done, Total: problems, Note: "test problems"})
	})
	if err != nil {
		return nil, nil, err
	}
	return func(dir string) error {
		return errors.Join(stages.CopyFiles(dir, made, modelFiles...), stages.CopyFiles(dir, part, report.FileName(arm)))
	}, comparedFigures{learnt, taught, report.Measure(arm, answers)}, nil
}

// budget is what the astro arm drew.
func (p *Pipeline) budget() (tokens int, err error) {
	var astro rlFigures
	err = p.figures(AstroRL, &astro)
	return astro.Tokens, err
}

func (p *Pipeline) loadFrom(dir string) (*model.Weights, error) {
	return model.Load(dir, p.Device.Backend(), dtypes.Float32, nil)
}

// Judged says whether the models of the table have been judged, so that there is a table.
func (p *Pipeline) Judged() bool {
	seal, err := p.stages().Seal(Evaluate)
	return seal != nil && err == nil
}

// compareMore adds the compared arms that are sealed to a seed's table and curves.
func (p *Pipeline) compareMore(s *SeedTable, c *seedCurves) error {
	answers := map[Stage][]Answered{}
	for _, arm := range Compared {
		if seal, err := p.stages().Seal(arm); err != nil || seal == nil {
			if err != nil {
				return err
			}
			continue
		}
		var f comparedFigures
		var all []Answered
		if err := errors.Join(p.figures(arm, &f), stages.ReadJSON(filepath.Join(p.folder(arm), report.FileName(arm)), &all)); err != nil {
			return err
		}
		answers[arm] = all
		s.Rows = append(s.Rows, f.Row)
		s.Matched = append(s.Matched, report.Match(s.Row(AstroRL), f.Row, all))
		c.compared = append(c.compared, learning.Named{Name: string(arm), Figures: f.Figures, Returns: arm == SPOC})
	}
	for _, pair := range comparedPairs {
		if err := p.differ(s, answers, pair); err != nil {
			return err
		}
	}
	return nil
}

// differ adds a comparison, if its compared arm is among the answers. Those of the others come from the evaluation.
func (p *Pipeline) differ(s *SeedTable, answers map[Stage][]Answered, pair [2]Stage) error {
	for _, arm := range pair {
		if answers[arm] != nil {
			continue
		}
		if slices.Contains(Compared, arm) {
			return nil
		}
		var all []Answered
		if err := stages.ReadJSON(filepath.Join(p.folder(Evaluate), report.FileName(arm)), &all); err != nil {
			return err
		}
		answers[arm] = all
	}
	s.Differences = append(s.Differences, report.Differ(pair[0], pair[1], answers, p.Config.Eval.Resamples, p.Config.Seed))
	return nil
}
