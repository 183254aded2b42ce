package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"astro/training/checkpoint"
	"astro/training/recipe/stages"
)

// modelFiles are what a Hugging Face folder of ours has.
var modelFiles = []string{"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}

// Export writes the final astro model of a run as a Hugging Face folder with a model card; a folder that is there is replaced. Only a model
// that was judged is written.
func (p *Pipeline) Export(dir, command string) error {
	var s SeedTable
	if err := p.figures(Evaluate, &s); err != nil {
		return fmt.Errorf("the model is written when it has been judged: %w", err)
	}
	t, err := NewTable([]*Pipeline{p})
	if err != nil {
		return err
	}
	err = checkpoint.Write(dir, func(to string) error {
		return errors.Join(stages.CopyFiles(to, p.folder(AstroRL), modelFiles...), p.boundContext(to), os.WriteFile(filepath.Join(to, "README.md"), []byte(p.card(t, command)), 0o644))
	})
	if err != nil {
		return fmt.Errorf("cannot write the model to %s: %w", dir, err)
	}
	return nil
}

// ContextTokens is the longest text that the arms learnt from by rewards: what is beyond it a model of this size has never seen, and
// it loses its way there.
func (c Config) ContextTokens() int { return promptTokens + c.Eval.AstroTokens }

// boundContext tells whoever serves the model how long its texts may be.
func (p *Pipeline) boundContext(dir string) error {
	n := p.Config.ContextTokens()
	return errors.Join(setNumber(filepath.Join(dir, "config.json"), "max_position_embeddings", n),
		setNumber(filepath.Join(dir, "tokenizer_config.json"), "model_max_length", n))
}

// setNumber changes one member of a JSON file.
func setNumber(path, member string, n int) error {
	var all map[string]any
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return fmt.Errorf("change %s in %s: %w", member, path, err)
	}
	all[member] = n
	return stages.WriteJSON(path, all)
}

// card is the model card.
func (p *Pipeline) card(t *Table, command string) string {
	d, m := p.Config.domain(), p.Config.Base.Model
	var b strings.Builder
	fmt.Fprintf(&b, "# astro-countdown\n\nA Llama of %d parameters that learnt to search in its own words (ASTRO) on the numbers game: combine %d numbers from %d to %d with\n",
		m.Params(), d.Numbers, d.Low, d.High)
	fmt.Fprintf(&b, "+ - * / to reach a target from %d to %d. It tries a derivation, says whether it reaches the target, and goes back if it does not.\n\n", d.TargetLow, d.TargetHigh)
	fmt.Fprintf(&b, "Made by `%s` on %s: search with the base model, traces, supervised learning, then learning by rewards.\n", command, p.Device.Kind())
	fmt.Fprintf(&b, "A user message is a problem, `3 7 2 9 -> 27`; the chat template adds the rest. It is the model astro-rl of this table; no test problem shares\n")
	fmt.Fprintf(&b, "its numbers with a problem that any stage learnt from. Hidden %d, %d layers, %d heads, context %d. Answers have up to %d tokens.\n\n", m.Hidden, m.Layers, m.Heads,
		p.Config.ContextTokens(), p.Config.Eval.AstroTokens)
	b.WriteString(t.Markdown())
	return b.String()
}
