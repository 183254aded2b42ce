package recipe

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"astro/model/chat"
	"astro/model/tokenizer"
	"astro/training/reward"
)

// A service's score comes through; whatever else it does is an error that is no score.
func TestHTTPGrader(t *testing.T) {
	released := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /half", func(w http.ResponseWriter, q *http.Request) {
		var item reward.Item
		if err := json.NewDecoder(q.Body).Decode(&item); err != nil || item.Gold != "4" || item.Response != "five" {
			t.Errorf("the service was asked %+v, %v", item, err)
		}
		w.Write([]byte(`{"score": 0.5, "reason": "close"}`))
	})
	mux.HandleFunc("POST /broken", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no disk", http.StatusInternalServerError) })
	mux.HandleFunc("POST /elsewhere", func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, "/half", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("POST /long", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(strings.Repeat(" ", reward.MaxRemoteReplyBytes+1) + `{"score": 1}`))
	})
	mux.HandleFunc("POST /hangs", func(http.ResponseWriter, *http.Request) { <-released })
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(released)
	ask := func(path string, deadlineMillis int) (reward.Grade, error) {
		r := reward.Remote{URL: server.URL + path, DeadlineMillis: deadlineMillis, Client: NewHTTPPoster()}
		return r.Grade(reward.Item{Problem: "2+2", Gold: "4", Response: "five"})
	}
	if g, err := ask("/half", 60_000); err != nil || g.Score != .5 || g.Reason != "close" {
		t.Errorf("got %+v, %v; want the service's score", g, err)
	}
	for path, want := range map[string]string{"/broken": "no disk", "/elsewhere": "307", "/long": "more than", "/hangs": "deadline", "/absent": "404"} {
		deadline := 60_000
		if path == "/hangs" {
			deadline = 50
		}
		if g, err := ask(path, deadline); !errors.Is(err, reward.ErrRemote) || !strings.Contains(err.Error(), want) || g != (reward.Grade{}) {
			t.Errorf("%s: got %+v, %v; want an error with %q and no score", path, g, err, want)
		}
	}
}

// A named service's score becomes the reward of a rollout; its failure is no reward.
func TestTextRewardsByService(t *testing.T) {
	lines := []ProblemLine{{ID: "a", Problem: "2+2?", Answer: "4", Line: 1}}
	fail := errors.New("down")
	grader := graderFunc(func(item reward.Item) (reward.Grade, error) {
		if item.Problem != "2+2?" || item.Gold != "4" {
			t.Errorf("got %+v", item)
		}
		if item.Response == "" {
			return reward.Grade{}, fail
		}
		return reward.Grade{Score: .75, Reason: "nearly"}, nil
	})
	tok, err := tokenizer.Load("../../model/tokenizer/testdata/bpe512/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	template, err := chat.Load("../../model/tokenizer/testdata/bpe512")
	if err != nil {
		t.Fatal(err)
	}
	r := TextRewards(DefaultSearchText(tok, template, BlankLine), lines, grader)
	if len(r.Problems) != 1 {
		t.Fatalf("got %d problems; skipped %v", len(r.Problems), r.Skipped)
	}
	g, err := r.Grade(t.Context(), r.Problems[0], tok.Encode("five"))
	if err != nil || g.Reward != .5 || g.Correct || g.Reason != "nearly" {
		t.Errorf("got %+v, %v; want the reward 0.5 for the score 0.75", g, err)
	}
	if _, err := r.Grade(t.Context(), r.Problems[0], nil); !errors.Is(err, fail) {
		t.Errorf("got %v; want the grader's failure", err)
	}
}

type graderFunc func(reward.Item) (reward.Grade, error)

func (f graderFunc) Grade(item reward.Item) (reward.Grade, error) { return f(item) }
