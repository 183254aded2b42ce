package main

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"astro/internal/device"
)

// A second start compiles nothing: every program that the first one made, for requests too, is read from disk. A log-probability or a
// learning program is no other case: all of them pass through the same cache.
func TestSecondStartCompilesNothing(t *testing.T) {
	if _, err := device.FindPlugin(device.XLACPU, ""); err != nil {
		t.Skipf("only xla keeps executables: %v", err)
	}
	env := []string{"XDG_CACHE_HOME=" + t.TempDir()}
	var compiled, loaded [2]int
	for i := range 2 {
		a := startServe(t, env, demo, "--backend", "xla:cpu", "--max-slots", "2", "--context", "128")
		body := `{"model":"countdown-base","prompt":"` + problem + `","max_tokens":3,"seed":1}`
		answer, err := http.Post(a.url+"/v1/completions", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != http.StatusOK {
			t.Fatalf("a completion got status %d", answer.StatusCode)
		}
		compiled[i], loaded[i] = executables(t, a.url)
		a.end(t)
	}
	if compiled[0] == 0 || loaded[0] != 0 || compiled[1] != 0 || loaded[1] != compiled[0] {
		t.Errorf("the first start compiled %d programs and loaded %d, the second compiled %d and loaded %d; want it to load what the first compiled",
			compiled[0], loaded[0], compiled[1], loaded[1])
	}
}

// executables waits until no program is wanted and reads how many were compiled and how many loaded.
func executables(t *testing.T, url string) (compiled, loaded int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		answer, err := http.Get(url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if metric(t, text, "astro_programs_pending") == 0 {
			return metric(t, text, "astro_executables_compiled_total"), metric(t, text, "astro_executables_loaded_total")
		}
	}
	t.Fatal("programs are still being compiled after two minutes")
	return 0, 0
}

// metric reads a number without labels that matter.
func metric(t *testing.T, text []byte, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `(?:\{[^}]*\})? (\S+)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no metric %s", name)
	}
	value, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(value)
}
