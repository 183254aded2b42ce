package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"astro/model"
	"astro/openai"
)

// fakePolicies is a set of versions whose canary gets every request that names none.
type fakePolicies struct {
	mu    sync.Mutex
	list  PolicyList
	calls []string
	hold  int64 // what Assign says
}

func (f *fakePolicies) List(context.Context) (PolicyList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list, nil
}

func (f *fakePolicies) change(what string, version int64, actor string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf("%s %d by %s", what, version, actor))
	for _, p := range f.list.Data {
		if p.Version == version && p.State == "rejected" {
			return fmt.Errorf("%w: version %d did not pass its checks", ErrPolicyState, version)
		}
		if p.Version == version {
			return nil
		}
	}
	return ErrNoPolicy
}

func (f *fakePolicies) Promote(_ context.Context, v int64, actor string) error {
	return f.change("promote", v, actor)
}
func (f *fakePolicies) Rollback(_ context.Context, v int64, actor string) error {
	if v == 3 {
		return errors.New("the disk at /var/lib is on fire")
	}
	return f.change("rollback", v, actor)
}
func (f *fakePolicies) Canary(_ context.Context, v int64, percent int, actor string) error {
	return f.change(fmt.Sprintf("canary %d", percent), v, actor)
}
func (f *fakePolicies) Assign() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hold
}

// versions serves version 1, has version 2 loaded, 3 on disk and 4 rejected.
func versions(t *testing.T) (*harness, *fakePolicies) {
	f := &fakePolicies{list: PolicyList{Serving: 1, Canary: &Canary{2, 10}, Data: []PolicyInfo{{Version: 1, State: PolicyServing, Created: 7}, {Version: 2, Parent: 1, State: PolicyLoaded, Eval: &PolicyEval{0.4, 0.02}},
		{Version: 3, Parent: 1, State: "stored"}, {Version: 4, Parent: 1, State: "rejected", Reason: "no"}}}}
	h := remembering(t, "", func(c *Config) { c.Policies = f })
	if err := h.Engine.Load(model.NewPolicy(2, nil)); err != nil {
		t.Fatal(err)
	}
	return h, f
}

// A request may name a version; one that names none runs on the version that it is assigned. What answers is said and stored.
func TestVersionsArePinned(t *testing.T) {
	h, f := versions(t)
	on := func(name string) (answer openai.ChatAnswer, text string) {
		body := strings.Replace(chatWith(`,"seed":7,"max_tokens":8,"ignore_eos":true,"return_weight_versions":true`), `"fake"`, `"`+name+`"`, 1)
		answer = decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", body))
		return answer, answer.Choices[0].Message.Content
	}
	_, current := on("fake")
	for name, want := range map[string]int64{"fake@v1": 1, "alias/x@v1": 1, "fake@v2": 2, "fake": 1} {
		answer, text := on(name)
		if got := answer.Choices[0].Versions; len(got) != 1 || got[0].Version != want || answer.SystemFingerprint != fmt.Sprintf("astro-test-v%d", want) || (text == current) != (want == 1) {
			t.Errorf("%s: got %v, %s, %q", name, got, answer.SystemFingerprint, text)
		}
		choices, _, err := h.Store.Completion(t.Context(), "default", answer.ID)
		if err != nil || choices[0].Version() != want {
			t.Errorf("%s: stored %+v, %v", name, choices, err)
		}
	}
	for _, path := range []string{"/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"} {
		body := map[string]string{"/v1/completions": textWith(""), "/v1/responses": responseWith(""), "/v1/messages": messageWith(""), "/v1/embeddings": `{"model":"fake","input":"a"}`}[path]
		if got := h.send(t, "POST", path, strings.Replace(body, `"fake"`, `"fake@v2"`, 1)); got.status != 200 {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
		if got := h.send(t, "POST", path, strings.Replace(body, `"fake"`, `"fake@v3"`, 1)); got.status != 404 {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	for _, name := range []string{"fake@v3", "fake@v0", "fake@v02", "fake@v-1", "fake@v", "fake@2", "nope@v1", "fake@v1@v1", "fake@v99999999999999999999"} {
		h.send(t, "POST", "/v1/chat/completions", strings.Replace(chatWith(""), `"fake"`, `"`+name+`"`, 1)).wantError(t, 404, "model_not_found")
	}
	f.hold = 2
	if answer, _ := on("fake"); answer.Choices[0].Versions[0].Version != 2 {
		t.Errorf("the canary was not asked: %+v", answer)
	}
	if answer, _ := on("fake@v1"); answer.Choices[0].Versions[0].Version != 1 {
		t.Errorf("a pinned request went to the canary: %+v", answer)
	}
	f.hold = 3 // has just left
	if answer, _ := on("fake"); answer.Choices[0].Versions[0].Version != 1 || answer.SystemFingerprint != "astro-test-v1" {
		t.Errorf("got %+v", answer)
	}
}

func TestModelsListVersions(t *testing.T) {
	h, _ := versions(t)
	var names []string
	for _, m := range decode[openai.ModelList](t, h.send(t, "GET", "/v1/models", "")).Data {
		names = append(names, fmt.Sprintf("%s=%d", m.ID, m.PolicyVersion))
	}
	if got := strings.Join(names, " "); got != "fake=1 alias/x=1 fake@v1=1 fake@v2=2" {
		t.Errorf("got %s", got)
	}
	if m := decode[openai.Model](t, h.send(t, "GET", "/v1/models/fake@v2", "")); m.ID != "fake@v2" || m.PolicyVersion != 2 {
		t.Errorf("got %+v", m)
	}
	if m := decode[openai.Model](t, h.send(t, "GET", "/v1/models/alias%2Fx@v1", "")); m.ID != "alias/x@v1" || m.Created != 7 {
		t.Errorf("got %+v", m)
	}
	h.send(t, "GET", "/v1/models/fake@v3", "").wantError(t, 404, "model_not_found")
	h.send(t, "GET", "/v1/models/nope@v1", "").wantError(t, 404, "model_not_found")
}

// Who changes a version is written down, with what came of it; the answer is the policy.
func TestPoliciesAreChanged(t *testing.T) {
	h, f := versions(t)
	list := decode[PolicyList](t, h.send(t, "GET", "/v1/policies", ""))
	if list.Object != "list" || list.Serving != 1 || list.Canary.Percent != 10 || len(list.Data) != 4 || list.Data[1].ID != "fake@v2" || list.Data[1].Eval.PassRate != 0.4 {
		t.Errorf("got %+v", list)
	}
	if p := decode[PolicyInfo](t, h.send(t, "POST", "/v1/policies/2/promote", "")); p.ID != "fake@v2" {
		t.Errorf("got %+v", p)
	}
	decode[PolicyInfo](t, h.send(t, "POST", "/v1/policies/1/rollback", "{}"))
	decode[PolicyInfo](t, h.send(t, "POST", "/v1/policies/2/canary", `{"percent":25}`))
	h.send(t, "POST", "/v1/policies/4/promote", "").wantError(t, 409, "policy_state")
	for _, id := range []string{"5", "0", "x", "-1", "02"} {
		h.send(t, "POST", "/v1/policies/"+id+"/promote", "").wantError(t, 404, "unknown_policy")
	}
	h.send(t, "POST", "/v1/policies/3/rollback", "").wantError(t, 500, "internal_error")
	for _, body := range []string{`{}`, `{"percent":101}`, `{"percent":-1}`, `{"percent":"10"}`, `{"percent":1,"x":2}`} {
		if got := h.send(t, "POST", "/v1/policies/2/canary", body); got.status != 400 {
			t.Errorf("%s: got %d %s", body, got.status, got.body)
		}
	}
	if want := "[promote 2 by local rollback 1 by local canary 25 2 by local promote 4 by local promote 5 by local]"; fmt.Sprint(f.calls) != want {
		t.Errorf("got %v", f.calls)
	}
	for subject, want := range map[string]string{"policy:2": "info promote local, info canary 25 % local", "policy:1": "info rollback local",
		"policy:4": "warn promote: this cannot be done in the present state: version 4 did not pass its checks local"} {
		events, err := h.Store.Events(t.Context(), subject, 0, 10)
		var got []string
		for _, e := range events {
			got = append(got, e.Level+" "+e.Message+" "+e.Actor)
		}
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%s: got %v, %v; want %s", subject, got, err, want)
		}
	}
	start(t, setup{}).send(t, "GET", "/v1/policies", "").wantError(t, 404, "learning_off")
	start(t, setup{}).send(t, "POST", "/v1/policies/1/promote", "").wantError(t, 404, "learning_off")
}
