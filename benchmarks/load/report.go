package load

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
)

// formatVersion is that of the JSON (docs/formats/bench-load.md).
const formatVersion = 1

// Report is a whole run.
type Report struct {
	Format             int       `json:"format"`
	URL                string    `json:"url"`
	Model              string    `json:"model"`
	API                API       `json:"api"`
	Server             features  `json:"server_takes"`
	PromptTokens       int       `json:"prompt_tokens"`
	SharedPrefixTokens int       `json:"shared_prefix_tokens"`
	MaxTokens          int       `json:"max_tokens"`
	Temperature        float64   `json:"temperature"`
	Seed               uint64    `json:"seed"`
	SLO                sloFields `json:"slo"`
	Levels             []Figures `json:"levels"`
}

// sloFields is an SLO on the wire; 0 = any time will do.
type sloFields struct {
	TTFT float64 `json:"ttft_ms"`
	ITL  float64 `json:"itl_ms"`
}

func newReport(c *Config, a *asker) Report {
	return Report{Format: formatVersion, URL: c.Client.URL, Model: c.Model, API: c.API, Server: a.features, PromptTokens: c.PromptTokens,
		SharedPrefixTokens: c.SharedPrefixTokens, MaxTokens: c.MaxTokens, Temperature: c.Temperature, Seed: c.Seed,
		SLO: sloFields{millis(c.SLO.TTFT), millis(c.SLO.ITL)}}
}

func (r *Report) add(f Figures) { r.Levels = append(r.Levels, f) }

// Completed is how many requests ended well.
func (r *Report) Completed() int {
	n := 0
	for _, l := range r.Levels {
		n += l.Completed
	}
	return n
}

// JSON is the report with a newline at its end.
func (r *Report) JSON() []byte {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic("BUG: a report has no JSON form: " + err.Error())
	}
	return append(data, '\n')
}

// Text is the report for a person: what was asked, a table with a line for each level, errors, and what to be careful about.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s, %s: %s, %d tokens out%s\n", r.Model, r.URL, r.API, r.asked(), r.MaxTokens, r.target())
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "level\tok\terrors\treq/s\tout tok/s\tTTFT ms p50/p90/p99\tITL ms p50/p90/p99\tE2E s p50/p90/p99\tgood req/s\tclient CPU\n")
	for _, l := range r.Levels {
		fmt.Fprintf(table, "%s\t%d\t%d\t%.2f\t%.1f\t%s\t%s\t%s\t%s\t%.0f %%\n", l.Level, l.Completed, l.Requests-l.Completed, l.Requested, l.OutputRate,
			l.TTFT.text(1), l.ITL.text(1), l.E2E.text(1e-3), r.goodput(l), 100*l.CPUShare)
	}
	table.Flush()
	for _, l := range r.Levels {
		for _, line := range l.remarks(r) {
			fmt.Fprintf(&b, "%s: %s\n", l.Level, line)
		}
	}
	return b.String()
}

// asked says what the prompts are.
func (r *Report) asked() string {
	what := fmt.Sprintf("texts of about %d tokens", r.PromptTokens)
	if r.Server.IDs {
		what = fmt.Sprintf("prompts of %d token ids", r.PromptTokens)
	}
	if r.SharedPrefixTokens > 0 {
		return what + fmt.Sprintf(", %d of them shared", r.SharedPrefixTokens)
	}
	return what + ", all different"
}

func (r *Report) target() string {
	var parts []string
	if r.SLO.TTFT > 0 {
		parts = append(parts, fmt.Sprintf("TTFT %g ms", r.SLO.TTFT))
	}
	if r.SLO.ITL > 0 {
		parts = append(parts, fmt.Sprintf("mean ITL %g ms", r.SLO.ITL))
	}
	if parts == nil {
		return ""
	}
	return "; good = within " + strings.Join(parts, " and ")
}

func (r *Report) goodput(l Figures) string {
	if r.SLO == (sloFields{}) {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.0f %%)", l.Goodput, 100*l.GoodPart)
}

func (s Spread) text(scale float64) string {
	return short(scale*s.P50) + "/" + short(scale*s.P90) + "/" + short(scale*s.P99)
}

// short has three digits, or all before the point.
func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// remarks are errors, and reasons to doubt a figure.
func (f *Figures) remarks(r *Report) []string {
	const near, busy, enough = .05, .5, 100
	var lines []string
	for _, kind := range ErrorKinds {
		if n := f.Errors[kind]; n > 0 {
			lines = append(lines, fmt.Sprintf("%d x %s, such as: %s", n, kind, f.Examples[kind]))
		}
	}
	if f.Completed == 0 {
		return lines
	}
	for _, by := range []Counted{ByUsage, ByEvents} {
		if n := f.Counted[by]; n > 0 {
			lines = append(lines, fmt.Sprintf("tokens of %d of %d requests are timed by %s%s", n, f.Completed, by, by.caution()))
		}
	}
	if off := f.PromptTokens/float64(r.PromptTokens) - 1; f.PromptTokens > 0 && (off > near || off < -near) {
		lines = append(lines, fmt.Sprintf("prompts had %.1f tokens on average, as the server counts them; %d were asked for", f.PromptTokens, r.PromptTokens))
	}
	if f.FullLength < 1 {
		lines = append(lines, fmt.Sprintf("answers had %.1f tokens on average; %.0f %% had the %d that were asked for", f.OutputTokens, 100*f.FullLength, r.MaxTokens))
	}
	if f.CPUShare > busy {
		lines = append(lines, fmt.Sprintf("this program used %.0f %% of a processor: if it shares the machine with the server, both are slower for it", 100*f.CPUShare))
	}
	if f.Completed < enough {
		lines = append(lines, fmt.Sprintf("%d requests are few for the p99 of TTFT and E2E: take %d or more (--requests)", f.Completed, enough))
	}
	return lines
}

// caution says what to make of a count.
func (by Counted) caution() string {
	if by == ByEvents {
		return ": an event with text counts as one token, whatever it holds"
	}
	return ""
}
