package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"astro/internal/telemetry"
)

// newLog writes what the server does; never what it was asked.
func newLog(format string, to io.Writer) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(to, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, nil)), nil
	}
	return nil, fmt.Errorf("--log-format is %q; want text or json", format)
}

// closeTracer sends the last spans, if their receiver takes them soon.
func closeTracer(t *telemetry.Tracer, log *slog.Logger) {
	const timeout = 2 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := t.Close(ctx); err != nil {
		log.Warn("some traces were not sent", "error", err)
	}
}
