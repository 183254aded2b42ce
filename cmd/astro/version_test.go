package main

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
)

func TestCommitVersion(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123"}
	for _, c := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, "dev"},
		{[]debug.BuildSetting{commit, {Key: "vcs.modified", Value: "false"}}, "dev-0123456789ab"},
		{[]debug.BuildSetting{commit, {Key: "vcs.modified", Value: "true"}}, "dev-0123456789ab+"},
	} {
		if got := commitVersion(c.settings); got != c.want {
			t.Errorf("commitVersion(%v) = %q; want %q", c.settings, got, c.want)
		}
	}
}

// TestEveryCommandSaysWhatItDoes: `astro help` is the first thing that a newcomer reads.
func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"version"})
	if err := root.Execute(); err != nil || !strings.HasPrefix(out.String(), "astro "+version()) {
		t.Fatalf("astro version printed %q, error %v; want it to begin with the version", out.String(), err)
	}
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			continue // cobra's own
		}
		if c.Short == "" || !c.HasSubCommands() && c.RunE == nil {
			t.Errorf("command %s has Short %q and RunE %t; want both", c.Name(), c.Short, c.RunE != nil)
		}
	}
}
