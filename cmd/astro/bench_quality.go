package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"astro/benchmarks/quality"
	"astro/kernels/native"
	"astro/model"
	"astro/model/tokenizer"

	"github.com/gomlx/compute/dtypes"
	"github.com/spf13/cobra"
)

// benchQualityFlags are the flags of astro bench quality.
type benchQualityFlags struct {
	options      quality.Options
	forms        []string
	data         string
	texts        int
	promptTokens int
	seed         uint64
	deviceFlags
	kernels formFlags
	hub     hubFlags
	asJSON  bool
}

func newBenchQualityCommand() *cobra.Command {
	b := benchQualityFlags{options: quality.Options{Answers: 64, MaxTokens: 128}, texts: 200, promptTokens: 32, seed: 1}
	for _, f := range quality.DefaultForms() {
		b.forms = append(b.forms, f.String())
	}
	c := &cobra.Command{
		Use:   "quality MODEL",
		Short: "Measure what a model loses in fewer bits: perplexity, log-probabilities and greedy answers against the plain graph in f32",
		Long: "Run a model in each form over the same texts, and print how far it is from the plain graph in f32: perplexity, divergence,\n" +
			"log-probabilities, the most probable token at each position, and greedy answers.\n" +
			"Models of the numbers game read documents of its test numbers that are made on the spot; others need --data.",
		Example: "  astro bench quality models/astro-countdown\n  astro bench quality MODEL.gguf --data texts.jsonl --forms int8,int8/bf16",
		Args:    cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&b.data, "data", "", "file of texts, on each line a JSON string or {\"text\": ...}; \"\" = made ones, for models of the numbers game")
	f.IntVar(&b.texts, "texts", b.texts, "texts to read, the first ones of --data; 0 = all of it")
	f.IntVar(&b.options.Answers, "answers", b.options.Answers, "of them that are answered greedily; 0 = none")
	f.IntVar(&b.options.MaxTokens, "max-tokens", b.options.MaxTokens, "longest answer")
	f.IntVar(&b.promptTokens, "prompt-tokens", b.promptTokens, "tokens of a text of --data that are its prompt, at most half of it")
	f.StringSliceVar(&b.forms, "forms", b.forms, "forms to compare: WEIGHTS/KV, as --weights and --kv of serve have them")
	f.Uint64Var(&b.seed, "seed", b.seed, "of made texts")
	b.addDevice(c, "; native kernels are on xla:cpu")
	f.BoolVar(&b.asJSON, "json", false, "print the report as JSON")
	b.kernels.addKernels(c)
	b.hub.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := b.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr()); err != nil {
			return fmt.Errorf("bench quality: %w", err)
		}
		return nil
	}
	return c
}

// run measures and prints the report.
func (b *benchQualityFlags) run(ctx context.Context, where string, out, diagnostics io.Writer) error {
	if err := b.complete(); err != nil {
		return err
	}
	found, err := b.hub.modelDir(ctx, where, diagnostics)
	if err != nil {
		return err
	}
	c, err := model.LoadConfig(found.dir)
	if err != nil {
		return err
	}
	tok, err := tokenizer.LoadModel(found.dir)
	if err != nil {
		return err
	}
	texts, data, err := b.read(c, tok)
	if err != nil {
		return err
	}
	report, err := b.measure(found.dir, texts, diagnostics)
	if err != nil {
		return err
	}
	report.Model, report.Data = found.String(), data
	if b.asJSON {
		_, err = out.Write(report.JSON())
	} else {
		_, err = io.WriteString(out, report.Text())
	}
	return err
}

// complete reads what can be wrong without a model.
func (b *benchQualityFlags) complete() error {
	switch {
	case b.texts < 0 || b.texts == 0 && b.data == "":
		return fmt.Errorf("--texts %d: want at least 1, or 0 for all of --data", b.texts)
	case b.options.Answers < 0:
		return fmt.Errorf("--answers %d: want at least 0", b.options.Answers)
	case b.options.MaxTokens < 1:
		return fmt.Errorf("--max-tokens %d: want at least 1", b.options.MaxTokens)
	case b.promptTokens < 1:
		return fmt.Errorf("--prompt-tokens %d: want at least 1", b.promptTokens)
	case len(b.forms) == 0:
		return errors.New("--forms: want at least one, as int8 or int8/bf16")
	}
	b.options.Forms = nil
	for _, name := range b.forms {
		f, err := quality.ParseForm(name)
		if err != nil {
			return fmt.Errorf("--forms: %w", err)
		}
		if f != quality.Truth && !slices.Contains(b.options.Forms, f) { // the truth is measured anyway
			b.options.Forms = append(b.options.Forms, f)
		}
	}
	if len(b.options.Forms) == 0 {
		return fmt.Errorf("--forms %v: want one besides %s, which all are compared with", b.forms, quality.Truth)
	}
	return b.kernels.useKernels()
}

// measure loads the weights in f32 and runs all forms on them.
func (b *benchQualityFlags) measure(dir string, texts []quality.Text, diagnostics io.Writer) (quality.Report, error) {
	d, err := b.openDevice()
	if err != nil {
		return quality.Report{}, err
	}
	weights, err := model.Load(dir, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		return quality.Report{}, err
	}
	policy := model.NewPolicy(1, weights)
	defer policy.Release()
	report, err := quality.Run(d, policy, texts, b.options, func(f quality.Form) { fmt.Fprintln(diagnostics, "running", f) })
	report.Level = native.Used().String()
	return report, err
}
