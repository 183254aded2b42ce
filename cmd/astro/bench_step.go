package main

import (
	"encoding/json"
	"fmt"
	"io"

	"astro/benchmarks/step"
	"astro/engine"
	"astro/model"

	"github.com/spf13/cobra"
)

// benchStepFlags are those of `bench step`; a list or number that was not given is one of the defaults for the kind of weights.
type benchStepFlags struct {
	benchFlags
	form    formFlags
	dtype   string
	cases   step.Options
	changed func(flag string) bool
}

func newBenchStepCommand() *cobra.Command {
	o := benchStepFlags{cases: step.DefaultOptions()}
	c := &cobra.Command{
		Use:   "step MODEL | --random-weights 1b|3b|8b",
		Short: "Time decode and prefill steps of a model in process, without HTTP, beside what the device could do",
		Long: "Time decode and prefill steps of a model in process, without HTTP. Beside each decode stands which part it is of the time in which the device could\n" +
			"read the weights once and every sequence's keys and values; beside each prefill, which part of the operations that it could compute: by rates that\n" +
			"are measured first (a copy, a product), and by published ones where they are known. What does not fit into memory is left out, with the reason.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.changed = c.Flags().Changed
			if err := o.run(c, args); err != nil {
				return fmt.Errorf("bench step: %w", err)
			}
			return nil
		},
	}
	o.add(c)
	o.form.add(c)
	f, d, large := c.Flags(), step.DefaultOptions(), step.LargeOptions()
	f.StringVar(&o.dtype, "dtype", "", "of the weights: f32 or bf16; none = bf16 with --random-weights, else f32")
	f.IntSliceVar(&o.cases.Batches, "batch", d.Batches, fmt.Sprintf("sequences per decode step; with --random-weights %v", large.Batches))
	f.IntSliceVar(&o.cases.Positions, "positions", d.Positions, fmt.Sprintf("tokens that each sequence has in the cache already; with --random-weights %v", large.Positions))
	f.IntSliceVar(&o.cases.Prefill, "prefill", d.Prefill, fmt.Sprintf("tokens of timed prompts; 0 = none; with --random-weights %v", large.Prefill))
	f.IntVar(&o.cases.Steps, "steps", d.Steps, fmt.Sprintf("timed decode steps per case; with --random-weights %d", large.Steps))
	f.IntVar(&o.cases.PageTokens, "page-tokens", d.PageTokens, "positions per page of the KV cache")
	f.IntVar(&o.cases.ChunkTokens, "chunk-tokens", d.ChunkTokens, "prompt tokens in one step, at most")
	f.IntVar(&o.cases.StepsPerCall, "steps-per-call", 1, "tokens of each sequence in one decode step")
	f.IntVar(&o.tensorParallel, "tensor-parallel", 1, "devices of the backend that the model is spread over")
	f.Int64Var(&o.cases.GatherBytes, "gather-bytes", 1<<30, "keys and values that one layer's attention gathers at once, at most; larger batches are split")
	return c
}

func (o *benchStepFlags) run(c *cobra.Command, args []string) error {
	if o.dtype == "" {
		o.dtype = "f32"
		if o.random != "" {
			o.dtype = "bf16"
		}
	}
	dtype, err := model.ParseDType(o.dtype)
	if err != nil {
		return err
	}
	cases := o.options()
	if cases.Form, cases.KVType, err = o.form.read(dtype); err != nil {
		return err
	}
	if err := cases.Validate(); err != nil {
		return err
	}
	s, err := o.open(c, args, dtype)
	if err != nil {
		return err
	}
	if cases.Form, err = cases.Form.On(s.device.Kind(), s.devices); err != nil {
		return fmt.Errorf("--weights: %w", err)
	}
	s.int8 = cases.Form == engine.FormGraphInt8
	cases.TensorParallel = o.tensorParallel
	cases.AvailableBytes, cases.Model, cases.Device, cases.Peaks = s.available, s.model, s.deviceName, s.peaks
	return s.steps(cases, func(m step.Measurement) { printCase(c.OutOrStdout(), m, o.asJSON) })
}

// options are the cases: those of the kind of weights, where flags say nothing else.
func (o *benchStepFlags) options() step.Options {
	cases := o.cases
	if o.random != "" {
		large := step.LargeOptions()
		for flag, list := range map[string][2]*[]int{"batch": {&cases.Batches, &large.Batches}, "positions": {&cases.Positions, &large.Positions},
			"prefill": {&cases.Prefill, &large.Prefill}} {
			if !o.changed(flag) {
				*list[0] = *list[1]
			}
		}
		if cases.Prefills = large.Prefills; !o.changed("steps") {
			cases.Steps = large.Steps
		}
	}
	if len(cases.Prefill) == 1 && cases.Prefill[0] == 0 {
		cases.Prefill = nil
	}
	return cases
}

// steps times the cases on the subject's weights.
func (s *subject) steps(cases step.Options, report func(step.Measurement)) error {
	weights, err := s.weights()
	if err != nil {
		return err
	}
	policy := model.NewPolicy(1, weights)
	defer policy.Release()
	return step.Run(s.device, policy, cases, report)
}

func printCase(w io.Writer, m step.Measurement, asJSON bool) {
	if asJSON {
		json.NewEncoder(w).Encode(m)
		return
	}
	what := fmt.Sprintf("%s (%s) %s %s %s batch %d position %d", m.Backend, m.Device, m.Model, m.DType, m.Case, m.Batch, m.Position)
	bound := fmt.Sprintf("%.2f GB to read, %s", float64(m.Bytes)/1e9, shareText(m.OfBandwidth))
	if m.Case == "prefill" {
		what = fmt.Sprintf("%s (%s) %s %s prefill of %d", m.Backend, m.Device, m.Model, m.DType, m.Tokens)
		bound = fmt.Sprintf("%.3f TFLOP, %s", float64(m.FLOPs)/1e12, shareText(m.OfFLOPs))
	}
	if m.Skipped != "" {
		fmt.Fprintf(w, "%s: skipped: %s\n", what, m.Skipped)
		return
	}
	fmt.Fprintf(w, "%s: best %.2f ms, median %.2f ms, %.1f tokens/s, host %.1f %%; %s\n", what, m.BestMillis, m.MedianMillis, m.TokensPerSecond, 100*m.HostShare, bound)
}
