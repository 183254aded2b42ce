package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"astro/server/auth"
)

func newKeysCommand() *cobra.Command {
	path := defaultKeyFile()
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke API keys",
		Long: "Make, list and revoke the API keys of a key file, which `astro serve --keys FILE` takes.\n" +
			"The file holds hashes: a key is shown once, when it is made. A running server reads the file again on SIGHUP.",
	}
	c.PersistentFlags().StringVar(&path, "keys", path, "the key file")
	c.AddCommand(newKeysCreateCommand(&path), newKeysListCommand(&path), newKeysRevokeCommand(&path), newRotateFeedbackCommand())
	return c
}

// defaultKeyFile is where keys are kept if nobody says otherwise.
func defaultKeyFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = "."
	}
	return filepath.Join(dir, "astro", "keys.json")
}

func newKeysCreateCommand(path *string) *cobra.Command {
	k, scopes, life := auth.Key{Tenant: auth.DefaultTenant}, []string{"inference"}, time.Duration(0)
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a key and print it, once",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return createKey(c, *path, k, scopes, life)
		},
	}
	f := c.Flags()
	f.StringVar(&k.Tenant, "tenant", k.Tenant, "whose key it is; prefixes in the cache are shared within a tenant only")
	f.StringSliceVar(&scopes, "scope", scopes, "what it may do: "+auth.AllScopes.String())
	f.DurationVar(&life, "expires", 0, "how long it is good, as in 720h; 0 = for ever")
	f.IntVar(&k.Limits.ConcurrentRequests, "max-concurrency", 0, "requests under way at one time; 0 = any number")
	f.IntVar(&k.Limits.TokensPerMinute, "tokens-per-minute", 0, "of prompts and answers; 0 = any number")
	f.IntVar(&k.Limits.RequestsPerMinute, "requests-per-minute", 0, "0 = any number")
	return c
}

// createKey prints the key alone on the standard output, so that scripts can take it.
func createKey(c *cobra.Command, path string, k auth.Key, scopes []string, life time.Duration) error {
	var err error
	if k.Scopes, err = auth.ParseScopes(scopes); err != nil {
		return err
	}
	k.Created = time.Now().Truncate(time.Second)
	switch {
	case life < 0:
		return fmt.Errorf("--expires %v is in the past", life)
	case life > 0:
		k.Expires = k.Created.Add(life)
	}
	k, secret, err := auth.New(k)
	if err != nil {
		return err
	}
	if err := auth.Update(path, func(keys []auth.Key) ([]auth.Key, error) { return append(keys, k), nil }); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "key %s of tenant %s is in %s; it is shown this once. Use it with `astro serve --keys %s`, or tell a running server by SIGHUP.\n",
		k.ID, k.Tenant, path, path)
	_, err = fmt.Fprintln(c.OutOrStdout(), secret)
	return err
}

func newKeysListCommand(path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys of the file, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			keys, err := auth.Load(*path)
			if err != nil {
				return err
			}
			return listKeys(c.OutOrStdout(), keys, time.Now())
		},
	}
}

func listKeys(out io.Writer, keys []auth.Key, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTENANT\tSCOPES\tCREATED\tEXPIRES\tLIMITS\tSTATE")
	for i := range keys {
		k := &keys[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Tenant, k.Scopes, day(k.Created), day(k.Expires), limitsText(k.Limits), keyState(k, now))
	}
	return w.Flush()
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.DateTime)
}

func limitsText(l auth.Limits) string {
	var all []string
	for _, part := range []struct {
		value int
		text  string
	}{{l.ConcurrentRequests, "at one time"}, {l.TokensPerMinute, "tokens/min"}, {l.RequestsPerMinute, "requests/min"}} {
		if part.value > 0 {
			all = append(all, fmt.Sprintf("%d %s", part.value, part.text))
		}
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, ", ")
}

func keyState(k *auth.Key, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked " + day(k.Revoked)
	case !k.Live(now):
		return "expired"
	}
	return "good"
}

func newKeysRevokeCommand(path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Make a key worthless",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := auth.Update(*path, revoke(args[0], time.Now().Truncate(time.Second))); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "key %s is revoked; a running server knows after SIGHUP\n", args[0])
			return err
		},
	}
}

// revoke marks a key; it stays in the list, so that its id can still be looked up.
func revoke(id string, now time.Time) func([]auth.Key) ([]auth.Key, error) {
	return func(keys []auth.Key) ([]auth.Key, error) {
		for i := range keys {
			if keys[i].ID != id {
				continue
			}
			if keys[i].Revoked.IsZero() {
				keys[i].Revoked = now
			}
			return keys, nil
		}
		return nil, fmt.Errorf("no key has id %s: `astro keys list` shows them", id)
	}
}

func newRotateFeedbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-feedback FILE",
		Short: "Make a key that signs feedback tokens",
		Long: "Make a key that signs feedback tokens, in FILE, which `astro serve --feedback-tokens FILE` takes. Tokens of the key that signed until now\n" +
			"are accepted until the next rotation; those of an older one are not. To end all tokens at one time, do it twice.",
		Example: "  astro keys rotate-feedback feedback-tokens.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := auth.RotateTokenKeys(args[0], time.Now().Truncate(time.Second))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "key %s signs feedback tokens; a running server knows after SIGHUP\n", id)
			return err
		},
	}
}
