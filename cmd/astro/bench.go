package main

import (
	"encoding/json"
	"fmt"
	"io"

	"astro/benchmarks/step"
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
	on, asJSON, models, form := deviceFlags{}, false, hubFlags{}, formFlags{}
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
			return benchStep(c.OutOrStdout(), found.dir, on, o, asJSON)
		},
	}
	models.add(c)
	form.add(c)
	f := c.Flags()
	on.addDevice(c, "")
	f.IntSliceVar(&o.Batches, "batch", o.Batches, "sequences per decode step")
	f.IntSliceVar(&o.Positions, "positions", o.Positions, "tokens that each sequence has in the cache already")
	f.IntVar(&o.PrefillTokens, "prefill", o.PrefillTokens, "tokens of the timed prompt; 0 = none")
	f.IntVar(&o.Steps, "steps", o.Steps, "timed decode steps per case")
	f.IntVar(&o.PageTokens, "page-tokens", o.PageTokens, "positions per page of the KV cache")
	f.IntVar(&o.TensorParallel, "tensor-parallel", 1, "devices of the backend that the model is spread over")
	f.BoolVar(&asJSON, "json", false, "one JSON object per case")
	return c
}

func benchStep(w io.Writer, dir string, on deviceFlags, o step.Options, asJSON bool) error {
	d, err := on.openDevice()
	if err != nil {
		return err
	}
	to := d.Backend()
	if o.TensorParallel > 1 {
		to = nil // the host's memory, from where each device gets its part
	}
	weights, err := model.Load(dir, to, dtypes.Float32, nil)
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
