package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"astro/model"
	"astro/model/hub"
)

// modelUse is how commands describe what they take as a model.
const modelUse = "a Hugging Face folder, a GGUF file, or OWNER/NAME[@REVISION] on a hub"

// hubFlags are the flags of every command that takes a model.
type hubFlags struct {
	offline          bool
	maxDownloadBytes int64
}

func (h *hubFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&h.offline, "offline", false, "take a model of a hub from the cache only, as HF_HUB_OFFLINE=1 does")
	f.Int64Var(&h.maxDownloadBytes, "max-download-bytes", hub.DefaultMaxDownloadBytes, "refuse to download a larger model")
}

// place is where a model was found.
type place struct {
	dir      string // a Hugging Face folder, or a GGUF file
	name     string // the folder's name, the file's without .gguf, or OWNER/NAME
	revision string // commit; "" for what the user has
}

// String is the name, and the commit if there is one.
func (p place) String() string {
	if p.revision == "" {
		return p.name
	}
	return p.name + "@" + p.revision
}

// modelDir finds a model: a folder or GGUF file that is there, else one of that name on a hub. HF_TOKEN, HF_TOKEN_PATH, HF_ENDPOINT, HF_HOME and
// HF_HUB_CACHE are as everywhere in that world.
func (h hubFlags) modelDir(ctx context.Context, where string, diagnostics io.Writer) (place, error) {
	_, err := os.Stat(where)
	if err == nil {
		absolute, err := filepath.Abs(where)
		if err != nil {
			return place{}, fmt.Errorf("find the model's name: %w", err)
		}
		return place{dir: where, name: strings.TrimSuffix(filepath.Base(absolute), ".gguf")}, nil
	}
	name, notAName := hub.ParseName(where)
	if !errors.Is(err, fs.ErrNotExist) || notAName != nil {
		return place{}, fmt.Errorf("no model at %s: want %s: %w", where, modelUse, err)
	}
	dir, revision, err := h.resolve(ctx, where, diagnostics)
	if err != nil {
		return place{}, fmt.Errorf("there is no folder or file %s, and from the hub it cannot be had: %w", where, err)
	}
	return place{dir, name.Repo(), revision}, nil
}

// resolve asks the hub, with a progress bar where somebody watches. A model that cannot be run is refused before its weights come.
func (h hubFlags) resolve(ctx context.Context, name string, diagnostics io.Writer) (dir, revision string, err error) {
	o, err := hub.FromEnvironment()
	if err != nil {
		return "", "", err
	}
	o.Offline = o.Offline || h.offline
	o.MaxDownloadBytes = h.maxDownloadBytes
	o.Check = func(dir string) error {
		_, err := model.LoadConfig(dir)
		return err
	}
	o.Notify = func(text string) { fmt.Fprintln(diagnostics, text) }
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(diagnostics), progressbar.OptionSetVisibility(isTerminal(diagnostics)),
		progressbar.OptionSetDescription("downloading "+name), progressbar.OptionShowBytes(true), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionClearOnFinish())
	o.Progress = func(done, total int64) {
		bar.ChangeMax64(total)
		bar.Set64(done) // fails only if the terminal does
	}
	dir, revision, err = hub.Resolve(ctx, name, o)
	bar.Exit()
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("stopped; the same command goes on where it was: %w", err)
	}
	return dir, revision, err
}
