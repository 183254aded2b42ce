package main

import (
	"encoding/json"
	"fmt"
	"io"

	"astro/model"
	"astro/training/trainer"

	"github.com/gomlx/compute/dtypes"
	"github.com/spf13/cobra"
)

func newBenchTrainCommand() *cobra.Command {
	on, asJSON, models := deviceFlags{}, false, hubFlags{}
	rows, rowTokens, steps := 8, 256, 8
	c := &cobra.Command{
		Use:   "train MODEL",
		Short: "Time training steps of a model (forward, backward, AdamW, f32) and tell the highest memory",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := models.modelDir(c.Context(), args[0], c.ErrOrStderr())
			if err != nil {
				return fmt.Errorf("bench train: %w", err)
			}
			s, err := benchTrain(found.dir, on, rows, rowTokens, steps)
			if err != nil {
				return fmt.Errorf("bench train: %w", err)
			}
			return printSpeed(c.OutOrStdout(), s, asJSON)
		},
	}
	models.add(c)
	f := c.Flags()
	on.addDevice(c, "")
	f.IntVar(&rows, "rows", rows, "packed rows of a batch")
	f.IntVar(&rowTokens, "row-tokens", rowTokens, "tokens of a row")
	f.IntVar(&steps, "steps", steps, "timed steps; one more before them compiles")
	f.BoolVar(&asJSON, "json", false, "one JSON object")
	return c
}

func benchTrain(dir string, on deviceFlags, rows, rowTokens, steps int) (trainer.Speed, error) {
	d, err := on.openDevice()
	if err != nil {
		return trainer.Speed{}, err
	}
	w, err := model.Load(dir, d.Backend(), dtypes.Float32, nil)
	if err != nil {
		return trainer.Speed{}, err
	}
	t, err := trainer.New(d, w, trainer.Default(max(1, steps)+1))
	if err != nil {
		w.Free()
		return trainer.Speed{}, err
	}
	defer t.Close()
	return t.Time(rows, rowTokens, steps)
}

func printSpeed(w io.Writer, s trainer.Speed, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	_, err := fmt.Fprintf(w, "%s training step %dx%d: best %.2f ms, median %.2f ms, %.1f tokens/s, peak memory %d MiB\n",
		s.Backend, s.Rows, s.RowTokens, s.BestMillis, s.MedianMillis, s.TokensPerSecond, s.PeakBytes>>20)
	return err
}
