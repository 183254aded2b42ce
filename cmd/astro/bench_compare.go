package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	mathbench "astro/benchmarks/math"
	"astro/training/eval"
)

func newBenchCompareCommand() *cobra.Command {
	resamples, seed, form := eval.DefaultResamples, uint64(1), "text"
	c := &cobra.Command{
		Use:   "compare A B",
		Short: "Put two finished runs of bench math side by side, with a paired bootstrap over problems",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return benchCompare(c.OutOrStdout(), args[0], args[1], resamples, seed, form)
		},
	}
	f := c.Flags()
	f.IntVar(&resamples, "resamples", resamples, "of the bootstrap")
	f.Uint64Var(&seed, "seed", seed, "of the bootstrap")
	f.StringVar(&form, "format", form, "text, markdown or json")
	return c
}

func benchCompare(w io.Writer, a, b string, resamples int, seed uint64, form string) error {
	x, err := mathbench.ReadSummary(a)
	if err != nil {
		return err
	}
	y, err := mathbench.ReadSummary(b)
	if err != nil {
		return err
	}
	comparison, err := mathbench.Compare(x, y, resamples, seed)
	if err != nil {
		return fmt.Errorf("cannot compare %s with %s: %w", a, b, err)
	}
	switch form {
	case "text":
		_, err = io.WriteString(w, comparison.Text())
	case "markdown":
		_, err = io.WriteString(w, comparison.Markdown())
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(comparison)
	default:
		err = fmt.Errorf("unknown --format %q: want text, markdown or json", form)
	}
	return err
}
