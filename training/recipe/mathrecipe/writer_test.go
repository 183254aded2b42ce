package mathrecipe

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"astro/training/linearize"
	"astro/training/recipe"
	"astro/training/recipe/recipetest"
)

// writer is an OpenAI server that writes traces as it is asked to: it repeats the step, returns, and finds every solution good.
func writer(t *testing.T, asked, failAfter *atomic.Int64) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := asked.Add(1); n > failAfter.Load() || r.Header.Get("Authorization") != "Bearer key" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		var q struct {
			Messages []struct{ Content string }
		}
		if err := json.Unmarshal(body, &q); err != nil || len(q.Messages) != 1 {
			t.Errorf("got the request %s (%v)", body, err)
			return
		}
		text, _ := json.Marshal(write(q.Messages[0].Content))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":%s}}]}`, text)
	}))
	t.Cleanup(s.Close)
	return s
}

func write(prompt string) string {
	_, turn, _ := strings.Cut(prompt, "### Your turn")
	_, step, _ := strings.Cut(turn, "\nStep: ")
	step, _, _ = strings.Cut(step, "\n")
	switch {
	case strings.HasSuffix(turn, "Continuation:"):
		return "Now: " + step
	case strings.Contains(turn, "\nStep to go back to: "):
		return "Let's go back to where we began to add."
	case strings.HasSuffix(turn, "Sentence:"):
		return "Let's restart our solution from the beginning."
	}
	return "It is fine.\nVerdict: yes"
}

// A server writes and judges; when it refuses, the stage ends with what it said, and goes on from what was written when it is there again.
func TestServerWrites(t *testing.T) {
	var asked, failAfter atomic.Int64
	failAfter.Store(10)
	p := testPipeline(t, nil)
	p.Config.Prose = Prose{Writer: Server, URL: writer(t, &asked, &failAfter).URL, Model: "scribe", Key: "key", SelfEval: 8, Workers: 1}
	if err := p.Run(t.Context(), Search); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), Linearize); err == nil || !strings.Contains(err.Error(), "401") {
		t.Fatalf("got %v; want the server's refusal", err)
	}
	failAfter.Store(1 << 40)
	if err := p.Run(t.Context(), Linearize); err != nil {
		t.Fatal(err)
	}
	var f traceFigures
	if err := p.stages().Figures(Linearize, &f); err != nil || f.Search == 0 || f.Search != f.Direct || len(f.Skipped)+len(f.Dropped) > 0 {
		t.Errorf("got %v (%v)", f, err)
	}
	text, err := os.ReadFile(filepath.Join(p.stages().Path(Linearize), recipe.SearchTraces))
	if err != nil || !strings.Contains(string(text), "Now: So") || !strings.Contains(string(text), "go back to where we began") {
		t.Errorf("the traces are not the server's (%v): %.300s", err, text)
	}
}

// The model itself writes and judges in this process. One that was taught nothing but sums says those, the same for the same seed; it passes
// no judgement, and that is counted and told.
func TestOwnModelWrites(t *testing.T) {
	p := testPipeline(t, nil)
	sums := recipetest.Sums(1)
	p.Model = recipetest.TaughtLlama(t, p.Device, sums, 120)
	p.Config.Prose.Writer, p.Config.Prose.SelfEval = OwnModel, 2
	r, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	own, err := r.openOwn()
	if err != nil {
		t.Fatal(err)
	}
	defer own.close()
	ask := linearize.Request{Prompt: sums[0].Problem(), Temperature: 1, Seed: 3, MaxTokens: 64}
	reply, err := own.Complete(t.Context(), ask)
	if err != nil || !slices.Contains(sums[0].Solutions(), reply) {
		t.Errorf("got %q (%v); want one of %q", reply, err, sums[0].Solutions())
	}
	if again, err := own.Complete(t.Context(), ask); again != reply || err != nil {
		t.Errorf("got %q (%v) the second time, %q the first", again, err, reply)
	}
	if ask.MaxTokens = 2; err == nil {
		if cut, err := own.Complete(t.Context(), ask); cut != "" || err != nil {
			t.Errorf("got %q (%v) of a reply that was cut; want none", cut, err)
		}
	}
	if err := p.Run(t.Context(), Search); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), Linearize); err == nil || !strings.Contains(err.Error(), "gave a trace") {
		t.Errorf("got %v; want no trace without a judgement", err)
	}
}
