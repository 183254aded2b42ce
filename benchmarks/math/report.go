package math

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"astro/training/eval"
)

// row is one line of a table.
type row []string

// table is a table in either form.
type table struct {
	title string
	head  row
	rows  []row
}

// text aligns the columns with spaces.
func (t table) text() string {
	width := make([]int, len(t.head))
	for _, r := range append([]row{t.head}, t.rows...) {
		for i, cell := range r {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	b.WriteString(t.title + "\n")
	for _, r := range append([]row{t.head}, t.rows...) {
		var line strings.Builder
		for i, cell := range r {
			line.WriteString("  " + cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// markdown writes a pipe table.
func (t table) markdown() string {
	var b strings.Builder
	b.WriteString("### " + t.title + "\n\n")
	line := func(r row) {
		for _, cell := range r {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	line(t.head)
	b.WriteString(strings.Repeat("|---", len(t.head)) + "|\n")
	for _, r := range t.rows {
		line(r)
	}
	return b.String()
}

// Text is the summary for a terminal.
func (s Summary) Text() string { return join(s.tables(), table.text) }

// Markdown is the summary for a page.
func (s Summary) Markdown() string { return join(s.tables(), table.markdown) }

func join(tables []table, form func(table) string) string {
	parts := make([]string, len(tables))
	for i, t := range tables {
		parts[i] = form(t)
	}
	return strings.Join(parts, "\n")
}

// tables are the parts that have something in them.
func (s Summary) tables() []table {
	all := []table{s.metrics()}
	for _, g := range []struct {
		name   string
		groups []Group
	}{{"subject", s.Subjects}, {"level", s.Levels}} {
		if len(g.groups) > 0 {
			all = append(all, groupTable(g.name, g.groups, s.Samples))
		}
	}
	if len(s.Reasons) > 0 {
		all = append(all, countTable("reason of the verdict", s.Reasons), countTable("rule that found the answer", s.Rules))
	}
	return all
}

// metrics is the main table.
func (s Summary) metrics() table {
	t := table{title: fmt.Sprintf("%s: %s, prompt %s, %d problems x %d samples at temperature %g", s.Set, s.Model, s.Prompt, s.Problems, s.Samples, s.Temperature),
		head: row{"metric", "value ± standard error"}}
	add := func(name, value string) { t.rows = append(t.rows, row{name, value}) }
	if s.Samples > 0 {
		add(fmt.Sprintf("avg@%d", s.Samples), percent(s.Avg))
		add(fmt.Sprintf("avg@%d, box only", s.Samples), percent(s.AvgBoxed))
	}
	if s.GreedyScore != nil {
		add("greedy", percent(*s.GreedyScore))
	}
	for _, m := range s.Maj {
		add(fmt.Sprintf("maj@%d", m.K), percent(m.Estimate))
	}
	for _, p := range s.Pass {
		add(fmt.Sprintf("pass@%d", p.K), percent(p.Estimate))
	}
	if s.Samples > 0 {
		add("truncated", percent(s.Truncated))
		add("refused (prompt too long)", fmt.Sprint(s.Refused))
		add("tokens per answer", plusMinus(s.Tokens, 1))
		add("backtracks per answer", plusMinus(s.Backtracks, 3))
		add("correlation of backtracks with correctness", s.Correlation.String())
	}
	return t
}

func plusMinus(e eval.Estimate, digits int) string {
	return fmt.Sprintf("%.*f ± %.*f", digits, e.Mean, digits, e.SE)
}

func groupTable(name string, groups []Group, samples int) table {
	t := table{title: "by " + name, head: row{name, "problems", fmt.Sprintf("avg@%d", samples), "truncated", "tokens"}}
	for _, g := range groups {
		t.rows = append(t.rows, row{g.Name, fmt.Sprint(g.Avg.N), percent(g.Avg), fmt.Sprintf("%.2f %%", 100*g.Truncated), fmt.Sprintf("%.1f", g.Tokens)})
	}
	return t
}

// countTable lists counts, the most frequent first.
func countTable(name string, counts map[string]int) table {
	t := table{title: "samples by " + name, head: row{name, "samples"}}
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	for _, n := range names {
		shown := n
		if shown == "" {
			shown = "none"
		}
		t.rows = append(t.rows, row{shown, fmt.Sprint(counts[n])})
	}
	return t
}

// write puts the three forms into the run's folder.
func (s Summary) write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	for extension, content := range map[string]string{"json": string(data) + "\n", "txt": s.Text(), "md": s.Markdown()} {
		if err := replaceFile(filepath.Join(dir, summaryFile+"."+extension), []byte(content)); err != nil {
			return err
		}
	}
	return nil
}

// ReadSummary reads the summary of a finished run: its folder, or the JSON file itself.
func ReadSummary(path string) (Summary, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, summaryFile+".json")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Summary{}, fmt.Errorf("read the summary of a run: %w; is the run finished?", err)
	}
	var s Summary
	if err := json.Unmarshal(data, &s); err != nil {
		return Summary{}, fmt.Errorf("%s is no summary of a run: %w", path, err)
	}
	if s.Format != formatVersion {
		return Summary{}, fmt.Errorf("%s has format %d; this version reads %d", path, s.Format, formatVersion)
	}
	return s, nil
}
