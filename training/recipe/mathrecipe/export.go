package mathrecipe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"astro/training/checkpoint"
	"astro/training/recipe/stages"
)

// Export writes the final astro model of a run as a Hugging Face folder with a model card; a folder that is there is replaced. Only a model
// that was judged is written.
func (p *Pipeline) Export(dir, command string) error {
	t, err := NewTable(p)
	if err != nil {
		return fmt.Errorf("the model is written when it has been judged: %w", err)
	}
	from := p.stages().Path(AstroRL)
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("read the final model: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != stages.SealName {
			names = append(names, e.Name())
		}
	}
	err = checkpoint.Write(dir, func(to string) error {
		return errors.Join(stages.CopyFiles(to, from, names...), os.WriteFile(filepath.Join(to, "README.md"), []byte(t.card(command, string(p.Device.Kind()))), 0o644))
	})
	if err != nil {
		return fmt.Errorf("cannot write the model to %s: %w", dir, err)
	}
	return nil
}

// card is the model card.
func (t *Table) card(command, backend string) string {
	return fmt.Sprintf("# %s, taught to search\n\n%s that learnt to search in its own words (ASTRO): it works in steps, reflects on them, and goes back where they lead nowhere.\n"+
		"Made by `%s` on %s: search with the model itself, traces, supervised learning, then learning by rewards. It is the model astro-rl of this table; no\n"+
		"test problem is one that any stage learnt from.\n\n%s", t.Model, t.Model, command, backend, t.Markdown())
}
