package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gomlx/compute/dtypes"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"astro/internal/device"
	"astro/model"
	"astro/training/checkpoint"
	"astro/training/recipe"
	"astro/training/sft"
	"astro/training/trainer"
)

func newTrainCommand() *cobra.Command {
	root := &cobra.Command{Use: "train", Short: "Train a model: on texts (sft), or by rewards (grpo)"}
	root.AddCommand(newTrainSFTCommand(), newTrainGRPOCommand())
	return root
}

// trainFlags are those of both commands.
type trainFlags struct {
	deviceFlags
	model, out, work, compute string
	every                     int
	hub                       hubFlags
}

func (t *trainFlags) add(c *cobra.Command, every int) {
	f := c.Flags()
	f.StringVar(&t.model, "model", "", "what to start from: "+modelUse)
	t.hub.add(c)
	f.StringVar(&t.out, "out", "", "folder of the trained model; one that is there is replaced")
	f.StringVar(&t.work, "work", "", "folder of checkpoints; the same command goes on from the newest (default: none are kept)")
	t.addDevice(c, "")
	f.StringVar(&t.compute, "compute", device.Auto, computeUse)
	f.IntVar(&t.every, "every", every, "steps between two checkpoints")
}

// computeUse is what --compute is.
const computeUse = "what training computes products in: f32, bf16 (what is trained and its optimizer stay f32), or auto, which is bf16 on xla:cuda alone; a run goes on in what it began with"

func parseCompute(s string, d *device.Device) (trainer.Compute, error) {
	return computeOn(s, d.Kind())
}

// computeOn is parseCompute on a kind of device.
func computeOn(s string, kind device.Kind) (trainer.Compute, error) {
	c, err := trainer.ParseCompute(s, kind)
	if err != nil {
		return c, fmt.Errorf("--%w", err)
	}
	return c, nil
}

// addSaving adds the flags of training with little memory: few parameters, few activations.
func addSaving(c *cobra.Command, o *trainer.Config) {
	f, l := c.Flags(), &o.LoRA
	f.BoolVar(&o.LayerCheckpoints, "layer-checkpoints", false, "keep only what comes into each layer for the backward pass: much less memory for a third more time")
	f.IntVar(&l.Rank, "lora-rank", 0, "train a change of this rank in each matrix, in place of the weights (LoRA), which takes less memory and wants about ten times the learning rate; 0 = train all weights")
	f.Float64Var(&l.Alpha, "lora-alpha", 0, "LoRA: the change counts this much over the rank; 0 = as the rank")
	f.StringVar(&l.Matrices, "lora-matrices", "", "LoRA: some of qkv, o, gate_up and down, joined by a comma (default: all)")
}

// begin gives a LoRA its seed and counts the parameters that are trained. If the model cannot be trained so, it frees the weights.
func begin(l *trainer.LoRA, seed uint64, w *model.Weights) (params int64, err error) {
	if l.Rank > 0 {
		l.Seed = seed
	}
	if params, err = l.Params(w.Config); err != nil {
		w.Free()
	}
	return params, err
}

// open loads the model, makes --model its folder, and says in o what to compute in.
func (t *trainFlags) open(ctx context.Context, o *trainer.Config, diagnostics io.Writer) (*device.Device, *model.Weights, error) {
	switch {
	case t.model == "" || t.out == "":
		return nil, nil, errors.New("want --model MODEL and --out DIR")
	case t.every < 1:
		return nil, nil, fmt.Errorf("a checkpoint every %d steps: want at least 1", t.every)
	}
	found, err := t.hub.modelDir(ctx, t.model, diagnostics)
	if err != nil {
		return nil, nil, err
	}
	t.model = found.dir
	d, err := t.openDevice()
	if err != nil {
		return nil, nil, err
	}
	if o.Compute, err = parseCompute(t.compute, d); err != nil {
		return nil, nil, err
	}
	sayDisabled(diagnostics, d.Kind())
	w, err := model.Load(t.model, d.Backend(), o.DType(), nil)
	return d, w, err
}

// write makes the folder of the trained model, which it frees.
func (t *trainFlags) write(w *model.Weights) error {
	defer w.Free()
	err := checkpoint.Write(t.out, func(dir string) error {
		if err := model.SaveFiles(dir, w, dtypes.Float32); err != nil {
			return err
		}
		return t.copyTexts(dir)
	})
	if err != nil {
		return fmt.Errorf("cannot write the model to %s: %w", t.out, err)
	}
	return nil
}

// copyTexts copies the tokenizer and chat template of the model that training started from.
func (t *trainFlags) copyTexts(dir string) error { return recipe.CopyTexts(dir, t.model) }

// stopped says how to go on after a run that was interrupted.
func (t *trainFlags) stopped(err error) error {
	switch {
	case !errors.Is(err, context.Canceled):
		return err
	case t.work == "":
		return errors.New("stopped; nothing is kept without --work DIR")
	}
	return fmt.Errorf("stopped; the same command goes on from %s", t.work)
}

// stepBar draws progress in steps where somebody watches.
func stepBar(w io.Writer, steps int) *progressbar.ProgressBar {
	return progressbar.NewOptions(steps, progressbar.OptionSetWriter(w), progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(),
		progressbar.OptionFullWidth(), progressbar.OptionSetVisibility(isTerminal(w)))
}

// sftFlags are the flags of astro train sft.
type sftFlags struct {
	trainFlags
	data, loss string
	config     sft.Config
}

func newTrainSFTCommand() *cobra.Command {
	s := sftFlags{loss: string(sft.All), config: sft.Default()}
	s.config.RowTokens = 0
	c := &cobra.Command{
		Use:   "sft",
		Short: "Train a model on texts, such as the traces of `astro linearize`",
		Long: "Train a model on texts for some epochs, in a fresh order each, packed into rows. A line of --data has \"tokens\", and\n" +
			"\"prompt_tokens\" or \"weights\" where --loss needs them: the traces of `astro linearize` (docs/formats/trace.md) do.",
		Example: "  astro train sft --model models/countdown-base --data traces/search.jsonl --out models/astro-sft",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return s.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) },
	}
	s.add(c, 200)
	f, o := c.Flags(), &s.config.Optimizer
	f.StringVar(&s.data, "data", "", "JSONL file of examples")
	f.StringVar(&s.loss, "loss", s.loss, "tokens that count: all, completion (those after the prompt) or weights (as the file says)")
	f.IntVar(&s.config.Epochs, "epochs", s.config.Epochs, "times that each example is seen")
	f.Float64Var(&o.PeakLR, "lr", o.PeakLR, "highest learning rate; a large model wants about 3e-6")
	f.Float64Var(&o.FinalLR, "final-lr", o.FinalLR, "learning rate at the end of the cosine, as a fraction of the highest")
	f.Float64Var(&s.config.Warmup, "warmup", s.config.Warmup, "share of the steps over which the learning rate rises")
	f.Float64Var(&o.WeightDecay, "weight-decay", o.WeightDecay, "of matrices")
	f.IntVar(&s.config.Rows, "rows", s.config.Rows, "packed rows of a micro-batch: what memory must hold")
	f.IntVar(&s.config.RowTokens, "row-tokens", 0, "tokens of a row; 0 = as the longest example needs, and at least 256")
	f.IntVar(&s.config.Batches, "batches", s.config.Batches, "micro-batches of one update")
	f.Uint64Var(&s.config.Seed, "seed", s.config.Seed, "of the order of examples")
	addSaving(c, o)
	return c
}

func (s *sftFlags) run(ctx context.Context, out, diagnostics io.Writer) error {
	mode, err := sft.ParseMode(s.loss)
	if err != nil {
		return err
	}
	if s.data == "" {
		return errors.New("want --data FILE")
	}
	d, w, err := s.open(ctx, &s.config.Optimizer, diagnostics)
	if err != nil {
		return err
	}
	examples, err := sft.ReadFile(s.data, mode, w.Config.Vocab)
	if err != nil {
		w.Free()
		return err
	}
	s.fitRows(examples)
	params, err := begin(&s.config.Optimizer.LoRA, s.config.Seed, w)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "training %d parameters on %d examples with %s in %s, loss on %s\n", params, len(examples), d.Kind(), s.config.Optimizer.Compute, mode)
	bar := stepBar(diagnostics, 0)
	trained, err := sft.Train(ctx, d, w, examples, s.config, sft.Work{Dir: s.work, EverySteps: s.every, Extra: s.copyTexts}, func(p sft.Progress) {
		bar.ChangeMax(p.Steps)
		bar.Describe(fmt.Sprintf("epoch %.2f  loss %.4f  %.0f tok/s", p.Epoch, p.Loss, p.PerSecond))
		bar.Set(p.Step) // fails only if the terminal does
	})
	fmt.Fprintln(diagnostics)
	if err != nil {
		return s.stopped(err)
	}
	p := trained.Last
	fmt.Fprintf(out, "trained %d steps, %.2fM tokens, last loss %.4f, %.0f tokens/s\n", p.Steps, float64(p.Tokens)/1e6, p.Loss, p.PerSecond)
	if err := s.write(trained.Weights); err != nil {
		return err
	}
	fmt.Fprintln(out, "wrote", s.out)
	return nil
}

// fitRows chooses the length of rows, if it was not given.
func (s *sftFlags) fitRows(examples []sft.Example) {
	if s.config.RowTokens != 0 {
		return
	}
	s.config.RowTokens = 256
	for _, e := range examples {
		s.config.RowTokens = max(s.config.RowTokens, len(e.Tokens)-1)
	}
}
