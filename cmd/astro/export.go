package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"astro/feedback"
)

func newExportCommand() *cobra.Command {
	path, since := "", int64(0)
	c := &cobra.Command{
		Use:   "export --store FILE",
		Short: "Write completions, their feedback and search trees from a store as JSON lines",
		Long: "Write the completions of a store and what was said about them to the standard output, as JSON lines (docs/formats/feedback-export.md):\n" +
			"token ids, log-probabilities and rewards; texts only where the store was told to keep them. No other process may have the store open.\n" +
			"--since continues an earlier export: the seq of its last completion. Search trees come last, and only without it.",
		Example: "  astro export --store state.db > all.jsonl\n  astro export --store state.db --since 1200 > new.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return exportStore(c, path, since)
		},
	}
	c.Flags().StringVar(&path, "store", "", "the store, a file that `astro serve` or `astro import` made")
	c.Flags().Int64Var(&since, "since", 0, "only completions with a seq above it")
	return c
}

func exportStore(c *cobra.Command, path string, since int64) (err error) {
	if err := wantStore(path); err != nil {
		return err
	}
	if since < 0 {
		return fmt.Errorf("--since %d: want the seq of a completion, or 0 for all", since)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--store %s: there is no such file", path) // opening would make it
	}
	s, err := feedback.Open(path, feedback.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Export(c.Context(), c.OutOrStdout(), since)
}

func wantStore(path string) error {
	if path == "" {
		return errors.New("--store FILE is missing: which store?")
	}
	return nil
}
