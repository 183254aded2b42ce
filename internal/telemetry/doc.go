// Package telemetry is what the process tells about itself: Prometheus metrics under vLLM's names and those of OpenTelemetry's
// conventions for generative AI, and traces over OTLP. It never sees the text of a request.
//
// Sources of the names: vLLM's v1/metrics/loggers.py, and open-telemetry/semantic-conventions-genai.
package telemetry
