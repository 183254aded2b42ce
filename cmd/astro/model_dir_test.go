package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"astro/model/hub/hubtest"
	"astro/openai"
)

// hubName is the demo model's on the hub of these tests.
const hubName = "some-org/countdown"

// hubWithDemo is a hub that has the demo model, private, and what makes a program use it.
func hubWithDemo(t *testing.T) (h *hubtest.Hub, commit string, env []string) {
	t.Helper()
	files := map[string][]byte{"README.md": []byte("not needed")}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "chat_template.jinja"} {
		content, err := os.ReadFile(filepath.Join(demo, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		files[name] = content
	}
	h = hubtest.New(t)
	h.Token = "hf_secret"
	commit = h.Put(hubName, "main", files)
	return h, commit, []string{"HF_ENDPOINT=" + h.URL, "HF_HOME=" + t.TempDir(), "HF_HUB_CACHE=", "HF_HUB_OFFLINE=", "HF_TOKEN=hf_secret"}
}

// listed is the one model that a server lists.
func listed(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var list openai.ModelList
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil || len(list.Data) != 2 || list.Data[1].ID != list.Data[0].ID+"@v1" {
		t.Fatalf("got %+v, %v; want one model", list, err)
	}
	return list.Data[0].ID
}

// A name on a hub is downloaded, served under that name, and served again without the hub; the token is nowhere in what is said.
func TestServeFromHub(t *testing.T) {
	h, commit, env := hubWithDemo(t)
	for _, args := range [][]string{{hubName}, {hubName + "@" + commit}, {hubName, "--offline"}} {
		a := startServe(t, env, append(args, "--backend", "go")...)
		if got := listed(t, a.url); got != hubName {
			t.Errorf("%v: serves %q; want %q", args, got, hubName)
		}
		answer, err := http.Post(a.url+"/v1/chat/completions", openai.JSONType, strings.NewReader(
			`{"model":"`+hubName+`","max_tokens":4,"messages":[{"role":"user","content":"`+problem+`"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%v: got %s", args, answer.Status)
		}
		a.end(t)
		if strings.Contains(a.log.String(), "hf_secret") {
			t.Errorf("the token was printed: %s", a.log)
		}
		h.Close() // the first one has all
	}
}

// What is no model is said in words that tell what to do, before any weights come.
func TestModelDirRefuses(t *testing.T) {
	h, _, env := hubWithDemo(t)
	for _, set := range env {
		key, value, _ := strings.Cut(set, "=")
		t.Setenv(key, value)
	}
	h.Put("some-org/other", "main", map[string][]byte{"config.json": []byte(`{"model_type":"mamba","architectures":["MambaForCausalLM"]}`),
		"tokenizer.json": []byte(`{}`), "model.safetensors": make([]byte, 1000)})
	for where, says := range map[string]string{
		"absent":                 "OWNER/NAME[@REVISION] on a hub",
		"./absent/model":         "OWNER/NAME[@REVISION] on a hub",
		"some-org/absent":        "no folder or file some-org/absent, and from the hub",
		hubName + "@v7":          "not this revision",
		hubName + "@../../x":     "OWNER/NAME[@REVISION] on a hub",
		"some-org/other":         "MambaForCausalLM",
		"some-org/countdown/sub": "OWNER/NAME[@REVISION] on a hub",
	} {
		_, err := hubFlags{}.modelDir(context.Background(), where, io.Discard)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hf_secret") {
			t.Errorf("%s: got %v; want %q", where, err, says)
		}
	}
	for _, q := range h.Requests() {
		if q.Storage {
			t.Errorf("asked for weights: %+v", q)
		}
	}
	if _, err := (hubFlags{offline: true}).modelDir(context.Background(), hubName, io.Discard); err == nil || !strings.Contains(err.Error(), "once without --offline") {
		t.Errorf("offline: got %v", err)
	}
	if _, err := (hubFlags{maxDownloadBytes: 10}).modelDir(context.Background(), hubName, io.Discard); err == nil || !strings.Contains(err.Error(), "--max-download-bytes") {
		t.Errorf("10 bytes: got %v", err)
	}
}

// A folder that is there comes before any hub, also if its name is one of a hub.
func TestModelDirPrefersFolders(t *testing.T) {
	h, commit, env := hubWithDemo(t)
	for _, set := range env {
		key, value, _ := strings.Cut(set, "=")
		t.Setenv(key, value)
	}
	absolute, err := filepath.Abs(demo)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	found, err := hubFlags{}.modelDir(context.Background(), hubName, io.Discard)
	if err != nil || found.String() != hubName+"@"+commit {
		t.Fatalf("got %v, %v", found, err)
	}
	asked := len(h.Requests())
	if err := errors.Join(os.Mkdir("some-org", 0o755), os.Symlink(absolute, hubName)); err != nil {
		t.Fatal(err)
	}
	found, err = hubFlags{}.modelDir(context.Background(), hubName, io.Discard)
	if want := (place{hubName, "countdown", ""}); err != nil || found != want || len(h.Requests()) != asked {
		t.Errorf("got %+v, %v; want %+v and no request", found, err, want)
	}
}
