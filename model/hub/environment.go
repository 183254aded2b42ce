package hub

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const maxTokenBytes = 4096

// FromEnvironment reads what users set for all programs of that world: HF_TOKEN, or the file that HF_TOKEN_PATH names; HF_HUB_CACHE,
// or the folder hub in HF_HOME; HF_HUB_OFFLINE. HF_ENDPOINT is read by Resolve.
func FromEnvironment() (Options, error) {
	var o Options
	text, err := environmentToken()
	if err != nil {
		return o, err
	}
	if o.Token, err = NewToken(text); err != nil {
		return o, err
	}
	if o.CacheDir = os.Getenv("HF_HUB_CACHE"); o.CacheDir == "" {
		if home := os.Getenv("HF_HOME"); home != "" {
			o.CacheDir = filepath.Join(home, "hub")
		}
	}
	o.Offline = truth(os.Getenv("HF_HUB_OFFLINE"))
	return o, nil
}

func environmentToken() (string, error) {
	if text := os.Getenv("HF_TOKEN"); strings.TrimSpace(text) != "" {
		return text, nil
	}
	path := os.Getenv("HF_TOKEN_PATH")
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("HF_TOKEN_PATH names a file that cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenBytes+1))
	if err == nil && len(text) > maxTokenBytes {
		err = errors.New("it is too long for a token")
	}
	if err != nil {
		return "", fmt.Errorf("HF_TOKEN_PATH names %s: %w", path, err)
	}
	return string(text), nil
}

// truth reads a switch as huggingface_hub does.
func truth(text string) bool {
	switch strings.ToUpper(text) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
