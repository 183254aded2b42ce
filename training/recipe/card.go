package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"astro/model"
	"astro/training/checkpoint"

	"github.com/gomlx/compute/dtypes"
)

// Report is what a run of Base gives: the figures of its model card.
type Report struct {
	Recipe   Base
	Command  string // that made the model
	Device   string // it ran on
	Steps    int
	Tokens   int // document tokens trained on
	Loss     float64
	Duration time.Duration // of training alone
	Score    Score         // on test problems
}

// WriteModel writes the model as a Hugging Face folder at dir, tokenizer and model card included; a folder that is
// there is replaced.
func (r Report) WriteModel(dir string, w *model.Weights) error {
	err := checkpoint.Write(dir, func(dir string) error {
		if err := model.SaveFiles(dir, w, dtypes.Float32); err != nil {
			return err
		}
		if err := r.Recipe.Domain.WriteTokenizer(dir); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "README.md"), []byte(r.card()), 0o644)
	})
	if err != nil {
		return fmt.Errorf("cannot write the model to %s: %w", dir, err)
	}
	return nil
}

// card is the model card.
func (r Report) card() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	c, d, m, s := r.Recipe.Model, r.Recipe.Domain, r.Recipe.Mix, r.Score
	p("# countdown-base\n")
	p("A Llama of %d parameters that this project trained from scratch on random play of the numbers game: combine %d numbers", c.Params(), d.Numbers)
	p("from %d to %d with + - * / to reach a target from %d to %d. It writes legal derivations and says truthfully whether they", d.Low, d.High, d.TargetLow, d.TargetHigh)
	p("reach the target, but it plans little: it is the start of the ASTRO recipe (search, SFT, RL), not its result.\n")
	p("Made by `%s` on %s: %d steps, %.2fM tokens in %.0f s (%.0f tokens/s), last loss %.3f.\n", r.Command, r.Device, r.Steps,
		float64(r.Tokens)/1e6, r.Duration.Seconds(), float64(r.Tokens)/r.Duration.Seconds(), r.Loss)
	p("A user message is a problem, `3 7 2 9 -> 27`; the chat template adds the rest. Words outside the vocabulary of %d become `<unk>`.\n", c.Vocab)
	p("| figure on %d problems of test multisets x %d samples, temperature 1 | value | wanted |", s.Problems, s.Samples)
	p("|---|---|---|")
	for _, g := range s.Gates() {
		p("| %s | %.2f %% | %.4g to %.4g %% |", g.Name, 100*g.Value, 100*g.Low, 100*g.High)
	}
	p("| standard error of pass@1 (over problems) | %.2f points | |", 100*s.Pass1SE)
	p("| pass@%d | %.2f %% | |", s.Samples, 100*s.PassN)
	p("| legal steps | %s | |", s.LegalSteps)
	p("| right verdicts on wrong values | %s | |", s.VerdictsWrong)
	p("| right verdicts on the target | %s | |", s.VerdictsRight)
	p("| not a whole legal derivation | %s | |", s.Unfinished)
	p("| tokens per answer | %.1f | |\n", s.MeanTokens)
	p("Architecture: hidden %d, %d layers, %d heads, feed-forward %d, tied head, rope theta %g, context %d. Data: hindsight share %g,", c.Hidden,
		c.Layers, c.Heads, c.FFN, c.Rope.Theta, c.MaxPositions, m.Hindsight)
	p("problems of all, one less and two fewer numbers in proportion %v, notes (neutral texts that restate their problem) %g of the", m.Depths, m.Notes)
	p("tokens; seed %d. Training, validation and test problems share no multiset of numbers.", r.Recipe.Seed)
	return b.String()
}
