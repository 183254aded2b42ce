package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"astro/feedback"
)

// fakeLearner is a loop that is paused and goes on when it is told to.
type fakeLearner struct {
	state string
	calls []string
}

func (f *fakeLearner) Status(context.Context) LearningStatus {
	return LearningStatus{State: f.state, Source: "countdown", Step: int64(len(f.calls)), Phase: "gather", PhaseSeconds: 1.5, Serving: 1, Publish: "manual", Feedback: FeedbackCount{Stored: 3, Used: 2, Waiting: 1}}
}

func (f *fakeLearner) do(what, actor, state string) error {
	if f.state == state {
		return fmt.Errorf("%w: learning is %s already", ErrPolicyState, state)
	}
	f.calls, f.state = append(f.calls, what+" by "+actor), state
	return nil
}

func (f *fakeLearner) Pause(_ context.Context, actor string) error {
	return f.do("pause", actor, "paused")
}
func (f *fakeLearner) Resume(_ context.Context, actor string) error {
	return f.do("resume", actor, "running")
}
func (f *fakeLearner) Step(_ context.Context, actor string) error { return f.do("step", actor, "") }

// The loop is shown and steered; who did it is written down.
func TestLearningIsSteered(t *testing.T) {
	l := &fakeLearner{state: "running"}
	h := remembering(t, "", func(c *Config) {
		c.Learner = l
		c.Access.AdminKeys, c.Access.APIKeys = []string{"sk-admin-key"}, []string{"sk-user-key"}
	})
	admin, user := []string{"Authorization", "Bearer sk-admin-key"}, []string{"Authorization", "Bearer sk-user-key"}
	got := h.send(t, "GET", "/learning", "", user...)
	if want := `{"state":"running","source":"countdown","step":0,"phase":"gather","phase_seconds":1.5,"serving":1,"publish":"manual","candidates":[],"feedback":{"stored":3,"used":2,"waiting":1},"reason":""}`; string(got.body) != want {
		t.Errorf("got %s", got.body)
	}
	if s := decode[LearningStatus](t, h.send(t, "POST", "/learning/pause", "", admin...)); s.State != "paused" || s.Step != 1 {
		t.Errorf("got %+v", s)
	}
	h.send(t, "POST", "/learning/pause", "{}", admin...).wantError(t, 409, "policy_state")
	decode[LearningStatus](t, h.send(t, "POST", "/learning/resume", "{}", admin...))
	decode[LearningStatus](t, h.send(t, "POST", "/learning/step", "", admin...))
	h.send(t, "POST", "/learning/step", "", user...).wantError(t, 403, "insufficient_scope")
	if fmt.Sprint(l.calls) != "[pause by admin-key-1 resume by admin-key-1 step by admin-key-1]" {
		t.Errorf("got %v", l.calls)
	}
	events, err := h.Store.Events(t.Context(), "learning", 0, 10)
	if err != nil || len(events) != 4 || events[0].Actor != "admin-key-1" || events[1].Level != "warn" || !strings.Contains(events[1].Message, "already") {
		t.Errorf("got %+v, %v", events, err)
	}
	for _, path := range []string{"/learning/pause", "/learning/resume", "/learning/step"} {
		start(t, setup{}).send(t, "POST", path, "").wantError(t, 404, "learning_off")
	}
	start(t, setup{}).send(t, "GET", "/learning", "").wantError(t, 404, "learning_off")
}

// Updates come in pages, each with its report and what the store knows of it.
func TestLearningUpdates(t *testing.T) {
	h := remembering(t, "", nil)
	for i := range 5 {
		u := feedback.Update{Parent: int64(i), Applied: i%2 == 0, Report: json.RawMessage(fmt.Sprintf(`{"reward":%d.5,"id":77,"state":"odd","eval":null}`, i))}
		if u.Applied {
			u.Policy = &feedback.Policy{Version: int64(i + 1), State: feedback.Published, Path: "p", ManifestSHA256: []byte{1}}
		} else {
			u.Reason = "too far"
		}
		if _, err := h.Store.Commit(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	type page struct {
		Object string           `json:"object"`
		Data   []map[string]any `json:"data"`
	}
	all := decode[page](t, h.send(t, "GET", "/learning/updates?after=1&limit=3", ""))
	if all.Object != "list" || len(all.Data) != 3 {
		t.Fatalf("got %+v", all)
	}
	one, two := all.Data[0], all.Data[1]
	if one["id"] != 2.0 || one["state"] != "rejected" || one["reason"] != "too far" || one["version"] != 0.0 || one["reward"] != 1.5 || one["parent"] != 1.0 || one["at"].(float64) < 1e9 {
		t.Errorf("got %v", one)
	}
	if two["id"] != 3.0 || two["state"] != "applied" || two["version"] != 3.0 {
		t.Errorf("got %v", two)
	}
	if rest := decode[page](t, h.send(t, "GET", "/learning/updates?after=5", "")); len(rest.Data) != 0 || rest.Data == nil {
		t.Errorf("got %+v", rest)
	}
	for _, query := range []string{"after=-1", "after=x", "limit=0", "limit=501", "limit=1.5", "after="} {
		if got := h.send(t, "GET", "/learning/updates?"+query, ""); got.status != 400 {
			t.Errorf("%s: got %d %s", query, got.status, got.body)
		}
	}
}

// The page's other two windows: graphs of a text, and search trees.
func TestGraphsAndTrees(t *testing.T) {
	h := remembering(t, "", func(c *Config) {
		c.Grapher = func(_, text string) (any, string, error) {
			if text == "flat" {
				return nil, "", errors.New("it has no steps")
			}
			return map[string]any{"nodes": []string{text}}, "digraph{}", nil
		}
	})
	for body, want := range map[string]string{`{"text":"a"}`: `{"nodes":["a"]}`, `{"text":"a","format":"json"}`: `{"nodes":["a"]}`, `{"text":"a","format":"dot"}`: `{"dot":"digraph{}"}`} {
		if got := h.send(t, "POST", "/reasoning/graph", body); string(got.body) != want {
			t.Errorf("%s: got %s", body, got.body)
		}
	}
	for _, body := range []string{`{"text":"flat"}`, `{}`, `{"text":""}`, `{"text":"a","format":"svg"}`, `{"text":7}`} {
		if got := h.send(t, "POST", "/reasoning/graph", body); got.status != 400 {
			t.Errorf("%s: got %d %s", body, got.status, got.body)
		}
	}
	for id, text := range map[string]string{"a/b c": `{"id":"a/b c","problem":"2 3 -> 5","nodes":[{"parent":-1,"visits":2},{"parent":0,"text":"s","visits":1,"q":0.5,"terminal":true,"correct":true}]}`, "bad": "[]"} {
		if err := h.Store.PutTree(t.Context(), feedback.Tree{ID: id, Tree: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.send(t, "GET", "/trees?limit=5", ""); string(got.body) != `{"object":"list","data":[{"id":"a/b c","nodes":2,"problem":"2 3 -\u003e 5","solved":true}]}` &&
		string(got.body) != `{"object":"list","data":[{"id":"a/b c","nodes":2,"problem":"2 3 -> 5","solved":true}]}` {
		t.Errorf("got %s", got.body)
	}
	if got := h.send(t, "GET", "/trees/a%2Fb%20c", ""); !strings.Contains(string(got.body), `{"id":1,"parent":0,"text":"s","visits":1,"value":0.5,"terminal":true,"correct":true}`) {
		t.Errorf("got %s", got.body)
	}
	h.send(t, "GET", "/trees/none", "").wantError(t, 404, "unknown_tree")
	h.send(t, "GET", "/trees/bad", "").wantError(t, 404, "unknown_tree")
	off := start(t, setup{})
	off.send(t, "GET", "/trees", "").wantError(t, 404, "trees_off")
	off.send(t, "GET", "/trees/x", "").wantError(t, 404, "trees_off")
	off.send(t, "POST", "/reasoning/graph", `{"text":"a"}`).wantError(t, 404, "graph_off")
}
