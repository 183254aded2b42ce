package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"astro/openai/client"
)

func newProbeCommand() *cobra.Command {
	url, limit := "http://127.0.0.1:8080", 5*time.Second
	c := &cobra.Command{
		Use:   "probe",
		Short: "Say whether a server takes requests, for health checks: status 0 or 1",
		Long: "Ask GET /ready once. Status 0 = new requests are taken and the engine moves; 1 = not, or nobody listens.\n" +
			"SSL_CERT_FILE names the certificates to trust where --url is https.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := client.CheckURL(url); err != nil {
				return err
			}
			server := client.New(url, "", 1)
			server.Limit, server.Retry.Tries = limit, 1
			if err := server.Get(c.Context(), "/ready", nil); err != nil {
				return fmt.Errorf("not ready: %w", err)
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), "ready")
			return err
		},
	}
	c.Flags().StringVar(&url, "url", url, "address of the server")
	c.Flags().DurationVar(&limit, "timeout", limit, "of the question")
	return c
}
