// Package stages runs a plan of stages that build on each other. Each leaves a sealed folder, which appears whole or not at all; what is
// sealed is not made again. A seal holds a fingerprint of everything that decided about it, so that nothing is taken for what it is not.
package stages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Name is a stage's, and that of its folder.
type Name string

// Event is where a stage stands.
type Event struct {
	Stage       Name
	Done, Total int    // in the unit of the stage
	Note        string // what to say beside a bar; at the end, what came out
	Skipped     bool   // it was made before
	End         bool   // the last one of its stage
}

// Work is a stage's own: it does what takes time, keeping what it needs to go on in part, and returns what writes the sealed folder
// from it (nil = nothing) and the figures that are kept of it. A context.Canceled from it is a stop, after which the same call goes on.
type Work func(ctx context.Context, part string) (fill func(dir string) error, figures any, err error)

// Stage is one entry of a plan, behind all those that it needs.
type Stage struct {
	Name      Name
	Needs     []Name
	Settings  any // what decides about it, besides what it needs; must be JSON
	Work      Work
	OnRequest bool // it is run only where it is named, never with all others
}

// Folder is where a plan leaves its stages.
type Folder struct {
	Dir  string
	From string      // another such Folder, from which stages of the very same fingerprint are taken; "" = none
	Tell func(Event) // nil = nobody is told
}

// Run makes the given stage of a plan, or all of them if it is "" but those that are run on request. What is sealed is
// skipped. A stage whose predecessors are missing is an error that names them.
func (f Folder) Run(ctx context.Context, plan []Stage, only Name) error {
	if only != "" && !slices.ContainsFunc(plan, func(s Stage) bool { return s.Name == only }) {
		return fmt.Errorf("unknown stage %q: want one of %s", only, strings.Join(Names(plan), ", "))
	}
	marks := map[Name]string{}
	for _, s := range plan {
		if err := f.run(ctx, s, s.Name == only || only == "" && !s.OnRequest, marks); err != nil {
			return fmt.Errorf("stage %s: %w", s.Name, err)
		}
	}
	return nil
}

// Names lists the stages of a plan in order.
func Names(plan []Stage) []string {
	var names []string
	for _, s := range plan {
		names = append(names, string(s.Name))
	}
	return names
}

// run makes one stage, if it is wanted and not there. marks holds the fingerprints of those before it that are there.
func (f Folder) run(ctx context.Context, s Stage, wanted bool, marks map[Name]string) error {
	was, err := f.Seal(s.Name)
	if err != nil {
		return err
	}
	mark, missing := s.mark(marks)
	switch {
	case was != nil && missing == nil && was.Mark != mark:
		return fmt.Errorf("%s was made with other settings, or from other stages: choose another --work, or remove it to make it anew", f.Path(s.Name))
	case was != nil:
		marks[s.Name] = was.Mark
		if wanted {
			f.tell(Event{Stage: s.Name, Skipped: true, End: true, Note: was.Note})
		}
		return nil
	case !wanted:
		return nil
	case missing != nil:
		return fmt.Errorf("it needs %s, not there in %s: run them with --stage, or everything without it", strings.Join(missing, " and "), f.Dir)
	}
	taken, err := f.take(s.Name, mark)
	if err == nil && !taken {
		err = f.make(ctx, s, mark)
	}
	if err != nil {
		return err
	}
	marks[s.Name] = mark
	return nil
}

// mark is the fingerprint of a stage: its settings and those of what it needs. missing lists what is not there.
func (s Stage) mark(marks map[Name]string) (mark string, missing []string) {
	before := []string{string(s.Name)}
	for _, n := range s.Needs {
		if marks[n] == "" {
			missing = append(missing, string(n))
		}
		before = append(before, marks[n])
	}
	return fingerprint([]any{before, s.Settings}), missing
}

// make runs a stage and seals what it leaves.
func (f Folder) make(ctx context.Context, s Stage, mark string) error {
	part := f.Path(s.Name) + ".part"
	if err := os.MkdirAll(part, 0o755); err != nil {
		return fmt.Errorf("make a folder to work in: %w", err)
	}
	if err := claim(part, mark); err != nil {
		return err
	}
	begin := now()
	fill, figures, err := s.Work(ctx, part)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopped; the same command goes on: %w", err)
		}
		return err
	}
	seconds := begin.seconds()
	note := fmt.Sprint(figures)
	if err := seal(f.Path(s.Name), Sealed{Stage: s.Name, Mark: mark, Settings: s.Settings, Seconds: seconds, Note: note}, figures, fill); err != nil {
		return err
	}
	f.tell(Event{Stage: s.Name, End: true, Note: fmt.Sprintf("%s (%.0f s)", note, seconds)})
	return os.RemoveAll(part)
}

func (f Folder) tell(e Event) {
	if f.Tell != nil {
		f.Tell(e)
	}
}

// Path is where a stage's sealed output is.
func (f Folder) Path(s Name) string { return filepath.Join(f.Dir, string(s)) }
