package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"astro/server"
	"astro/server/auth"
)

// accessFlags say who may talk to the server, and how much at one time.
type accessFlags struct {
	adminKeys         []string // ASTRO_ADMIN_KEY; never a flag
	keyFile           string
	tokenFile         string        // keys of feedback tokens; "" = there are none
	tokenLife         time.Duration // of such a token
	certFile, keyPEM  string
	hosts, origins    []string
	limits            server.Limits
	maxQueuedRequests int // 0 = the engine's own
}

func (a *accessFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&a.keyFile, "keys", "", "key file, as `astro keys create` makes it; read again on SIGHUP")
	f.StringVar(&a.tokenFile, "feedback-tokens", "", "file of keys, as `astro keys rotate-feedback` makes it: answers carry a token with which whoever has it may rate them once; read again on SIGHUP")
	f.DurationVar(&a.tokenLife, "feedback-token-life", a.tokenLife, "time after which such a token is worth nothing")
	f.StringVar(&a.certFile, "tls-cert", "", "certificate chain in PEM: serve HTTPS; read again on SIGHUP")
	f.StringVar(&a.keyPEM, "tls-key", "", "private key of --tls-cert in PEM")
	f.StringSliceVar(&a.hosts, "allowed-host", nil, "names in Host headers to answer to; on loopback besides localhost")
	f.StringSliceVar(&a.origins, "cors-origin", nil, "web pages that may use the server, as in https://chat.example")
	f.IntVar(&a.limits.BodyBytes, "max-body-bytes", a.limits.BodyBytes, "largest request body")
	f.IntVar(&a.limits.Connections, "max-connections", a.limits.Connections, "open connections")
	f.IntVar(&a.limits.ConnectionsPerIP, "max-connections-per-ip", a.limits.ConnectionsPerIP, "open connections of one address that is not loopback; 0 = any number")
	f.IntVar(&a.maxQueuedRequests, "max-queued-requests", 0, "requests that wait for the engine, before others get a 429; 0 = 1024; the program's own work has a queue of its own")
	f.IntVar(&a.limits.RequestTokens, "max-request-tokens", 0, "prompts x n x (prompt + max_tokens) of one request; 0 = 8 times what the KV cache holds")
	f.DurationVar(&a.limits.RequestTimeout, "request-timeout", a.limits.RequestTimeout, "time for a request in the engine, the queue included, before it is cut; 0 = none")
}

// check refuses flags that make no sense.
func (a *accessFlags) check() error {
	l := &a.limits
	switch {
	case a.tokenLife < time.Second:
		return fmt.Errorf("--feedback-token-life %v: want at least 1s", a.tokenLife)
	case (a.certFile == "") != (a.keyPEM == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case l.BodyBytes < 1 || l.Connections < 1 || l.ConnectionsPerIP < 0 || l.RequestTokens < 0 || l.RequestTimeout < 0 || a.maxQueuedRequests < 0:
		return errors.New("a limit is negative, or --max-body-bytes or --max-connections is 0")
	}
	return nil
}

// access is all that decides who may talk to the server.
func (o *serveOptions) access() (server.Access, error) {
	a := server.Access{Host: o.host, APIKeys: o.keys, AdminKeys: o.adminKeys, AllowedHosts: o.hosts, CORSOrigins: o.origins}
	if err := o.accessFlags.check(); err != nil {
		return a, err
	}
	if o.keyFile != "" {
		keys, err := auth.Load(o.keyFile)
		if errors.Is(err, os.ErrNotExist) {
			return a, fmt.Errorf("%w; make one with `astro keys create --keys %s`", err, o.keyFile)
		}
		if err != nil {
			return a, err
		}
		a.Keys = keys
	}
	if err := o.tokenKeys(&a); err != nil {
		return a, err
	}
	return a, a.Validate()
}

// tokenKeys reads the keys of feedback tokens, which need a store.
func (o *serveOptions) tokenKeys(a *server.Access) (err error) {
	if o.tokenFile == "" {
		return nil
	}
	if o.store == "" && o.learn == "" {
		return errors.New("--feedback-tokens: a server that keeps no completions takes no feedback; give --store DIR, too")
	}
	if a.TokenKeys, err = auth.LoadTokenKeys(o.tokenFile); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; make one with `astro keys rotate-feedback %s`", err, o.tokenFile)
	}
	return err
}

// certificate is that of the flags; nil = plain HTTP.
func (a *accessFlags) certificate() (*server.Certificate, error) {
	if a.certFile == "" {
		return nil, nil
	}
	return server.LoadCertificate(a.certFile, a.keyPEM)
}

// reloadOnHangup reads keys and certificate again on each SIGHUP until ctx ends. What cannot be read stays as it was. A server without
// such files leaves the signal alone.
func (a *accessFlags) reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, s *server.Server, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			a.reload(s, log)
		}
	}
}

// hangups are the SIGHUPs of a server that has something to read again.
func (a *accessFlags) hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	if a.keyFile != "" || a.certFile != "" || a.tokenFile != "" {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

func (a *accessFlags) reload(s *server.Server, log *slog.Logger) {
	if a.keyFile != "" {
		keys, err := auth.Load(a.keyFile)
		if err == nil {
			s.SetKeys(keys)
		}
		report(log, "API keys", err, "keys", len(keys))
	}
	if a.tokenFile != "" {
		keys, err := auth.LoadTokenKeys(a.tokenFile)
		if err == nil {
			s.SetTokenKeys(keys)
		}
		report(log, "keys of feedback tokens", err, "keys", len(keys))
	}
	if s.Certificate != nil {
		report(log, "TLS certificate", s.Certificate.Reload())
	}
}

// report says how reading a file again went.
func report(log *slog.Logger, what string, err error, details ...any) {
	if err != nil {
		log.Error(what+" could not be read again: what was there stays in use", "error", err)
		return
	}
	log.Info(what+" read again", details...)
}
