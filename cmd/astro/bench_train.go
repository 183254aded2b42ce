package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"astro/benchmarks/step"
	"astro/internal/device"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
	"github.com/spf13/cobra"
)

type benchTrainFlags struct {
	benchFlags
	rows, rowTokens, steps int
	layerCheckpoints       bool
	compute                string
}

func newBenchTrainCommand() *cobra.Command {
	o := benchTrainFlags{}
	c := &cobra.Command{
		Use:   "train MODEL | --random-weights 1b|3b|8b",
		Short: "Time training steps of a model (forward, backward, AdamW) and tell the highest memory, beside what the device could do",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.run(c, args); err != nil {
				return fmt.Errorf("bench train: %w", err)
			}
			return nil
		},
	}
	o.add(c)
	f := c.Flags()
	f.IntVar(&o.rows, "rows", 8, "packed rows of a batch")
	f.IntVar(&o.rowTokens, "row-tokens", 256, "tokens of a row")
	f.IntVar(&o.steps, "steps", 8, "timed steps; one more before them compiles")
	f.StringVar(&o.compute, "compute", device.Auto, "what products are computed in: f32, bf16 (weights and optimizer stay f32), or auto, which is bf16 on xla:cuda alone")
	f.BoolVar(&o.layerCheckpoints, "layer-checkpoints", false, "keep of each layer only its input for the backward pass: less memory, a third more time")
	return c
}

// trainMeasurement is a Speed with what it is compared with.
type trainMeasurement struct {
	Case   string `json:"case"` // "train"
	Device string `json:"device"`
	Model  string `json:"model"`
	DType  string `json:"dtype"`
	trainer.Speed
	Skipped          string     `json:"skipped,omitempty"`
	Compute          string     `json:"compute"` // what products are computed in
	LayerCheckpoints bool       `json:"layer_checkpoints"`
	FLOPs            int64      `json:"flops"`              // of a step: forward, and twice as much backward
	PerformedFLOPs   int64      `json:"performed_flops"`    // the same and what layer checkpoints compute again
	OfFLOPs          step.Share `json:"of_flops"`           // model FLOPs utilisation, at the best time
	OfPerformed      step.Share `json:"of_performed_flops"` // of what was performed
}

func (o *benchTrainFlags) run(c *cobra.Command, args []string) error {
	if o.rows < 1 || o.rowTokens < 1 || o.steps < 1 {
		return errors.New("rows, tokens of a row and steps must be at least 1")
	}
	s, err := o.open(c, args, dtypes.Float32)
	if err != nil {
		return err
	}
	m, err := o.measureTraining(s)
	if err != nil {
		return err
	}
	return printTraining(c.OutOrStdout(), m, o.asJSON)
}

// measureTraining times steps on the subject's weights, unless they would not fit.
func (o *benchTrainFlags) measureTraining(s subject) (m trainMeasurement, err error) {
	m = trainMeasurement{Case: "train", Device: s.deviceName, Model: s.model, DType: step.Name(s.dtype), LayerCheckpoints: o.layerCheckpoints,
		Speed: trainer.Speed{Backend: string(s.device.Kind()), Rows: o.rows, RowTokens: o.rowTokens, Steps: o.steps}}
	if o.rowTokens > s.config.MaxPositions {
		return m, fmt.Errorf("rows of %d tokens are longer than the model's context of %d", o.rowTokens, s.config.MaxPositions)
	}
	config := trainer.Default(o.steps + 1)
	config.LayerCheckpoints = o.layerCheckpoints
	if config.Compute, err = trainer.ParseCompute(o.compute, s.device.Kind()); err != nil {
		return m, err
	}
	m.Compute = config.Compute.String()
	if need := trainer.Memory(s.device.Kind(), s.config, o.rows, o.rowTokens, config); need > s.available {
		m.Skipped = fmt.Sprintf("not enough memory: %.1f MiB needed, %.1f MiB available; use --layer-checkpoints, fewer rows or a smaller model",
			float64(need)/(1<<20), float64(s.available)/(1<<20))
		return m, nil
	}
	if s.config.MaxPositions > o.rowTokens && s.dir == "" {
		s.config.MaxPositions = o.rowTokens // the rope tables of 131072 positions are of no use
	}
	weights, err := s.weights()
	if err != nil {
		return m, err
	}
	t, err := trainer.New(s.device, weights, config)
	if err != nil {
		weights.Free()
		return m, err
	}
	defer t.Close()
	if m.Speed, err = t.Time(o.rows, o.rowTokens, o.steps); err != nil {
		return m, err
	}
	m.FLOPs, m.PerformedFLOPs = step.TrainFLOPs(s.config, o.rows, o.rowTokens, o.layerCheckpoints)
	_, m.OfFLOPs = s.peaks.Shares(step.Work{FLOPs: m.FLOPs}, m.BestMillis/1e3)
	_, m.OfPerformed = s.peaks.Shares(step.Work{FLOPs: m.PerformedFLOPs}, m.BestMillis/1e3)
	return m, nil
}

func printTraining(w io.Writer, m trainMeasurement, asJSON bool) (err error) {
	if asJSON {
		return json.NewEncoder(w).Encode(m)
	}
	what := fmt.Sprintf("%s (%s) %s training step %dx%d in %s", m.Backend, m.Device, m.Model, m.Rows, m.RowTokens, m.Compute)
	if m.Skipped != "" {
		_, err = fmt.Fprintf(w, "%s: skipped: %s\n", what, m.Skipped)
		return err
	}
	_, err = fmt.Fprintf(w, "%s: best %.2f ms, median %.2f ms, %.1f tokens/s, peak memory %d MiB; %.3f TFLOP, %s", what,
		m.BestMillis, m.MedianMillis, m.TokensPerSecond, m.PeakBytes>>20, float64(m.FLOPs)/1e12, shareText(m.OfFLOPs))
	if m.PerformedFLOPs != m.FLOPs && err == nil {
		_, err = fmt.Fprintf(w, "; %.3f TFLOP with what layer checkpoints compute again, %s", float64(m.PerformedFLOPs)/1e12, shareText(m.OfPerformed))
	}
	if err == nil {
		_, err = fmt.Fprintln(w)
	}
	return err
}
