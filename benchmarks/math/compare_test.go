package math

import (
	"context"
	"strings"
	"testing"
)

// Two runs of exam; in the second p1 is always right and p2 never, and p4 is not asked.
func TestCompare(t *testing.T) {
	c, _ := newExam(t, t.TempDir())
	a, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	other, server := newExam(t, t.TempDir())
	other.Set = other.Set.Limit(3)
	for i := range 4 {
		server.lines[key{"p1", false, i}.seed(c.Seed)] = line{`\boxed{1}`, "stop", 12}
		server.lines[key{"p2", false, i}.seed(c.Seed)] = line{`\boxed{9}`, "stop", 20}
	}
	b, err := Run(context.Background(), other)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Compare(a, b, 2000, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Common problems p1 p2 p3: a has 3/4 1/4 1/2, b has 1 0 1/2: means 1/2 and 1/2, differences 1/4 -1/4 0.
	avg := got.Metrics[0]
	if got.Common != 3 || got.OnlyOne != 1 || avg.Name != "avg@k" {
		t.Fatalf("got %+v", got)
	}
	near(t, "a", avg.A.Mean, 0.5)
	near(t, "b", avg.B.Mean, 0.5)
	near(t, "difference", avg.Difference.Mean, 0)
	if avg.Difference.Interval.Low != -0.25 || avg.Difference.Interval.High != 0.25 || avg.Difference.P < 0.9 {
		t.Errorf("got %+v; want [-1/4, 1/4], which three differences of 1/4, -1/4 and 0 can give, and a p near 1", avg.Difference)
	}
	// maj@4: a has 1 0 1, b has 1 0 1. pass@2: a has 1, 1/2, 5/6, b has 1 0 5/6.
	for i, want := range map[int]float64{4: 0, 6: -1.0 / 6, 9: 2.0 / 3} {
		near(t, got.Metrics[i].Name, got.Metrics[i].Difference.Mean, want)
	}
	if names := metricNames(got); names != "avg@k; avg@k, box only; greedy; maj@2; maj@4; pass@1; pass@2; pass@4; truncated; tokens per answer; backtracks per answer" {
		t.Errorf("got metrics %s", names)
	}
	for _, text := range []string{got.Text(), got.Markdown()} {
		for _, want := range []string{"toy, prompt box, k = 4", "3 problems", "+0.00 %", "[-25.00, +25.00] %", "2000 resamples", "1 problems are in one"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
}

func metricNames(c Comparison) string {
	var names []string
	for _, m := range c.Metrics {
		names = append(names, m.Name)
	}
	return strings.Join(names, "; ")
}

func TestCompareRefuses(t *testing.T) {
	a := Summary{Settings: Settings{Set: "x", Samples: 1}, Scores: []Score{{ID: "p"}}}
	for want, b := range map[string]Summary{
		"different sets": {Settings: Settings{Set: "y"}},
		"no problem":     {Settings: Settings{Set: "x", Samples: 1}, Scores: []Score{{ID: "q"}}},
		"no greedy pass": {Settings: Settings{Set: "x"}, Scores: []Score{{ID: "p"}}},
	} {
		if _, err := Compare(a, b, 100, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
	if _, err := Compare(a, a, 1, 1); err == nil {
		t.Error("one resample was accepted")
	}
	if _, err := ReadSummary(t.TempDir()); err == nil || !strings.Contains(err.Error(), "finished") {
		t.Errorf("got %v; want that the run is not finished", err)
	}
}
