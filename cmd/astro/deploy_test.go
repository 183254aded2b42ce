package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// repositoryFile is the text of a file, from the root of the repository.
func repositoryFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// dashboardQueries are the PromQL of every panel.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal([]byte(repositoryFile(t, "deploy/grafana/dashboards/astro.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []string
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || (len(p.Targets) == 0) != (p.Type == "row") {
			t.Errorf("panel %q: %+v", p.Title, p)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" {
					t.Fatalf("panel %q lies on %q", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	return queries
}

// metricNames are what a text calls metrics: all of vLLM's namespace and of ours, and those of HTTP and the process.
var metricNames = regexp.MustCompile(`(?:vllm|astro):\w+|\b(?:http|process|go|astro)_[a-z_]+|\bup\b`)

// What the dashboard and the alerts read stands in the table of docs/OPERATIONS.md, and the alerts in that of what to do.
func TestDeployMetricsAreDocumented(t *testing.T) {
	operations, rules := repositoryFile(t, "docs/OPERATIONS.md"), repositoryFile(t, "deploy/alerts.yml")
	queries := dashboardQueries(t)
	if len(queries) < 40 {
		t.Errorf("got %d queries in the dashboard", len(queries))
	}
	for _, line := range strings.Split(rules, "\n") {
		if expr, ok := strings.CutPrefix(strings.TrimSpace(line), "expr: "); ok {
			queries = append(queries, expr)
		}
		if alert, ok := strings.CutPrefix(strings.TrimSpace(line), "- alert: "); ok && !strings.Contains(operations, "\n| "+alert+" |") {
			t.Errorf("docs/OPERATIONS.md does not say what to do about the alert %s", alert)
		}
	}
	for _, q := range queries {
		if strings.Count(q, "(") != strings.Count(q, ")") || strings.Count(q, "{") != strings.Count(q, "}") {
			t.Errorf("brackets do not match: %s", q)
		}
		names := metricNames.FindAllString(q, -1)
		if len(names) == 0 {
			t.Errorf("a query without a metric: %s", q)
		}
		for _, name := range names {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, part)
			}
			if !strings.Contains(operations, "`"+name+"`") {
				t.Errorf("%s is not in the table of docs/OPERATIONS.md", name)
			}
		}
	}
}

// Every flag that the page and the files of deploy speak of is one of a command.
func TestDeployFlagsExist(t *testing.T) {
	root := newRootCommand()
	foreign := []string{"--help", "--now", "--config", "--storage", "--gpus", "--only", "--tests", "--shape"} // of cobra, systemctl, Prometheus, docker, and scripts
	for _, path := range []string{"docs/OPERATIONS.md", "deploy/astro.service", "deploy/compose.yaml"} {
		for _, flag := range regexp.MustCompile(`(?:^|[\s"\x60(\[])(--[a-z][a-z-]+)`).FindAllStringSubmatch(repositoryFile(t, path), -1) {
			if !slices.Contains(foreign, flag[1]) && !hasFlag(root, flag[1]) {
				t.Errorf("%s: no command has the flag %s", path, flag[1])
			}
		}
	}
}

// hasFlag says that the command or one below it has a flag such as --url.
func hasFlag(c *cobra.Command, name string) bool {
	return c.Flags().Lookup(strings.TrimPrefix(name, "--")) != nil ||
		slices.ContainsFunc(c.Commands(), func(sub *cobra.Command) bool { return hasFlag(sub, name) })
}

// The script makes keys once, that others cannot read, and the server's file holds both.
func TestDeploySecrets(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "secrets.sh")
	if err := os.WriteFile(script, []byte(repositoryFile(t, "deploy/secrets.sh")), 0o700); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, "secrets", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var before string
	for range 2 {
		if text, err := exec.Command("bash", script).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		client, metrics := read("client_key"), read("metrics_key")
		if len(client) != 48 || len(metrics) != 48 || client == metrics || read("astro.env") != "ASTRO_API_KEY="+client+"\nASTRO_ADMIN_KEY="+metrics+"\n" {
			t.Errorf("got the keys %q, %q in %q", client, metrics, read("astro.env"))
		}
		if before != "" && client != before {
			t.Error("the second run made new keys")
		}
		before = client
	}
	if info, err := os.Stat(filepath.Join(dir, "secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v; want 0700", info.Mode(), err)
	}
}

// systemd itself reads the unit, where it is here.
func TestDeployUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze on this machine: the unit is not verified")
	}
	unit := strings.ReplaceAll(repositoryFile(t, "deploy/astro.service"), "/usr/local/bin/astro", "/bin/true")
	path := filepath.Join(t.TempDir(), "astro.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput(); err != nil || strings.Contains(string(text), path) {
		t.Errorf("got %v: %s", err, text)
	}
}
