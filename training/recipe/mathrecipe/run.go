package mathrecipe

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"

	"astro/model"
	"astro/model/chat"
	"astro/model/gguf"
	"astro/model/tokenizer"
	"astro/training/recipe"
	"astro/training/recipe/stages"
	"astro/training/reward"
	"astro/training/search"
)

// run is a Pipeline with its model's texts read and its problems made into prompts.
type run struct {
	*Pipeline
	config   Config // fitted to the model
	base     model.Config
	text     recipe.SearchText
	identity string // of the model
	longest  int    // prompt, in tokens
	skipped  Skipped

	train, validation, test    []search.Problem
	trained, validated, tested string // fingerprints of them
}

// open reads what is small and checks everything that can be checked without the weights.
func (p *Pipeline) open() (*run, error) {
	r := &run{Pipeline: p, skipped: p.Problems.Skipped}
	var err error
	if r.base, err = model.LoadConfig(p.Model); err != nil {
		return nil, err
	}
	if r.identity, err = identityOf(p.Model); err != nil {
		return nil, err
	}
	if err := r.openText(); err != nil {
		return nil, err
	}
	longest, err := r.adaptAll()
	if err != nil {
		return nil, err
	}
	if r.config, err = p.Config.fit(r.base, longest); err != nil {
		return nil, err
	}
	r.text.MaxStepTokens, r.text.MaxAnswerTokens = r.config.StepTokens, r.config.AnswerTokens
	if _, err := r.adaptAll(); err != nil { // with these bounds
		return nil, err
	}
	r.longest = longest
	return r, r.checkMemory(longest)
}

// openText reads the tokenizer and the chat template; a model without one is given the instruction alone.
func (r *run) openText() error {
	tok, err := tokenizer.LoadModel(r.Model)
	if err != nil {
		return err
	}
	template, err := tokenizer.LoadTemplate(r.Model)
	if err != nil && !errors.Is(err, chat.ErrNoTemplate) {
		return err
	}
	if errors.Is(err, chat.ErrNoTemplate) {
		template = nil
	}
	r.text = recipe.DefaultSearchText(tok, template, r.Pipeline.Config.Steps)
	if own := r.Pipeline.Config.Instruction; own != "" {
		r.text.Instruction = own
	}
	return errors.Join(r.text.Validate(), r.checkEnd())
}

// checkEnd says whether the end that traces teach is one at which the model stops.
func (r *run) checkEnd() error {
	tokenize, err := recipe.TextTokens(r.Model)
	if err != nil {
		return err
	}
	ids, _, err := tokenize("")
	if err != nil {
		return err
	}
	if end := ids[len(ids)-1]; !slices.Contains(r.base.EOS, end) {
		return fmt.Errorf("eos_token of tokenizer_config.json is token %d, the model ends at %v: add it to eos_token_id of generation_config.json, or its answers would never end", end, r.base.EOS)
	}
	return nil
}

// adaptAll makes prompts of all problems and says how long the longest is.
func (r *run) adaptAll() (longest int, err error) {
	r.skipped = r.Problems.Skipped.copy()
	for _, part := range []struct {
		name  string
		lines []recipe.ProblemLine
		to    *[]search.Problem
		mark  *string
	}{{"to learn from", r.Problems.Train, &r.train, &r.trained}, {"to validate on", r.Problems.Validation, &r.validation, &r.validated},
		{"to judge models on", r.Problems.Test, &r.test, &r.tested}} {
		*part.to = r.adapt(part.lines)
		if len(*part.to) == 0 {
			return 0, fmt.Errorf("no problem %s is left (left out: %s; the first was %w): give others, or raise the bound for prompts", part.name, r.skipped, r.skipped.First)
		}
		for _, p := range *part.to {
			longest = max(longest, len(p.Domain.Prompt()))
		}
		*part.mark = markOf(*part.to)
	}
	return longest, nil
}

// adapt makes search problems of lines. Those that cannot be asked or graded are left out and counted.
func (r *run) adapt(lines []recipe.ProblemLine) (list []search.Problem) {
	for _, l := range lines {
		p, err := r.text.Problem(l.ID, l.Problem, l.Answer)
		switch {
		case strings.TrimSpace(l.Answer) == "":
			r.skipped.add(l.Line, noAnswer)
		case err != nil:
			r.skipped.add(l.Line, noPrompt)
		case len(p.Domain.Prompt()) > r.Pipeline.Config.PromptTokens:
			r.skipped.add(l.Line, tooLong)
		case !readable(l.Answer):
			r.skipped.add(l.Line, badAnswer)
		default:
			list = append(list, p)
		}
	}
	return list
}

// readable says whether an answer, stated just as it is known, would be found right: what is not could never be.
func readable(gold string) bool {
	stated := gold
	if !strings.Contains(gold, `\boxed`) {
		stated = `\boxed{` + gold + `}`
	}
	return reward.Verify(gold, stated, reward.Options{}).Correct
}

func markOf(problems []search.Problem) string {
	h := sha256.New()
	for _, p := range problems {
		fmt.Fprintf(h, "%q %q %q\n", p.ID, p.Text, p.Gold)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// identityOf tells models apart by their shape, their tokenizer, and the ends of their weight files: to read gigabytes for it takes longer
// than it is worth.
func identityOf(dir string) (string, error) {
	if gguf.Is(dir) {
		return identityOfFile(dir)
	}
	weights, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		return "", fmt.Errorf("look for weights in %s: %w", dir, err)
	}
	if len(weights) == 0 {
		return "", fmt.Errorf("%s holds no weights (*.safetensors): name a Hugging Face folder of a Llama model, or a GGUF file", dir)
	}
	h := sha256.New()
	for _, path := range slices.Concat([]string{filepath.Join(dir, "config.json"), filepath.Join(dir, "tokenizer.json")}, weights) {
		if err := addEnds(h, path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// identityOfFile is identityOf for a GGUF file, with the tokenizer that stands beside it.
func identityOfFile(path string) (string, error) {
	h := sha256.New()
	if err := addEnds(h, path); err != nil {
		return "", err
	}
	if err := addEnds(h, filepath.Join(filepath.Dir(path), gguf.TokenizerName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// addEnds hashes the size of a file, its beginning and its end.
func addEnds(h io.Writer, path string) error {
	const endBytes = 1 << 20
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintln(h, filepath.Base(path), info.Size())
	for _, from := range []int64{0, max(0, info.Size()-endBytes)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, from, endBytes)); err != nil {
			return err
		}
	}
	return nil
}

// load loads the weights of an arm; Base's are the model that was given.
func (r *run) load(arm stages.Name) (*model.Weights, error) {
	dir := r.Model
	if arm != Base {
		dir = r.stages().Path(arm)
	}
	return model.Load(dir, r.Device.Backend(), dtypes.Float32, nil)
}

// writer writes weights, which it frees, with the tokenizer and template of the model that was given.
func (r *run) writer(w *model.Weights) func(dir string) error {
	return func(dir string) error {
		defer w.Free()
		return errors.Join(model.SaveFiles(dir, w, dtypes.Float32), recipe.CopyTexts(dir, r.Model))
	}
}

// figures reads what a sealed stage kept.
func (r *run) figures(s stages.Name, into any) error { return r.stages().Figures(s, into) }

// lines are problems as rewards take them.
func lines(problems []search.Problem) (list []recipe.ProblemLine) {
	for i, p := range problems {
		list = append(list, recipe.ProblemLine{ID: p.ID, Problem: p.Text, Answer: p.Gold, Line: i + 1})
	}
	return list
}
