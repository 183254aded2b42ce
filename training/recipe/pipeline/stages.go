package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"astro/internal/device"
)

// Stage is one step of the method.
type Stage string

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
type Event struct {
	Stage       Stage
	Done, Total int    // in the unit of the stage
	Note        string // what to say beside a bar; at the end, what came out
	Skipped     bool   // it was made before
	End         bool   // the last one of its stage
}

// Pipeline is one run, of one seed, in one folder.
type Pipeline struct {
	Config Config
	Dir    string
	Device *device.Device
	Tell   func(Event) // nil = nobody is told
}

// work is a stage's own: it does what takes time, keeping what it needs to go on in part, and returns what writes the sealed folder
// from it and the figures that are kept of it.
type work func(ctx context.Context, part string) (fill func(dir string) error, figures any, err error)

// stage is one entry of the plan.
type stage struct {
	name     Stage
	needs    []Stage
	settings any // what decides about it, besides what it needs
	work     work
}

// plan lists the stages in order.
func (p *Pipeline) plan() []stage {
	c := &p.Config
	source := any(c.Base)
	if c.BaseModel != "" {
		source = filepath.Base(c.BaseModel)
	}
	return []stage{
		{Base, nil, source, p.base},
		{Search, []Stage{Base}, []any{c.SearchProblems, c.SearchBlock, c.Search, c.Slots}, p.search},
		{Linearize, []Stage{Search}, c.Traces, p.linearize},
		{DirectSFT, []Stage{Base, Linearize}, []any{c.SFT, c.BatchExamples}, p.imitate(DirectSFT)},
		{AstroSFT, []Stage{Base, Linearize}, []any{c.SFT, c.BatchExamples}, p.imitate(AstroSFT)},
		{AstroRL, []Stage{AstroSFT}, []any{c.AstroRL, c.RLProblems, c.Eval.CurveProblems, c.Eval.CurveSamples, c.Slots}, p.learn(AstroRL)},
		{DirectRL, []Stage{DirectSFT, AstroRL}, []any{c.DirectRL, c.RLProblems, c.Eval.CurveProblems, c.Eval.CurveSamples, c.Slots}, p.learn(DirectRL)},
		{Evaluate, Models, []any{c.Eval, c.Slots, c.Seed}, p.evaluate},
	}
}

// Names lists the stages in order.
func Names() []string {
	var names []string
	for _, s := range (&Pipeline{}).plan() {
		names = append(names, string(s.name))
	}
	return names
}

// Run makes the given stage, or all of them if it is "". What is sealed is skipped. A stage whose predecessors are missing is an error
// that names them.
func (p *Pipeline) Run(ctx context.Context, only Stage) error {
	if err := p.Config.Validate(); err != nil {
		return fmt.Errorf("cannot run the recipe: %w", err)
	}
	plan := p.plan()
	if only != "" && !slices.ContainsFunc(plan, func(s stage) bool { return s.name == only }) {
		return fmt.Errorf("unknown stage %q: want one of %s", only, strings.Join(Names(), ", "))
	}
	marks := map[Stage]string{}
	for _, s := range plan {
		if err := p.run(ctx, s, only == "" || s.name == only, marks); err != nil {
			return fmt.Errorf("stage %s: %w", s.name, err)
		}
	}
	return nil
}

// run makes one stage, if it is wanted and not there. marks holds the fingerprints of those before it that are there.
func (p *Pipeline) run(ctx context.Context, s stage, wanted bool, marks map[Stage]string) error {
	was, err := readSeal(p.folder(s.name))
	if err != nil {
		return err
	}
	mark, missing := s.mark(marks)
	switch {
	case was != nil && missing == nil && was.Mark != mark:
		return fmt.Errorf("%s was made with other settings, or from other stages: choose another --work, or remove it to make it anew", p.folder(s.name))
	case was != nil:
		marks[s.name] = was.Mark
		if wanted {
			p.tell(Event{Stage: s.name, Skipped: true, End: true, Note: was.Note})
		}
		return nil
	case !wanted:
		return nil
	case missing != nil:
		return fmt.Errorf("it needs %s, not there in %s: run them with --stage, or everything without it", strings.Join(missing, " and "), p.Dir)
	}
	if err := p.make(ctx, s, mark); err != nil {
		return err
	}
	marks[s.name] = mark
	return nil
}

// mark is the fingerprint of a stage: its settings and those of what it needs. missing lists what is not there.
func (s stage) mark(marks map[Stage]string) (mark string, missing []string) {
	before := []string{string(s.name)}
	for _, n := range s.needs {
		if marks[n] == "" {
			missing = append(missing, string(n))
		}
		before = append(before, marks[n])
	}
	return fingerprint([]any{before, s.settings}), missing
}

// make runs a stage and seals what it leaves.
func (p *Pipeline) make(ctx context.Context, s stage, mark string) error {
	part := p.folder(s.name) + ".part"
	if err := os.MkdirAll(part, 0o755); err != nil {
		return fmt.Errorf("make a folder to work in: %w", err)
	}
	if err := claim(part, mark); err != nil {
		return err
	}
	begin := now()
	fill, figures, err := s.work(ctx, part)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopped; the same command goes on: %w", err)
		}
		return err
	}
	seconds := begin.seconds()
	note := fmt.Sprint(figures)
	if err := seal(p.folder(s.name), sealed{Stage: s.name, Mark: mark, Settings: s.settings, Seconds: seconds, Note: note}, figures, fill); err != nil {
		return err
	}
	p.tell(Event{Stage: s.name, End: true, Note: fmt.Sprintf("%s (%.0f s)", note, seconds)})
	return os.RemoveAll(part)
}

func (p *Pipeline) tell(e Event) {
	if p.Tell != nil {
		p.Tell(e)
	}
}

// folder is where a stage's sealed output is.
func (p *Pipeline) folder(s Stage) string { return filepath.Join(p.Dir, string(s)) }
