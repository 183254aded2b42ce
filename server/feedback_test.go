package server

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"astro/engine/enginetest"
	"astro/feedback"
	"astro/openai"
	"astro/server/auth"
	"astro/training/reward"
)

// newStore opens a store until the test ends.
func newStore(t testing.TB, o feedback.Options) *feedback.Store {
	t.Helper()
	store, err := feedback.Open(filepath.Join(t.TempDir(), "state.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// remembering is a server with a store, whose model says a text.
func remembering(t testing.TB, text string, with func(*Config)) *harness {
	t.Helper()
	set := setup{config: func(c *Config) {
		c.Store = newStore(t, feedback.Options{KeepText: true})
		if with != nil {
			with(c)
		}
	}}
	if text != "" {
		set.runner = func(r *enginetest.Runner) { say(text)(r) }
	}
	return start(t, set)
}

// chatID asks for a chat and gives the id of its completion.
func (h *harness) chatID(t testing.TB, extra string, header ...string) string {
	t.Helper()
	return decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(extra), header...)).ID
}

func (h *harness) rates(t testing.TB, id, members string, header ...string) reply {
	t.Helper()
	return h.send(t, "POST", "/v1/feedback", fmt.Sprintf(`{"completion_id":%q,%s}`, id, members), header...)
}

// outcomes is a metric with the label outcome.
func (h *harness) outcomes(t *testing.T, name string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for series, v := range h.scrape(t) {
		if rest, ok := strings.CutPrefix(series, name+`{outcome="`); ok && v > 0 {
			all[strings.TrimSuffix(rest, `"}`)] = v
		}
	}
	return all
}

// A completion is stored before its answer is whole, over every API and streamed or not; its tokens and versions are those of the
// answer; what is said of it is stored once.
func TestFeedbackOfEveryAPI(t *testing.T) {
	h := remembering(t, "four", nil)
	for _, g := range generating {
		for _, stream := range []string{"", `,"stream":true`} {
			id := idIn(t, h.send(t, "POST", g.path, g.with(`,"metadata":{"task":"t1"}`+stream)))
			stored := decode[openai.StoredCompletion](t, h.send(t, "GET", "/v1/completions/"+id, ""))
			if len(stored.Choices) != 1 || stored.State != "complete" || string(stored.Metadata) != `{"task":"t1"}` || *stored.Choices[0].OutputText != "four" {
				t.Fatalf("%s: got %+v", g.path, stored)
			}
			c := stored.Choices[0]
			if len(c.TokenIDs) != 5 || len(c.Logprobs) != 5 || !slices.Equal(c.Versions, []openai.VersionSpan{{Version: 1, Start: 0, End: 5}}) || *c.FinishReason != "stop" {
				t.Errorf("%s: got %+v", g.path, c)
			}
			f := decode[openai.FeedbackAnswer](t, h.rates(t, id, `"verdict":"correct"`))
			if f.Reward != 1 || f.Rater != "local" || f.Source != "app" || f.Duplicate || f.CompletionID != id {
				t.Errorf("%s: got %+v", g.path, f)
			}
			if again := decode[openai.FeedbackAnswer](t, h.rates(t, id, `"reward":1`)); !again.Duplicate || again.ID != f.ID {
				t.Errorf("%s: got %+v", g.path, again)
			}
			if one := decode[openai.FeedbackAnswer](t, h.send(t, "GET", "/v1/feedback/"+f.ID, "")); one.ID != f.ID || one.Reward != 1 {
				t.Errorf("%s: got %+v", g.path, one)
			}
		}
	}
	if got := h.outcomes(t, "astro:feedback_total"); got["stored"] != 8 || got["duplicate"] != 8 {
		t.Errorf("got %v", got)
	}
}

// idIn finds the id of an answer, or of the first event that has one.
func idIn(t testing.TB, r reply) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(r.body), `"id":"`)
	id, _, ok2 := strings.Cut(rest, `"`)
	if r.status != 200 || !ok || !ok2 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	return id
}

// What is stored is what was drawn, for each choice of each prompt: ids, raw log-probabilities, and those of the distribution.
func TestRecordedTokensAreThoseOfTheAnswer(t *testing.T) {
	h := remembering(t, "", nil)
	got := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", `{"model":"fake","prompt":["ab","c"],"n":2,"max_tokens":9,"temperature":0.7,"return_token_ids":true,"logprobs":0}`))
	choices, _, err := h.Store.Completion(t.Context(), auth.DefaultTenant, got.ID)
	if err != nil || len(choices) != 4 {
		t.Fatalf("got %d choices, %v", len(choices), err)
	}
	for i, c := range choices {
		want := got.Choices[i]
		if !slices.Equal(c.Output, want.TokenIDs) || !slices.Equal(c.Prompt, want.PromptTokenIDs) || c.Finish != *want.FinishReason || len(c.Sampled) != len(c.Output) {
			t.Errorf("choice %d: stored %+v, answered %+v", i, c, want)
		}
		for k, p := range want.Logprobs.TokenLogprobs {
			if float32(*p) != c.Logprobs[k] {
				t.Errorf("choice %d, token %d: stored %g, answered %g", i, k, c.Logprobs[k], *p)
			}
		}
	}
	var params struct {
		Temperature float64 `json:"temperature"`
		N           int     `json:"n"`
	}
	if json.Unmarshal(choices[0].Params, &params) != nil || params.Temperature != 0.7 || params.N != 2 {
		t.Errorf("got %s", choices[0].Params)
	}
}

// Each refusal has its status and its code, and is counted under it.
func TestFeedbackRefusals(t *testing.T) {
	slow := make(chan struct{})
	defer close(slow)
	h := remembering(t, "4", func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.GraderTimeout = 50 * time.Millisecond
		c.Graders = map[string]reward.Grader{"slow": graderFunc(func(reward.Item) (reward.Grade, error) { <-slow; return reward.Grade{}, nil }),
			"broken": graderFunc(func(reward.Item) (reward.Grade, error) { panic("secret detail") }),
			"high":   graderFunc(func(reward.Item) (reward.Grade, error) { return reward.Grade{Score: 2}, nil })}
	})
	id := h.chatID(t, "")
	h.rates(t, id, `"reward":0.5,"rater":"ann"`)
	for _, c := range []struct {
		id, members string
		status      int
		code        string
	}{
		{"chatcmpl-none", `"reward":1`, 404, "unknown_completion"}, {id, `"reward":1,"choice":1`, 404, "unknown_completion"}, {id, `"grader":"math","choice":1`, 404, "unknown_completion"},
		{id, `"reward":-0.5,"rater":"ann"`, 409, "feedback_conflict"}, {id, `"reward":"1"`, 400, "invalid_type"}, {id, `"reward":1.01`, 400, "decimal_above_max_value"},
		{id, `"grader":{"type":"http","url":"http://localhost"}`, 400, "grader_url_refused"}, {id, `"grader":{"type":"python","source":"x"}`, 400, "unsupported_grader"},
		{id, `"grader":"nobody"`, 400, "unsupported_grader"}, {id, `"grader":{"type":"numeric","tolerance":7}`, 400, "invalid_grader"}, {id, `"grader":"slow"`, 422, "grader_failed"},
		{id, `"grader":"broken"`, 422, "grader_failed"}, {id, `"grader":"high"`, 422, "grader_failed"}, {id, `"grader":"numeric","answer":"canary-answer"`, 422, "grader_failed"},
		{id, `"grader":{"type":"string_check","operation":"eq","input":"{{sample.output_text}}","reference":"{{item.label}}"}`, 422, "grader_failed"},
		{id, `"reward":1,"surprise":1`, 400, "unknown_parameter"},
	} {
		got := h.rates(t, c.id, c.members)
		got.wantError(t, c.status, c.code)
		if strings.Contains(string(got.body), "secret") {
			t.Errorf("got %s", got.body)
		}
	}
	if got := h.outcomes(t, "astro:feedback_total"); got["stored"] != 1 || got["grader_failed"] != 5 || got["invalid"] != 4 || got["unknown_completion"] != 3 || got["feedback_conflict"] != 1 ||
		got["grader_url_refused"] != 1 || got["unsupported_grader"] != 2 {
		t.Errorf("got %v", got)
	}
	if strings.Contains(h.log.String(), "canary") {
		t.Errorf("the log holds what a client said: %s", h.log.String())
	}
	if n, err := h.Store.Counts(t.Context()); err != nil || n.Feedback != 1 {
		t.Errorf("%d feedbacks are stored, %v; want 1", n.Feedback, err)
	}
	if got := h.rates(t, id, `"reward":-0.5,"rater":"ann","supersede":true`); decode[openai.FeedbackAnswer](t, got).Reward != -0.5 {
		t.Errorf("got %s", got.body)
	}
	h.send(t, "GET", "/v1/feedback/fb-none", "").wantError(t, 404, "unknown_feedback")
	h.send(t, "GET", "/v1/completions/chatcmpl-none", "").wantError(t, 404, "unknown_completion")
}

// graderFunc is a grader of a test.
type graderFunc func(reward.Item) (reward.Grade, error)

func (f graderFunc) Grade(i reward.Item) (reward.Grade, error) { return f(i) }

// A grader judges the stored tokens; its score from 0 to 1 becomes a reward from -1 to 1.
func TestFeedbackOfGraders(t *testing.T) {
	var seen reward.Item
	h := remembering(t, "so \\boxed{4}", func(c *Config) {
		c.Graders = map[string]reward.Grader{"service": graderFunc(func(i reward.Item) (reward.Grade, error) {
			seen = i
			return reward.Grade{Score: 0.75, Reason: "partly"}, nil
		})}
	})
	for i, c := range []struct {
		members string
		reward  float64
		grader  string
	}{
		{`"grader":"math","answer":"4"`, 1, "math"}, {`"grader":{"type":"math"},"answer":"5"`, -1, "math"}, {`"grader":{"type":"numeric","tolerance":0.3},"answer":"5"`, 1, "numeric"},
		{`"grader":{"type":"http","name":"service"},"answer":"5"`, 0.5, "service"}, {`"grader":"service"`, 0.5, "service"},
		{`"grader":{"type":"string_check","operation":"like","input":"{{sample.output_text}}","reference":"boxed{ {{item.label}}"}`, -1, "string_check"},
		{`"grader":{"type":"string_check","operation":"like","name":"x","input":"<{{sample.output_text}}>","reference":"{{{item.label}}}>"}`, 1, "string_check"},
		{`"grader":{"type":"multi","graders":{"a":{"type":"math"},"b":{"type":"pattern","expression":"^no"}},"calculate_output":"0.5*a + 0.5*b"},"answer":"4"`, 0, "multi"},
	} {
		id := h.chatID(t, `,"metadata":{"label":"4","problem":"2+2?"}`)
		f := decode[openai.FeedbackAnswer](t, h.rates(t, id, c.members+fmt.Sprintf(`,"rater":"r%d"`, i)))
		if f.Reward != c.reward || f.Grader != c.grader || f.Source != "verifier" || f.Evidence == "" {
			t.Errorf("%s: got %+v; want %g of %s", c.members, f, c.reward, c.grader)
		}
	}
	if seen.Response != "so \\boxed{4}" || seen.Problem != "2+2?" {
		t.Errorf("the service saw %+v", seen)
	}
}

// Nobody learns anything of what another tenant was served.
func TestFeedbackStaysWithItsTenant(t *testing.T) {
	a, secretA := newKey(t, auth.Key{Tenant: "a", Scopes: auth.Inference | auth.Feedback})
	b, secretB := newKey(t, auth.Key{Tenant: "b", Scopes: auth.Inference | auth.Feedback})
	same, secretSame := newKey(t, auth.Key{Tenant: "a", Scopes: auth.Feedback})
	h := remembering(t, "", func(c *Config) { c.Access.Keys = []auth.Key{a, b, same} })
	bearer := func(secret string) []string { return []string{"Authorization", "Bearer " + secret} }
	id := h.chatID(t, "", bearer(secretA)...)
	f := decode[openai.FeedbackAnswer](t, h.rates(t, id, `"reward":1,"idempotency_key":"once"`, bearer(secretSame)...))
	if f.Rater != same.ID {
		t.Errorf("got %+v", f)
	}
	if again := decode[openai.FeedbackAnswer](t, h.rates(t, id, `"reward":1,"idempotency_key":"once"`, bearer(secretSame)...)); !again.Duplicate || again.ID != f.ID {
		t.Errorf("got %+v", again)
	}
	h.rates(t, id, `"reward":0,"idempotency_key":"once"`, bearer(secretSame)...).wantError(t, 409, "feedback_conflict")
	h.rates(t, id, `"reward":1`, bearer(secretB)...).wantError(t, 404, "unknown_completion")
	h.rates(t, id, `"grader":"math","answer":"1"`, bearer(secretB)...).wantError(t, 404, "unknown_completion")
	h.send(t, "GET", "/v1/completions/"+id, "", bearer(secretB)...).wantError(t, 404, "unknown_completion")
	h.send(t, "GET", "/v1/feedback/"+f.ID, "", bearer(secretB)...).wantError(t, 404, "unknown_feedback")
	if got := decode[openai.StoredCompletion](t, h.send(t, "GET", "/v1/completions/"+id, "", bearer(secretSame)...)); len(got.Feedback) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestFeedbackOff(t *testing.T) {
	h := start(t, setup{})
	for _, q := range [][3]string{{"POST", "/v1/feedback", `{"completion_id":"x","reward":1}`}, {"GET", "/v1/feedback/x", ""}, {"GET", "/v1/completions/x", ""}, {"POST", "/rl/start_session", `{"task_id":"x"}`},
		{"POST", "/rl/set_reward", `{"reward":1}`}, {"POST", "/rl/end_session", ""}, {"GET", "/learning/updates", ""}} {
		h.send(t, q[0], q[1], q[2]).wantError(t, 404, "feedback_off")
	}
}

// An expired completion says so, whether its tokens are still there or not.
func TestFeedbackExpires(t *testing.T) {
	h := remembering(t, "", func(c *Config) { c.Store = newStore(t, feedback.Options{Retention: time.Millisecond}) })
	id := h.chatID(t, "")
	time.Sleep(5 * time.Millisecond)
	h.rates(t, id, `"reward":1`).wantError(t, 410, "completion_expired")
	h.rates(t, id, `"grader":"math","answer":"1"`).wantError(t, 410, "completion_expired")
	h.send(t, "GET", "/v1/completions/"+id, "").wantError(t, 410, "completion_expired")
	if got := h.outcomes(t, "astro:feedback_total"); got["completion_expired"] != 2 {
		t.Errorf("got %v", got)
	}
}

// A store that is gone fails no answer: it is counted, logged once, and feedback gets a 503.
func TestStoreDown(t *testing.T) {
	h := remembering(t, "", nil)
	id := h.chatID(t, "")
	h.Store.Close()
	for range 5 {
		h.chatID(t, "")
		events(t, h.send(t, "POST", "/v1/chat/completions", chatWith(`,"stream":true`)).body)
	}
	if got := h.rates(t, id, `"reward":1`); got.header.Get("Retry-After") == "" {
		t.Errorf("got %v", got.header)
	}
	h.rates(t, id, `"reward":1`).wantError(t, 503, "storage_unavailable")
	h.rates(t, id, `"grader":"math","answer":"1"`).wantError(t, 503, "storage_unavailable")
	h.send(t, "GET", "/v1/completions/"+id, "").wantError(t, 503, "storage_unavailable")
	h.send(t, "GET", "/v1/feedback/fb-1", "").wantError(t, 503, "storage_unavailable")
	h.send(t, "POST", "/rl/start_session", `{"task_id":"x"}`).wantError(t, 503, "storage_unavailable")
	h.send(t, "GET", "/learning/updates", "").wantError(t, 503, "storage_unavailable")
	h.send(t, "GET", "/trees", "").wantError(t, 503, "storage_unavailable")
	if got := h.outcomes(t, "astro:completions_recorded_total"); got["failed"] != 10 || got["stored"] != 1 {
		t.Errorf("got %v", got)
	}
	if n := strings.Count(h.log.String(), "was not stored"); n != 1 {
		t.Errorf("it is logged %d times: %s", n, h.log.String())
	}
}

// What a client does not want to be stored, and what draws nothing, is not.
func TestNothingIsRecorded(t *testing.T) {
	h := remembering(t, "", nil)
	ids := []string{h.chatID(t, `,"store":false`)}
	for _, q := range [][2]string{{"/v1/completions", textWith(`,"max_tokens":0,"echo":true,"logprobs":1`)}, {"/v1/responses", responseWith(`,"store":false`)}, {"/v1/messages", messageWith(`,"store":false`)},
		{"/v1/completions", textWith(`,"store":false,"stream":true`)}} {
		ids = append(ids, idIn(t, h.send(t, "POST", q[0], q[1])))
	}
	h.send(t, "POST", "/v1/embeddings", `{"model":"fake","input":"a"}`)
	for _, id := range ids {
		h.rates(t, id, `"reward":1`).wantError(t, 404, "unknown_completion")
	}
	if n, err := h.Store.Counts(t.Context()); err != nil || n.Completions != 0 {
		t.Errorf("%d completions are stored, %v", n.Completions, err)
	}
	if got := decode[openai.StoredCompletion](t, h.send(t, "GET", "/v1/completions/"+idIn(t, h.send(t, "POST", "/v1/messages", messageWith(`,"metadata":{"user_id":"someone"}`))), "")); got.Metadata != nil {
		t.Errorf("an end user's name is stored: %s", got.Metadata)
	}
}

// Texts are stored only if the operator allows it.
func TestTextsAreNotKept(t *testing.T) {
	h := remembering(t, "four", func(c *Config) { c.Store = newStore(t, feedback.Options{}) })
	id := h.chatID(t, "")
	if got := decode[openai.StoredCompletion](t, h.send(t, "GET", "/v1/completions/"+id, "")).Choices[0]; got.OutputText != nil || got.PromptText != nil || len(got.TokenIDs) != 5 {
		t.Errorf("got %+v", got)
	}
	decode[openai.FeedbackAnswer](t, h.rates(t, id, `"grader":"string_check","answer":"four"`))
}

// A client that goes away leaves an aborted completion, which cannot be rated.
func TestAbortedStreamIsStored(t *testing.T) {
	g := newGate()
	g.open()
	var store *feedback.Store
	h := start(t, setup{runner: g.hold(0), options: longContext, config: func(c *Config) {
		store = newStore(t, feedback.Options{})
		c.Store = store
	}})
	conn := h.post(t, chatWith(`,"stream":true,"ignore_eos":true`))
	text := make([]byte, 4096)
	n := 0
	for !strings.Contains(string(text[:n]), `"id":"chatcmpl-`) {
		more, err := conn.Read(text[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += more
	}
	id := idIn(t, reply{status: 200, body: text[:n]})
	conn.Close()
	eventually(t, "it is stored", func() bool {
		choices, _, err := store.Completion(context.Background(), auth.DefaultTenant, id)
		return err == nil && choices[0].State == feedback.Aborted
	})
	h.rates(t, id, `"reward":1`).wantError(t, 409, "completion_aborted")
	h.rates(t, id, `"grader":"math","answer":"1"`).wantError(t, 409, "completion_aborted")
	if got := decode[openai.StoredCompletion](t, h.send(t, "GET", "/v1/completions/"+id, "")); got.State != "aborted" || got.Choices[0].FinishReason != nil {
		t.Errorf("got %+v", got)
	}
	if got := h.outcomes(t, "astro:completions_recorded_total"); got["aborted"] != 1 {
		t.Errorf("got %v", got)
	}
}

// The server scores its own answer where the key may do both; with inference alone the metadata is only stored.
func TestSelfScoring(t *testing.T) {
	both, secretBoth := newKey(t, auth.Key{Scopes: auth.Inference | auth.Feedback})
	only, secretOnly := newKey(t, auth.Key{Scopes: auth.Inference})
	h := remembering(t, "\\boxed{4}", func(c *Config) {
		c.Access.Keys, c.Access.AdminKeys = []auth.Key{both, only}, []string{"sk-admin-key"}
	})
	ask := func(secret, answer, grader string) string {
		return h.chatID(t, fmt.Sprintf(`,"n":2,"metadata":{"answer":%q,"grader":%q}`, answer, grader), "Authorization", "Bearer "+secret)
	}
	right, wrong, none, never := ask(secretBoth, "4", "math"), ask(secretBoth, "5", "math"), ask(secretOnly, "4", "math"), ask(secretBoth, "4", "nobody")
	said := func(id string) []feedback.Feedback {
		_, all, err := h.Store.Completion(t.Context(), auth.DefaultTenant, id)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	eventually(t, "both are scored", func() bool { return len(said(right)) == 2 && len(said(wrong)) == 2 })
	if r, w := said(right)[0], said(wrong)[1]; r.Reward != 1 || w.Reward != -1 || r.Source != feedback.Verifier || r.Grader != "math" {
		t.Errorf("got %+v and %+v", r, w)
	}
	if len(said(none))+len(said(never)) != 0 {
		t.Error("a completion was scored that must not be")
	}
	text := string(h.send(t, "GET", "/metrics", "", "Authorization", "Bearer sk-admin-key").body)
	for _, line := range []string{`astro:self_scored_total{outcome="stored"} 4`, `astro:self_scored_total{outcome="failed"} 2`} {
		if !strings.Contains(text, line) {
			t.Errorf("the metrics do not have %s", line)
		}
	}
}

// Graders that hang delay no answer; what waits is bounded, the rest is counted.
func TestSelfScoringIsBounded(t *testing.T) {
	hang := make(chan struct{})
	h := remembering(t, "", func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.GraderTimeout = time.Minute
		c.Graders = map[string]reward.Grader{"hang": graderFunc(func(reward.Item) (reward.Grade, error) { <-hang; return reward.Grade{Score: 1}, nil })}
	})
	const asked = maxScoring + 64
	for range asked / 64 {
		h.chatID(t, `,"max_tokens":1,"n":64,"metadata":{"answer":"x","grader":"hang"}`)
	}
	if got := h.outcomes(t, "astro:self_scored_total"); got["full"] != 64 || len(h.scoring) != maxScoring {
		t.Errorf("got %v, %d wait", got, len(h.scoring))
	}
	close(hang)
	eventually(t, "the rest is scored", func() bool { return h.outcomes(t, "astro:self_scored_total")["stored"] == maxScoring })
}
