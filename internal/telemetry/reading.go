package telemetry

import "github.com/prometheus/client_golang/prometheus"

// reading is a metric without labels that is read off a state S.
type reading[S any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*S) float64
}

func gauge[S any](name, help string, value func(*S) float64) reading[S] {
	return reading[S]{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value}
}

func counter[S any](name, help string, value func(*S) uint64) reading[S] {
	return reading[S]{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, func(s *S) float64 { return float64(value(s)) }}
}

// describe and collect do for a table of readings what a prometheus.Collector does.
func describe[S any](out chan<- *prometheus.Desc, table []reading[S]) {
	for i := range table {
		out <- table[i].desc
	}
}

func collect[S any](out chan<- prometheus.Metric, table []reading[S], s *S) {
	for i := range table {
		out <- prometheus.MustNewConstMetric(table[i].desc, table[i].kind, table[i].value(s))
	}
}
