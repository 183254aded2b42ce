//go:build browser

package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeServer answers as a server that learns does: with recorded JSON of the very forms of its routes, and with a state that calls change.
type fakeServer struct {
	t    *testing.T
	text string // of every reply

	mu       sync.Mutex
	got      map[string][]map[string]any // bodies by route
	key      string                      // that is wanted; "" = none
	off      map[string]bool             // routes that do not exist, by the first part of their path
	serving  int
	bad      int   // the version that was rolled back from
	waiting  []int // candidates
	canary   map[string]any
	learning string
	hold     chan struct{} // a stream waits for it half-way, if there is one
}

func startFake(t *testing.T) (*fakeServer, string) {
	t.Helper()
	text, err := os.ReadFile("testdata/reply.txt")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{t: t, text: strings.TrimSuffix(string(text), "\n"), got: map[string][]map[string]any{}, off: map[string]bool{}, serving: 12, learning: "running"}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return f, s.URL
}

// ServeHTTP serves the page as the real server does, and the API where it is switched on and the key is right.
func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if reply, ok := Get(r.URL.Path, r.Header.Get("If-None-Match")); ok && r.Method == "GET" {
		for _, h := range reply.Header {
			w.Header().Set(h[0], h[1])
		}
		w.WriteHeader(reply.Status)
		w.Write(reply.Body)
		return
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/"), "v1/"), "/")
	f.mu.Lock()
	key, off := f.key, f.off[first]
	f.mu.Unlock()
	switch {
	case off:
		refuse(w, 404, "unknown_url", "Unknown request URL.")
	case key != "" && r.Header.Get("Authorization") != "Bearer "+key:
		refuse(w, 401, "invalid_api_key", "Incorrect API key provided.")
	case r.Method == "POST":
		f.post(w, r)
	default:
		f.get(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": text, "type": "invalid_request_error", "param": nil, "code": code}})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}

func (f *fakeServer) post(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		f.t.Errorf("%s: %v", r.URL.Path, err)
	}
	f.mu.Lock()
	f.got[r.URL.Path] = append(f.got[r.URL.Path], body)
	f.mu.Unlock()
	switch path := r.URL.Path; {
	case path == "/v1/chat/completions" && strings.HasPrefix(fmt.Sprint(body["model"]), "plain"):
		refuse(w, 400, "no_chat_template", "This model has no chat template. Use /v1/completions.")
	case path == "/v1/chat/completions", path == "/v1/completions":
		f.stream(w, path == "/v1/completions")
	case path == "/v1/feedback":
		f.feedback(w, body)
	case path == "/reasoning/graph" && body["format"] == "dot":
		answer(w, map[string]any{"dot": "digraph reasoning { 0 -> 1 }\n"})
	case path == "/reasoning/graph":
		f.file(w, "testdata/graph.json")
	case strings.HasPrefix(path, "/learning/"):
		f.mu.Lock()
		f.learning = map[string]string{"pause": "paused", "resume": "running", "step": "paused"}[strings.TrimPrefix(path, "/learning/")]
		f.mu.Unlock()
		answer(w, f.state())
	case strings.HasPrefix(path, "/v1/policies/"):
		f.change(w, path, body)
	default:
		refuse(w, 404, "unknown_url", "Unknown request URL.")
	}
}

// stream writes the reply word by word, as a server does, and holds half-way where a test wants to see it.
func (f *fakeServer) stream(w http.ResponseWriter, plain bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	words := strings.SplitAfter(f.text, " ")
	f.mu.Lock()
	hold := f.hold
	f.mu.Unlock()
	send := func(choices, usage string) {
		fmt.Fprintf(w, `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"astro-countdown","system_fingerprint":"astro-dev-v12","choices":[%s],"usage":%s}`+"\n\n", choices, usage)
		w.(http.Flusher).Flush()
	}
	for i, word := range words {
		quoted, _ := json.Marshal(word)
		if plain {
			send(fmt.Sprintf(`{"index":0,"text":%s,"finish_reason":null}`, quoted), "null")
		} else {
			send(fmt.Sprintf(`{"index":0,"delta":{"content":%s},"finish_reason":null}`, quoted), "null")
		}
		if i == len(words)/2 && hold != nil {
			io.WriteString(w, ": keep-alive\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-hold:
			case <-time.After(answerTimeout):
			}
		}
	}
	send(`{"index":0,"delta":{},"finish_reason":"stop"}`, "null")
	send("", fmt.Sprintf(`{"prompt_tokens":8,"completion_tokens":%d,"total_tokens":%d}`, len(words), 8+len(words)))
	io.WriteString(w, "data: [DONE]\n\n")
}

func (f *fakeServer) feedback(w http.ResponseWriter, body map[string]any) {
	reward := 1
	if body["verdict"] == "incorrect" {
		reward = -1
	}
	answer(w, map[string]any{"id": "fb-1", "object": "feedback", "completion_id": body["completion_id"], "choice": 0, "reward": reward, "rater": body["rater"], "source": "app", "created": 1_700_000_000, "duplicate": false})
}

func (f *fakeServer) file(w http.ResponseWriter, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		f.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(text)
}

func (f *fakeServer) state() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return map[string]any{"state": f.learning, "source": "countdown", "step": 17, "phase": "gather", "phase_seconds": 1.2, "serving": f.serving, "publish": "manual", "candidates": f.waiting,
		"feedback": map[string]any{"stored": 1000, "used": 500, "waiting": 40}, "reason": ""}
}

func (f *fakeServer) get(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; path {
	case "/v1/models":
		list := []map[string]any{}
		for _, id := range []string{"astro-countdown", "astro-countdown@v12", "astro-countdown@v11", "plain-text"} {
			list = append(list, map[string]any{"id": id, "object": "model"})
		}
		answer(w, map[string]any{"object": "list", "data": list})
	case "/learning":
		answer(w, f.state())
	case "/learning/updates":
		f.updates(w, r)
	case "/v1/policies":
		answer(w, f.policies())
	case "/trees":
		answer(w, map[string]any{"object": "list", "data": []map[string]any{{"id": "cd4-0001", "problem": "3 7 2 9 -> 27", "nodes": 14, "solved": true},
			{"id": "cd4-0002", "problem": "3 4 5 6 -> 18 & <b>bold</b>", "nodes": 2, "solved": false}}})
	default:
		if id, ok := strings.CutPrefix(path, "/trees/"); ok {
			f.tree(w, id)
			return
		}
		refuse(w, 404, "unknown_url", "Unknown request URL.")
	}
}

// tree is one of the recorded trees in the form of GET /trees/{id}.
func (f *fakeServer) tree(w http.ResponseWriter, id string) {
	file, err := os.Open("testdata/trees.jsonl")
	if err != nil {
		f.t.Error(err)
		return
	}
	defer file.Close()
	type node struct {
		ID       int     `json:"id"`
		Parent   int     `json:"parent"`
		Text     string  `json:"text"`
		Visits   int     `json:"visits"`
		Value    float64 `json:"value"`
		Terminal bool    `json:"terminal"`
		Correct  bool    `json:"correct"`
	}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var tree struct {
			ID      string `json:"id"`
			Problem string `json:"problem"`
			Nodes   []struct {
				node
				Q float64 `json:"q"`
			} `json:"nodes"`
		}
		if err := json.Unmarshal(lines.Bytes(), &tree); err != nil || tree.ID != id {
			continue
		}
		nodes := []node{}
		for i, n := range tree.Nodes {
			n.node.ID, n.node.Value = i, n.Q
			nodes = append(nodes, n.node)
		}
		answer(w, map[string]any{"id": tree.ID, "problem": tree.Problem, "nodes": nodes})
	}
}

// updates are 40 updates of a run that goes well, with two that were refused.
func (f *fakeServer) updates(w http.ResponseWriter, r *http.Request) {
	after := 0
	fmt.Sscan(r.URL.Query().Get("after"), &after)
	all := []map[string]any{}
	for n := after + 1; n <= 40; n++ {
		x := float64(n)
		wave := math.Sin(x * 1.7)
		u := map[string]any{"id": n, "at": 1_700_000_000 + 10*n, "version": n + 1, "parent": n, "state": "applied", "reason": "", "reward": -0.5 + 0.01*x + 0.04*wave, "pass_rate": 0.3 + 0.004*x + 0.03*wave,
			"length": 150 - 0.4*x + 5*wave, "backtracks": 4.7 - 0.03*x + 0.2*wave, "entropy": 0.62 - 0.004*x + 0.01*wave, "clipped": 0.01 + 0.004*math.Abs(wave), "kl": 0.001 + 0.0004*math.Abs(wave),
			"gap": 1e-7 * (1.5 + wave), "ratio": 1.2 + 0.1*wave, "grad_norm": 0.3 + 0.05*wave, "loss": 0.01 * wave, "lr": 3e-4, "staleness": 0.4 + 0.2*wave, "mixed": 0.8 + 0.05*wave,
			"gather_seconds": 6 + wave, "learn_seconds": 4 + 0.3*wave, "swap_ms": 0.2 + 0.05*wave, "tokens_per_second": 1200 + 80*wave, "eval": nil}
		if n%8 == 0 {
			u["eval"] = map[string]any{"pass_rate": 0.31 + 0.004*x, "error": 0.02}
		}
		if n == 13 || n == 30 {
			u["state"], u["reason"] = "rejected", "the evaluation is worse than the parent's beyond its error"
		}
		all = append(all, u)
	}
	answer(w, map[string]any{"object": "list", "data": all})
}

func (f *fakeServer) policies() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []map[string]any{}
	for v := 9; v <= 14; v++ {
		state, reason := "stored", ""
		var eval any = map[string]any{"pass_rate": 0.30 + 0.01*float64(v), "error": 0.02}
		switch v {
		case f.serving:
			state = "serving"
		case f.bad:
			state, reason = "bad", "rolled back by an operator"
		case 13:
			state = "loaded"
		case 14:
			state, reason, eval = "rejected", "the evaluation is worse than the parent's beyond its error", nil
		}
		all = append(all, map[string]any{"id": fmt.Sprintf("astro-countdown@v%d", v), "version": v, "parent": v - 1, "state": state, "created": 1_700_000_000 + 600*v, "eval": eval, "reason": reason, "waiting": slices.Contains(f.waiting, v)})
	}
	return map[string]any{"object": "list", "serving": f.serving, "canary": f.canary, "data": all}
}

// change is promote, rollback or canary of a version.
func (f *fakeServer) change(w http.ResponseWriter, path string, body map[string]any) {
	var version int
	var action string
	if _, err := fmt.Sscanf(strings.ReplaceAll(path, "/", " "), " v1 policies %d %s", &version, &action); err != nil {
		f.t.Errorf("%s: %v", path, err)
	}
	f.mu.Lock()
	switch action {
	case "promote":
		f.serving, f.canary = version, nil
		f.waiting = slices.DeleteFunc(f.waiting, func(v int) bool { return v <= version })
	case "rollback":
		f.waiting = nil
		f.bad, f.serving, f.canary = f.serving, version, nil
	case "canary":
		f.canary = map[string]any{"version": version, "percent": body["percent"]}
	}
	f.mu.Unlock()
	answer(w, map[string]any{"id": fmt.Sprintf("astro-countdown@v%d", version), "version": version, "state": "serving"})
}

// sent are the bodies that a route has got.
func (f *fakeServer) sent(path string) []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]map[string]any(nil), f.got[path]...)
}
