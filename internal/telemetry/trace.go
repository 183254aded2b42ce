package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracer makes a span for each request. The zero value makes none, at no cost.
type Tracer struct {
	tracer   api.Tracer
	provider *trace.TracerProvider
}

// Protocols of OTLP.
const (
	GRPC = "grpc"
	HTTP = "http/protobuf"
)

// TraceConfig says where traces go.
type TraceConfig struct {
	Endpoint string // URL of an OTLP receiver, such as http://localhost:4317; "" = no traces
	Protocol string // GRPC or HTTP; "" = GRPC
	Version  string // of the program
}

// TraceConfigFromEnv reads OpenTelemetry's own variables; a given endpoint goes first.
func TraceConfigFromEnv(endpoint, version string) TraceConfig {
	first := func(names ...string) string {
		for _, name := range names {
			if v := os.Getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	c := TraceConfig{Endpoint: endpoint, Version: version, Protocol: first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")}
	if c.Endpoint == "" && os.Getenv("OTEL_SDK_DISABLED") != "true" {
		c.Endpoint = first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	}
	return c
}

// NewTracer connects when the first spans are sent; a receiver that is not there costs spans, never requests.
func NewTracer(ctx context.Context, c TraceConfig) (*Tracer, error) {
	if c.Endpoint == "" {
		return &Tracer{tracer: noop.NewTracerProvider().Tracer("")}, nil
	}
	exporter, err := c.exporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot send traces to %s: %w", c.Endpoint, err)
	}
	about := resource.NewSchemaless(attribute.String("service.name", "astro"), attribute.String("service.version", c.Version))
	if extra, err := resource.New(ctx, resource.WithFromEnv(), resource.WithHost()); err == nil {
		if merged, err := resource.Merge(about, extra); err == nil {
			about = merged
		}
	}
	return newTracer(trace.NewBatchSpanProcessor(exporter), about), nil
}

func newTracer(processor trace.SpanProcessor, about *resource.Resource) *Tracer {
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(processor), trace.WithResource(about))
	return &Tracer{tracer: provider.Tracer("astro"), provider: provider}
}

func (c TraceConfig) exporter(ctx context.Context) (*otlptrace.Exporter, error) {
	switch c.Protocol {
	case "", GRPC:
		return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(c.Endpoint))
	case HTTP:
		return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.Endpoint))
	}
	return nil, fmt.Errorf("protocol %q is unknown: want %s or %s", c.Protocol, GRPC, HTTP)
}

// Close sends what is left, within ctx.
func (t *Tracer) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return errors.Join(t.provider.ForceFlush(ctx), t.provider.Shutdown(ctx))
}

// Attributes are a span's facts: texts, lists of texts, whole numbers, decimals and booleans.
type Attributes map[string]any

func (a Attributes) list() []attribute.KeyValue {
	var all []attribute.KeyValue
	for name, value := range a {
		key := attribute.Key(name)
		switch v := value.(type) {
		case string:
			all = append(all, key.String(v))
		case []string:
			all = append(all, key.StringSlice(v))
		case int:
			all = append(all, key.Int(v))
		case float64:
			all = append(all, key.Float64(v))
		case bool:
			all = append(all, key.Bool(v))
		default:
			panic(fmt.Sprintf("BUG: attribute %s is a %T; want text, number or boolean", name, value))
		}
	}
	return all
}

// Span is one request. The zero value is a request that is not traced.
type Span struct{ span api.Span }

// Start begins a span at the given time, within the trace that traceparent and tracestate name, if they do.
func (t *Tracer) Start(name, traceparent, tracestate string, begin time.Time, about Attributes) Span {
	if t == nil || t.provider == nil {
		return Span{}
	}
	carrier := propagation.MapCarrier{"traceparent": traceparent, "tracestate": tracestate}
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier)
	_, span := t.tracer.Start(ctx, name, api.WithSpanKind(api.SpanKindServer), api.WithTimestamp(begin), api.WithAttributes(about.list()...))
	return Span{span}
}

// Event notes that something happened; zero times are left out.
func (s Span) Event(name string, at time.Time) {
	if s.span != nil && !at.IsZero() {
		s.span.AddEvent(name, api.WithTimestamp(at))
	}
}

// Set adds attributes.
func (s Span) Set(about Attributes) {
	if s.span != nil {
		s.span.SetAttributes(about.list()...)
	}
}

// End ends the span; code is that of the error that the client was told, "" = none.
func (s Span) End(code string) {
	if s.span == nil {
		return
	}
	if code != "" {
		s.span.SetAttributes(attribute.String("error.type", code))
		s.span.SetStatus(codes.Error, code)
	}
	s.span.End()
}

// Parent is the traceparent of this span, for the answer's header; "" = it is not traced.
func (s Span) Parent() string {
	if s.span == nil {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(api.ContextWithSpan(context.Background(), s.span), carrier)
	return carrier["traceparent"]
}
