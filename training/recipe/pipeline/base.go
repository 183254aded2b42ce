package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gomlx/compute/dtypes"

	"astro/model"
	"astro/training/recipe"
)

// baseFigures are kept of the base model.
type baseFigures struct {
	Source     string  `json:"source"` // a folder's name, or "trained"
	Parameters int64   `json:"parameters"`
	Tokens     int     `json:"tokens"` // trained on here
	Loss       float64 `json:"loss"`
}

// String is the figures in words.
func (f baseFigures) String() string {
	if f.Tokens == 0 {
		return fmt.Sprintf("%d parameters, taken from %s", f.Parameters, f.Source)
	}
	return fmt.Sprintf("%d parameters, trained on %.2fM tokens, last loss %.3f", f.Parameters, float64(f.Tokens)/1e6, f.Loss)
}

// base takes the base model that is there, or trains one.
func (p *Pipeline) base(ctx context.Context, part string) (func(string) error, any, error) {
	c := p.Config
	if c.BaseModel != "" {
		w, err := model.Load(c.BaseModel, p.Device.Backend(), dtypes.Float32, nil)
		if err != nil {
			return nil, nil, err
		}
		if !c.fits(w.Config) {
			w.Free()
			return nil, nil, fmt.Errorf("the model in %s has not the shape of size %s: say --from-scratch", c.BaseModel, c.Size)
		}
		return p.writer(w), baseFigures{Source: filepath.Base(c.BaseModel), Parameters: w.Config.Params()}, nil
	}
	const fewest, most = 10, 500
	every := min(most, max(fewest, c.Base.Optimizer.Steps/10))
	trained, err := c.Base.Train(ctx, p.Device, recipe.Work{Dir: filepath.Join(part, "checkpoints"), EverySteps: every}, func(s recipe.Progress) {
		p.tell(Event{Stage: Base, Done: s.Step, Total: s.Steps, Note: fmt.Sprintf("loss %.4f  %.0f tok/s", s.Loss, s.PerSecond)})
	})
	if err != nil {
		return nil, nil, err
	}
	return p.writer(trained.Weights), baseFigures{Source: "trained", Parameters: c.Base.Model.Params(), Tokens: trained.Tokens, Loss: trained.Loss}, nil
}

// source is what the base model is made from: a recipe, or a model by its weights.
func (c Config) source() (any, error) {
	if c.BaseModel == "" {
		return c.Base, nil
	}
	f, err := os.Open(filepath.Join(c.BaseModel, "model.safetensors"))
	if err != nil {
		return nil, fmt.Errorf("read the base model: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, fmt.Errorf("read the base model: %w", err)
	}
	return []any{filepath.Base(c.BaseModel), hex.EncodeToString(sum.Sum(nil)), c.Base.Domain}, nil
}

// Shaped says whether the model in a folder has the shape of the Config's base model.
func (c Config) Shaped(dir string) bool {
	if _, err := os.Stat(dir); err != nil {
		return false
	}
	m, err := model.LoadConfig(dir)
	return err == nil && c.fits(m)
}

// writer writes weights, which it frees, with the tokenizer.
func (p *Pipeline) writer(w *model.Weights) func(dir string) error {
	return func(dir string) error {
		defer w.Free()
		if err := model.SaveFiles(dir, w, dtypes.Float32); err != nil {
			return err
		}
		return p.Config.domain().WriteTokenizer(dir)
	}
}

// load loads the model of a stage.
func (p *Pipeline) load(s Stage) (*model.Weights, error) {
	return model.Load(p.folder(s), p.Device.Backend(), dtypes.Float32, nil)
}
