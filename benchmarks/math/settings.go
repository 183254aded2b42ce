package math

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// formatVersion is that of the files in a run's folder (docs/formats/bench-math.md).
const formatVersion = 1

// Settings are what a run's samples depend on. A folder holds samples of one kind only: all but Problems, Samples and Greedy
// must be the same when a run goes on, and those may only grow.
type Settings struct {
	Format       int     `json:"format"`
	Set          string  `json:"set"`
	Model        string  `json:"model"`
	Prompt       string  `json:"prompt"`
	PromptDigest string  `json:"prompt_digest"`
	Temperature  float64 `json:"temperature"`
	TopP         float64 `json:"top_p"`
	MaxTokens    int     `json:"max_tokens"`
	Seed         uint64  `json:"seed"`
	Problems     int     `json:"problems"`
	Digest       string  `json:"problems_digest"`
	Samples      int     `json:"samples"`
	Greedy       bool    `json:"greedy"`
}

// settings are those of a configuration.
func (c *Config) settings() Settings {
	return Settings{Format: formatVersion, Set: c.Set.Name, Model: c.Client.Model, Prompt: c.Prompt.Name, PromptDigest: c.Prompt.Digest(),
		Temperature: c.Temperature, TopP: c.TopP, MaxTokens: c.MaxTokens, Seed: c.Seed,
		Problems: len(c.Set.Problems), Digest: c.Set.Digest(), Samples: c.Samples, Greedy: c.Greedy}
}

// checkSettings compares a folder's settings with those of a run that would go on in it, and keeps the new ones.
func checkSettings(dir string, set Set, now Settings) error {
	path := filepath.Join(dir, settingsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return writeSettings(path, now)
	}
	if err != nil {
		return fmt.Errorf("read the settings of the run: %w", err)
	}
	var was Settings
	if err := json.Unmarshal(data, &was); err != nil {
		return fmt.Errorf("%s holds no settings of a run: %w; choose another --out", path, err)
	}
	if was.Format != formatVersion {
		return fmt.Errorf("%s has format %d; this version writes %d: choose another --out", path, was.Format, formatVersion)
	}
	if what := conflict(was, now, set); what != "" {
		return fmt.Errorf("%s holds a run with %s: choose another --out, or the same settings", dir, what)
	}
	return writeSettings(path, now)
}

// conflict says in which setting a folder differs, or "".
func conflict(was, now Settings, set Set) string {
	for _, c := range []struct {
		name      string
		was, now  any
		different bool
	}{
		{"the set", was.Set, now.Set, was.Set != now.Set},
		{"the model", was.Model, now.Model, was.Model != now.Model},
		{"the prompt", was.Prompt, now.Prompt, was.PromptDigest != now.PromptDigest},
		{"--temperature", was.Temperature, now.Temperature, was.Temperature != now.Temperature},
		{"--top-p", was.TopP, now.TopP, was.TopP != now.TopP},
		{"--max-tokens", was.MaxTokens, now.MaxTokens, was.MaxTokens != now.MaxTokens},
		{"--seed", was.Seed, now.Seed, was.Seed != now.Seed},
		{"more problems:", was.Problems, now.Problems, was.Problems > now.Problems},
		{"more --samples:", was.Samples, now.Samples, was.Samples > now.Samples},
		{"--greedy", was.Greedy, now.Greedy, was.Greedy && !now.Greedy},
		{"problems of the same name but other texts or answers:", "other", "these", set.Limit(was.Problems).Digest() != was.Digest},
	} {
		if c.different {
			return fmt.Sprintf("%s %v, not %v", c.name, c.was, c.now)
		}
	}
	return ""
}

func writeSettings(path string, s Settings) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the settings of the run: %w", err)
	}
	return replaceFile(path, append(data, '\n'))
}
