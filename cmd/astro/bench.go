package main

import (
	"encoding/json"
	"fmt"
	"io"

	"astro/benchmarks/step"
	"astro/internal/device"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	"github.com/spf13/cobra"
)

func newBenchCommand() *cobra.Command {
	bench := &cobra.Command{Use: "bench", Short: "Measure the engine, or any OpenAI server"}
	bench.AddCommand(newBenchStepCommand(), newBenchQualityCommand(), newBenchTrainCommand(), newBenchLoadCommand(), newBenchMathCommand(), newBenchCompareCommand())
	return bench
}

func newBenchStepCommand() *cobra.Command {
	o := step.DefaultOptions()
	backend, asJSON, models, form := device.Auto, false, hubFlags{}, formFlags{}
	c := &cobra.Command{
		Use:   "step MODEL",
		Short: "Time decode and prefill steps of a model in process, without HTTP",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := models.modelDir(c.Context(), args[0], c.ErrOrStderr())
			if err != nil {
				return err
			}
			if o.Form, o.KVType, err = form.read(dtypes.Float32); err != nil {
				return err
			}
			return benchStep(c.OutOrStdout(), found.dir, backend, o, asJSON)
		},
	}
	models.add(c)
	form.add(c)
	f := c.Flags()
	f.StringVar(&backend, "backend", backend, "auto, go, xla:cpu or xla:cuda")
	f.IntSliceVar(&o.Batches, "batch", o.Batches, "sequences per decode step")
	f.IntSliceVar(&o.Positions, "positions", o.Positions, "tokens that each sequence has in the cache already")
	f.IntVar(&o.PrefillTokens, "prefill", o.PrefillTokens, "tokens of the timed prompt; 0 = none")
	f.IntVar(&o.Steps, "steps", o.Steps, "timed decode steps per case")
	f.IntVar(&o.StepsPerCall, "steps-per-call", o.StepsPerCall, "tokens of each sequence in one decode step")
	f.IntVar(&o.PageTokens, "page-tokens", o.PageTokens, "positions per page of the KV cache")
	f.BoolVar(&asJSON, "json", false, "one JSON object per case")
	return c
}

func benchStep(w io.Writer, dir, backend string, o step.Options, asJSON bool) error {
	d, err := device.Open(device.Options{Backend: backend, CacheDir: device.DefaultCacheDir()})
	if err != nil {
		return err
	}
	weights, err := model.Load(dir, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		return err
	}
	policy := model.NewPolicy(1, weights)
	defer policy.Release()
	return step.Run(d, policy, o, func(m step.Measurement) {
		if asJSON {
			json.NewEncoder(w).Encode(m)
			return
		}
		fmt.Fprintf(w, "%s %s batch %d position %d: best %.2f ms, median %.2f ms, %.1f tokens/s, host %.1f %%\n",
			d.Kind(), m.Case, m.Batch, m.Position, m.BestMillis, m.MedianMillis, m.TokensPerSecond, 100*m.HostShare)
	})
}
