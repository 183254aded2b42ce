package pipeline

import (
	"context"
	"fmt"
	"slices"

	"astro/internal/device"
	"astro/training/recipe/stages"
)

// Stage is one step of the method.
type Stage = stages.Name

// The stages, in the order in which they run. The astro arm learns before the direct one, which is given as many tokens.
const (
	Base      Stage = "base"
	Search    Stage = "search"
	Linearize Stage = "linearize"
	DirectSFT Stage = "direct-sft"
	AstroSFT  Stage = "astro-sft"
	AstroRL   Stage = "astro-rl"
	DirectRL  Stage = "direct-rl"
	Evaluate  Stage = "eval"
)

// Models are the stages that leave a model, the arms of the table.
var Models = []Stage{Base, DirectSFT, AstroSFT, DirectRL, AstroRL}

// Event is where a stage stands.
type Event = stages.Event

// Pipeline is one run, of one seed, in one folder.
type Pipeline struct {
	Config Config
	Dir    string
	From   string // another run of this seed, whose stages are taken over where they are of the very same making; "" = none
	Device *device.Device
	Tell   func(Event) // nil = nobody is told
}

// plan lists the stages in order. source is what the base model is made from.
func (p *Pipeline) plan(source any) []stages.Stage {
	c := &p.Config
	curve := []any{c.RLProblems, c.Eval.CurveProblems, c.Eval.CurveSamples, c.Slots}
	all := []stages.Stage{
		{Name: Base, Settings: source, Work: p.base},
		{Name: Search, Needs: []Stage{Base}, Settings: []any{c.SearchProblems, c.SearchBlock, c.Search, c.Slots}, Work: p.search},
		{Name: Linearize, Needs: []Stage{Search}, Settings: c.Traces, Work: p.linearize},
		{Name: DirectSFT, Needs: []Stage{Base, Linearize}, Settings: []any{c.SFT, c.BatchExamples}, Work: p.imitate(DirectSFT)},
		{Name: AstroSFT, Needs: []Stage{Base, Linearize}, Settings: []any{c.SFT, c.BatchExamples}, Work: p.imitate(AstroSFT)},
		{Name: AstroRL, Needs: []Stage{AstroSFT}, Settings: []any{c.AstroRL, c.RLProblems, c.Eval.CurveProblems, c.Eval.CurveSamples, c.Slots}, Work: p.learn(AstroRL)},
		{Name: DirectRL, Needs: []Stage{DirectSFT, AstroRL}, Settings: []any{c.DirectRL, c.RLProblems, c.Eval.CurveProblems, c.Eval.CurveSamples, c.Slots}, Work: p.learn(DirectRL)},
		{Name: SPOC, Needs: []Stage{Base, Search, AstroRL}, Settings: []any{c.SPOC, c.spocTraces(), c.SFT, c.BatchExamples, c.Eval, curve}, Work: p.spoc, OnRequest: true},
		{Name: StepKTO, Needs: []Stage{Base, AstroRL}, Settings: []any{c.StepKTO, c.Eval, curve}, Work: p.stepKTO, OnRequest: true},
		{Name: Evaluate, Needs: c.models(), Settings: []any{c.Eval, c.Slots, c.Seed}, Work: p.evaluate},
	}
	return slices.DeleteFunc(all, func(s stages.Stage) bool { return !c.has(s.Name) })
}

// Names lists the stages in order.
func Names() []string { return stages.Names((&Pipeline{}).plan(nil)) }

// Run makes the given stage, or all of them if it is "" but those that are compared with. What is sealed is skipped. A stage whose predecessors are missing is an error
// that names them.
func (p *Pipeline) Run(ctx context.Context, only Stage) error {
	if err := p.Config.Validate(); err != nil {
		return fmt.Errorf("cannot run the recipe: %w", err)
	}
	source, err := p.Config.source()
	if err != nil {
		return fmt.Errorf("cannot run the recipe: %w", err)
	}
	return p.stages().Run(ctx, p.plan(source), only)
}

// stages is where they are left.
func (p *Pipeline) stages() stages.Folder {
	return stages.Folder{Dir: p.Dir, From: p.From, Tell: p.Tell}
}

// folder is where a stage's sealed output is.
func (p *Pipeline) folder(s Stage) string { return p.stages().Path(s) }

// figures reads what a sealed stage kept.
func (p *Pipeline) figures(s Stage, into any) error { return p.stages().Figures(s, into) }

func (p *Pipeline) tell(e Event) {
	if p.Tell != nil {
		p.Tell(e)
	}
}
