package mathrecipe

import (
	"context"
	"fmt"

	"astro/internal/device"
	"astro/training/recipe/stages"
	"astro/training/search"
)

// The stages, in the order in which they run. The astro arm learns before the direct one, which is given as many tokens.
const (
	Search    stages.Name = "search"
	Linearize stages.Name = "linearize"
	DirectSFT stages.Name = "direct-sft"
	AstroSFT  stages.Name = "astro-sft"
	AstroRL   stages.Name = "astro-rl"
	DirectRL  stages.Name = "direct-rl"
	Evaluate  stages.Name = "eval"
)

// Base is the arm of the table that nothing was taught: the model that was given.
const Base stages.Name = "base"

// Models are the arms of the table.
var Models = []stages.Name{Base, DirectSFT, AstroSFT, DirectRL, AstroRL}

// Pipeline is one run in one folder.
type Pipeline struct {
	Config      Config
	Model       string // Hugging Face folder
	Name        string // of the model, for people; "" = that of its folder
	Problems    Problems
	Dir         string
	Device      *device.Device
	MemoryBytes int64                // that may be used on the device; 0 = nothing is checked
	Tell        func(stages.Event)   // nil = nobody is told
	Policy      func() search.Policy // that search draws from, made for each block of trees; nil = the model
}

// Names lists the stages in order.
func Names() []string { return stages.Names((&run{Pipeline: &Pipeline{}}).plan()) }

// Run makes the given stage, or all of them if it is "". What is sealed is skipped. It says what is wrong with the model, the problems, the
// settings or the memory before anything is loaded.
func (p *Pipeline) Run(ctx context.Context, only stages.Name) error {
	if err := p.Config.Validate(); err != nil {
		return fmt.Errorf("cannot run the recipe: %w", err)
	}
	r, err := p.open()
	if err != nil {
		return fmt.Errorf("cannot run the recipe: %w", err)
	}
	return p.stages().Run(ctx, r.plan(), only)
}

// plan lists the stages in order.
func (r *run) plan() []stages.Stage {
	c := &r.config
	searched := []any{r.identity, r.trained, r.text.String(), c.Search, c.Temperature, c.SearchBlock, c.Slots, c.ContextTokens}
	taught := []any{r.identity, c.SFT, c.BatchExamples, c.BatchTokens}
	learnt := []any{c.RL, r.trained, r.validated, c.Eval.CurveSamples, c.Slots}
	return []stages.Stage{
		{Name: Search, Settings: searched, Work: r.search},
		{Name: Linearize, Needs: []stages.Name{Search}, Settings: []any{c.Traces, c.Prose}, Work: r.linearize},
		{Name: DirectSFT, Needs: []stages.Name{Linearize}, Settings: taught, Work: r.imitate(DirectSFT)},
		{Name: AstroSFT, Needs: []stages.Name{Linearize}, Settings: taught, Work: r.imitate(AstroSFT)},
		{Name: AstroRL, Needs: []stages.Name{AstroSFT}, Settings: learnt, Work: r.learn(AstroRL)},
		{Name: DirectRL, Needs: []stages.Name{DirectSFT, AstroRL}, Settings: learnt, Work: r.learn(DirectRL)},
		{Name: Evaluate, Needs: Models[1:], Settings: []any{c.Eval, c.RL.MaxTokens, c.Slots, c.Seed, r.tested}, Work: r.evaluate},
	}
}

// stages is where they are left.
func (p *Pipeline) stages() stages.Folder { return stages.Folder{Dir: p.Dir, Tell: p.Tell} }

func (p *Pipeline) tell(s stages.Name, done, total int, note string) {
	if p.Tell != nil {
		p.Tell(stages.Event{Stage: s, Done: done, Total: total, Note: note})
	}
}
