package telemetry

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A span goes on with the caller's trace, keeps its times and says how it ended.
func TestSpan(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	tracer := newTracer(trace.NewSimpleSpanProcessor(kept), resource.Empty())
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	begin := time.Unix(100, 0)
	s := tracer.Start("chat m", parent, "a=b", begin, Attributes{"k": "v", "n": 1, "f": .5, "b": true, "l": []string{"x"}})
	s.Event("admitted", time.Time{})
	s.Event("first token", begin.Add(time.Second))
	if got := s.Parent(); !strings.HasPrefix(got, "00-0af7651916cd43dd8448eb211c80319c-") || got == parent {
		t.Errorf("the answer's traceparent is %q", got)
	}
	s.End("rate_limit_exceeded")
	spans := kept.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	got := spans[0]
	if got.Parent.SpanID().String() != "b7ad6b7169203331" || got.Name != "chat m" || !got.StartTime.Equal(begin) || len(got.Events) != 1 || len(got.Attributes) != 6 || got.Status.Description != "rate_limit_exceeded" {
		t.Errorf("got %+v", got)
	}
	if err := tracer.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// Without a receiver, and without a Tracer at all, spans are nothing.
func TestNoSpan(t *testing.T) {
	tracer, err := NewTracer(t.Context(), TraceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var none *Tracer
	for _, tracer := range []*Tracer{tracer, none} {
		s := tracer.Start("a", "", "", time.Now(), nil)
		s.Event("b", time.Now())
		s.Set(Attributes{"c": 1})
		s.End("d")
		if s.Parent() != "" {
			t.Error("a span that is none has a parent")
		}
	}
	if err := tracer.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := NewTracer(t.Context(), TraceConfig{Endpoint: "http://localhost:1", Protocol: "smoke"}); err == nil || !strings.Contains(err.Error(), "http/protobuf") {
		t.Errorf("got %v; want an error that names the protocols", err)
	}
}

// The environment's variables are OpenTelemetry's own; a flag goes before them.
func TestTraceConfigFromEnv(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", HTTP)
	if c := TraceConfigFromEnv("", "v"); c != (TraceConfig{"http://a:4317", HTTP, "v"}) {
		t.Errorf("got %+v", c)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4317")
	if c := TraceConfigFromEnv("", "v"); c.Endpoint != "http://b:4317" {
		t.Errorf("got %+v", c)
	}
	if c := TraceConfigFromEnv("http://c:4317", "v"); c.Endpoint != "http://c:4317" {
		t.Errorf("got %+v", c)
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if c := TraceConfigFromEnv("", "v"); c.Endpoint != "" {
		t.Errorf("got %+v", c)
	}
}
