package learning

import (
	"errors"
	"io/fs"

	"astro/training/recipe/stages"
)

// journal is what is known of a learning: its steps in order, and the points of its curve. It is kept on disk whenever there is a new
// step, so that a checkpoint never knows of more steps than the journal.
type journal struct {
	Steps []Step  `json:"steps"`
	Curve []Point `json:"curve"`
	path  string
	err   error // of a write that failed in between; save reports it
}

// open reads what is there.
func (j *journal) open(path string) error {
	if err := stages.ReadJSON(path, j); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	j.path = path
	return nil
}

// add notes a step in place of one of the same number: after a kill, steps since the last checkpoint are made again.
func (j *journal) add(s Step) {
	for len(j.Steps) > 0 && j.Steps[len(j.Steps)-1].Step >= s.Step {
		j.Steps = j.Steps[:len(j.Steps)-1]
	}
	j.Steps = append(j.Steps, s)
	j.err = errors.Join(j.err, stages.WriteJSON(j.path, j))
}

func (j *journal) save() error { return errors.Join(j.err, stages.WriteJSON(j.path, j)) }

// last is the step of the newest point.
func (j *journal) last() int { return j.Curve[len(j.Curve)-1].Step }

// tokens is what was drawn up to a step.
func (j *journal) tokens(step int) int {
	n := 0
	for _, s := range j.Steps {
		if s.Step <= step {
			n += s.Tokens
		}
	}
	return n
}
