package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"astro/feedback"
)

func newImportCommand() *cobra.Command {
	path, keepText := "", false
	c := &cobra.Command{
		Use:   "import --store FILE",
		Short: "Store completions, feedback and search trees that were exported",
		Long: "Read what `astro export` wrote from the standard input into a store, which is made if it is not there. Records that are in it change\n" +
			"nothing, so an import that was stopped can be repeated. An error names its line; what came before it is stored.",
		Example: "  astro import --store state.db < all.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return importStore(c, path, keepText)
		},
	}
	c.Flags().StringVar(&path, "store", "", "the store")
	c.Flags().BoolVar(&keepText, "keep-text", false, "store the texts of prompts and completions where the lines have them")
	return c
}

func importStore(c *cobra.Command, path string, keepText bool) (err error) {
	if err := wantStore(path); err != nil {
		return err
	}
	s, err := feedback.Open(path, feedback.Options{KeepText: keepText})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	n, err := s.Import(c.Context(), c.InOrStdin())
	fmt.Fprintf(c.ErrOrStderr(), "%d completions, %d feedbacks and %d trees of the input are in %s\n", n.Completions, n.Feedback, n.Trees, path)
	return err
}
