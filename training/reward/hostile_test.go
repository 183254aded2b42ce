package reward

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile answers make other verifiers hang, or are as large as the limits allow.
func hostile() map[string]string {
	terms := make([]string, 0, 400)
	for k := range 400 {
		terms = append(terms, fmt.Sprintf("%dx^%d", k, k))
	}
	return map[string]string{
		"tower of powers":          `9^{9^{9^9}}`,
		"tower, plain":             "9**9**9**9",
		"power of a power":         `2^{2^{100}}`,
		"huge exponent":            `10^{1000000000}`,
		"brackets of powers":       "(10**9)**(10**9)",
		"factorial of a factorial": `((10^6)!)!`,
		"factorial":                "100000!",
		"many factorials":          strings.Repeat("3000!", 100),
		"binomial":                 `\binom{10^9}{5\cdot 10^8}`,
		"parentheses":              strings.Repeat("(", 3000) + "1" + strings.Repeat(")", 3000),
		"short parentheses":        strings.Repeat("(", 1900) + "1" + strings.Repeat(")", 1900),
		"braces":                   strings.Repeat("{", 2000) + "1" + strings.Repeat("}", 2000),
		"boxes":                    strings.Repeat(`\boxed{`, 500) + "1" + strings.Repeat("}", 500),
		"20,000 terms":             strings.Repeat("1+", 20_000) + "1",
		"2,000 terms":              strings.Repeat("1+", 2000) + "1",
		"polynomial":               strings.Join(terms, "+"),
		"long number":              strings.Repeat("7", 4000),
		"long product":             strings.Repeat(strings.Repeat("7", 1900)+"*", 2) + "1",
		"exponent notation":        "1e999999999",
		"sum":                      `\sum_{k=1}^{10000} \sum_{j=1}^{10000} \frac{1}{jk}`,
		"harmonic":                 `\sum_{k=1}^{10000} \frac{1}{k}`,
		"sum of sines":             `\sum_{k=1}^{9999} \sin k`,
		"infinite sum":             `\sum_{k=1}^{\infty} \frac{1}{k^2}`,
		"sum of powers":            `\sum_{k=1}^{10000} k^{k}`,
		"sines of sines":           strings.Repeat(`\sin(`, 60) + "x" + strings.Repeat(")", 60),
		"exponentials":             strings.Repeat(`\exp(`, 30) + "9" + strings.Repeat(")", 30),
		"roots":                    strings.Repeat(`\sqrt{2+`, 60) + "2" + strings.Repeat("}", 60),
		"cosh":                     `\cosh(\cosh(\cosh(\cosh(4x))))`,
		"list":                     strings.Repeat("1,", 1900) + "2",
		"list of distinct":         "x" + strings.Repeat(",x+1", 1000),
		"list of unions":           `(0,1)` + strings.Repeat(`\cup(2,3)`, 400),
		"plus-minus":               strings.Repeat(`1\pm `, 600) + "1",
		"matrices":                 strings.Repeat(`\begin{pmatrix}1&1\\1&1\end{pmatrix}`, 100),
		"many variables":           "a+b+c+d+f+g+h+k+l+m",
		"bars":                     strings.Repeat("|", 2000),
		"backslashes":              strings.Repeat(`\`, 4000),
		"dollars":                  strings.Repeat("$", 4000),
		"words":                    strings.Repeat("word ", 800),
		"units":                    "5" + strings.Repeat(`\text{ cm}`, 400),
		"chain":                    "1" + strings.Repeat("=1", 1500),
		"inequalities":             "x>0" + strings.Repeat(`\text{ or }x>1`, 200),
		"ratio":                    "1" + strings.Repeat(":1", 1500),
		"gcd":                      `\gcd(` + strings.Repeat("7", 1000) + "," + strings.Repeat("3", 1000) + ")",
		"pi to a power":            `\pi^{\pi^{\pi^{\pi}}}`,
		"imaginary tower":          `i^{i^{i^{i^{i}}}}`,
		"control characters":       "\x00\x01\xff",
	}
}

// TestHostileAnswers: each costs at most MaxCost, on either side, and none is equal to 1 or to a polynomial unless it is.
func TestHostileAnswers(t *testing.T) {
	equalToOne := []string{"boxes", "chain"}
	for name, answer := range hostile() {
		for _, gold := range []string{"1", `x^2+\sqrt{2}x`, "1,2,3", `(0,1)\cup(2,3)`, `\text{word}`} {
			for _, v := range []Verdict{Equal(gold, answer, Options{}), Equal(answer, gold, Options{})} {
				if v.Cost > MaxCost {
					t.Errorf("%s against %s: got cost %d; want at most %d", name, gold, v.Cost, MaxCost)
				}
				if v.Equal && gold == "1" && !slices.Contains(equalToOne, name) {
					t.Errorf("%s is equal to 1: %+v", name, v)
				}
			}
		}
		r := Verify("42", `\boxed{`+answer+`}`, Options{Mode: Lenient})
		if r.Correct || r.Cost > MaxCost {
			t.Errorf("%s in a box: got %+v", name, r)
		}
	}
}

// TestHostileResponses: extraction reads no more than its limits.
func TestHostileResponses(t *testing.T) {
	for name, response := range map[string]string{
		"unclosed boxes": strings.Repeat(`\boxed{`, 100_000), "closed boxes": strings.Repeat(`\boxed{1}`, 100_000), "fboxes": strings.Repeat(`\fbox`, 150_000),
		"dollars": strings.Repeat("$1", 400_000), "answers": strings.Repeat("the answer is ", 70_000), "hashes": strings.Repeat("#### ", 200_000),
		"thoughts": strings.Repeat("<think>", 100_000), "ends": strings.Repeat("<|im_end|>", 100_000), "too long": strings.Repeat("1", MaxResponseBytes+1),
	} {
		for _, mode := range []Mode{Strict, Lenient} {
			if r := Verify("42", response, Options{Mode: mode}); r.Correct || r.Cost > MaxCost*(maxHedges+2) {
				t.Errorf("%s: got %+v", name, r)
			}
		}
	}
}

// best is the shortest of some runs: this measures work, not what else the machine does.
func best(f func()) time.Duration {
	shortest := time.Hour
	for range 5 {
		start := time.Now()
		f()
		shortest = min(shortest, time.Since(start))
	}
	return shortest
}

// BenchmarkHostile names the slowest hostile pair; each should take less than 50 ms.
func BenchmarkHostile(b *testing.B) {
	slowest, name := time.Duration(0), ""
	for b.Loop() {
		for n, answer := range hostile() {
			for _, gold := range []string{"1", `x^2+\sqrt{2}x`, "1,2,3", answer + "+0"} {
				if took := best(func() { Equal(gold, answer, Options{}) }); took > slowest {
					slowest, name = took, n+" against "+gold[:min(20, len(gold))]
				}
			}
		}
	}
	b.ReportMetric(float64(slowest.Microseconds())/1000, "ms/slowest")
	b.Logf("slowest: %s, %v", name, slowest)
}

// BenchmarkCases times every pair of the conformance cases and reports the median and the 99th percentile.
func BenchmarkCases(b *testing.B) {
	var times []time.Duration
	cases, generated := readRows[verifierCase](b, "verifier_cases_dev.jsonl"), readRows[generatedCase](b, "verifier_generated_dev.jsonl")
	timed := func(f func()) { times = append(times, best(f)) }
	for b.Loop() {
		times = times[:0]
		for _, c := range cases {
			timed(func() { c.verdict() })
		}
		for _, c := range generated {
			timed(func() { Equal(c.Gold, c.Pred, Options{}) })
		}
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[int(share*float64(len(times)-1))].Nanoseconds()) / 1e6
	}
	b.ReportMetric(at(0.5), "ms/p50")
	b.ReportMetric(at(0.99), "ms/p99")
	b.ReportMetric(at(1), "ms/max")
}
