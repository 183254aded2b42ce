package math

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gomlx/go-huggingface/hub"
)

// Place is one file of a data set on the hub, at a commit: it can never change.
type Place struct{ Repo, Revision, File string }

// String is OWNER/NAME@REVISION:FILE.
func (p Place) String() string { return p.Repo + "@" + p.Revision + ":" + p.File }

// places are the sets that have a name here, each pinned to a commit.
var places = map[string]Place{
	"math500": {"HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", "test.jsonl"},
	"aime25":  {"math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b", "test.jsonl"},
	"amc23":   {"math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057", "test-00000-of-00001.parquet"},
	"aime24":  {"math-ai/aime24", "83a7f387baaa524a8bda0022eac0541582297103", "test-00000-of-00001.parquet"},
}

// placeForm is OWNER/NAME@REVISION:FILE with a full commit: a branch may change under a run.
var placeForm = regexp.MustCompile(`^([\w.-]+/[\w.-]+)@([0-9a-f]{40}):([\w./-]+\.(?:jsonl|parquet))$`)

// hubPlace is the place of a known name, or the one that the name spells out.
func hubPlace(name string) (Place, bool) {
	if p, ok := places[name]; ok {
		return p, true
	}
	if m := placeForm.FindStringSubmatch(name); m != nil && !strings.Contains(m[3], "..") {
		return Place{m[1], m[2], m[3]}, true
	}
	return Place{}, false
}

func hubNames() string {
	var names []string
	for name := range places {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Hub is how the hub is reached. The zero value is the public one with its usual cache folder; HF_ENDPOINT names another.
type Hub struct {
	Endpoint string // "" = the default
	CacheDir string // "" = the folder that other programs share
	Token    string // for private data sets
}

// fetch downloads a file, or finds it in the cache, and returns its path.
func (h Hub) fetch(ctx context.Context, p Place) (string, error) {
	repo := hub.New(p.Repo).WithType(hub.RepoTypeDataset).WithRevision(p.Revision).WithAuth(h.Token)
	if h.Endpoint != "" {
		repo = repo.WithEndpoint(h.Endpoint)
	}
	if h.CacheDir != "" {
		repo = repo.WithCacheDir(h.CacheDir)
	}
	repo.Verbosity = 0 // its progress goes to the standard output, which belongs to results
	cache, err := repo.CacheDir()
	if err != nil {
		return "", err
	}
	cached := filepath.Join(cache, "snapshots", p.Revision, filepath.FromSlash(p.File))
	if _, err := os.Stat(cached); err == nil {
		return cached, nil // a commit does not change: no need to ask
	}
	path, err := repo.DownloadFileCtx(ctx, p.File)
	if err != nil {
		return "", err
	}
	if info := repo.Info(); info == nil || info.CommitHash != p.Revision {
		return "", fmt.Errorf("the hub answered with another commit than %s", p.Revision)
	}
	return path, nil
}
