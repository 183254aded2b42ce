package server

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"astro/feedback"
	"astro/openai"
	"astro/server/auth"
)

// tokenKeys makes the keys of feedback tokens.
func tokenKeys(t *testing.T) (path string, keys auth.TokenKeys) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tokens.json")
	return path, rotateTokens(t, path)
}

func rotateTokens(t *testing.T, path string) auth.TokenKeys {
	t.Helper()
	if _, err := auth.RotateTokenKeys(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	keys, err := auth.LoadTokenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// tokened is a server that gives feedback tokens out, with a key for both rights and one that may only ask.
func tokened(t *testing.T, with func(*Config)) (h *harness, path, both, asks string) {
	t.Helper()
	path, keys := tokenKeys(t)
	one, both := newKey(t, auth.Key{Tenant: "acme", Scopes: auth.Inference | auth.Feedback})
	two, asks := newKey(t, auth.Key{Tenant: "acme", Scopes: auth.Inference})
	h = remembering(t, "four", func(c *Config) {
		c.Access.Keys, c.Access.TokenKeys = []auth.Key{one, two}, keys
		if with != nil {
			with(c)
		}
	})
	return h, path, "Bearer " + both, "Bearer " + asks
}

// A browser rates with the token of an answer, of every API, streamed or not: once, in either header, as the user whom the request named.
func TestFeedbackTokenRatesOnce(t *testing.T) {
	h, _, both, _ := tokened(t, nil)
	for _, g := range generating {
		for _, stream := range []string{"", `,"stream":true`} {
			user := `,"user":"ann"`
			if g.path == "/v1/messages" {
				user = `,"metadata":{"user_id":"ann"}`
			}
			answer := h.send(t, "POST", g.path, g.with(user+stream), "Authorization", both)
			id, token := idIn(t, answer), answer.header.Get(tokenHeader)
			if !strings.HasPrefix(token, auth.FeedbackTokenPrefix) {
				t.Fatalf("%s%s: got %v", g.path, stream, answer.header)
			}
			name, value := tokenHeader, token
			if stream != "" {
				name, value = "Authorization", "Bearer "+token
			}
			f := decode[openai.FeedbackAnswer](t, h.rates(t, id, `"verdict":"correct","metadata":{"why":"right"}`, name, value))
			if f.Rater != "ann" || f.Reward != 1 || f.Source != "app" || f.Duplicate {
				t.Errorf("%s%s: got %+v", g.path, stream, f)
			}
			again := decode[openai.FeedbackAnswer](t, h.rates(t, id, `"reward":1,"rater":"ann","metadata":{"why":"right"}`, name, value))
			if !again.Duplicate || again.ID != f.ID {
				t.Errorf("%s%s: the same again: got %+v", g.path, stream, again)
			}
			h.rates(t, id, `"reward":-1`, name, value).wantError(t, 409, "feedback_conflict")
			_, said, err := h.Store.Completion(t.Context(), "acme", id)
			if err != nil || len(said) != 1 || said[0].Tenant != "acme" || said[0].Key == "" {
				t.Errorf("%s%s: stored %+v, %v", g.path, stream, said, err)
			}
		}
	}
	if got := h.outcomes(t, "astro:feedback_total"); got["stored"] != 8 || got["duplicate"] != 8 || got["feedback_conflict"] != 8 {
		t.Errorf("got %v", got)
	}
}

// One feedback is one for all choices. Without a user anybody who has the token may rate; a long name is called by its hash.
func TestFeedbackTokenRaters(t *testing.T) {
	h, _, both, _ := tokened(t, nil)
	answer := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"n":2`), "Authorization", both)
	id, token := idIn(t, answer), answer.header.Get(tokenHeader)
	if f := decode[openai.FeedbackAnswer](t, h.rates(t, id, `"reward":0.5,"choice":1`, tokenHeader, token)); f.Rater != anyRater || f.Choice != 1 {
		t.Errorf("got %+v", f)
	}
	h.rates(t, id, `"reward":0.5,"choice":0`, tokenHeader, token).wantError(t, 409, "feedback_conflict")
	long := h.send(t, "POST", "/v1/chat/completions", chatWith(fmt.Sprintf(`,"user":%q`, strings.Repeat("é", 100))), "Authorization", both)
	if f := decode[openai.FeedbackAnswer](t, h.rates(t, idIn(t, long), `"reward":1`, tokenHeader, long.header.Get(tokenHeader))); !strings.HasPrefix(f.Rater, "sha256:") || len(f.Rater) != 71 {
		t.Errorf("got %+v", f)
	}
}

// What a token does not allow, each with its status; nothing of it is stored.
func TestSec_R02FeedbackTokenRefusals(t *testing.T) {
	h, path, both, asks := tokened(t, nil)
	answer := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"user":"ann"`), "Authorization", both)
	id, token := idIn(t, answer), answer.header.Get(tokenHeader)
	other := h.chatID(t, "", "Authorization", both)
	h.rates(t, other, `"reward":1`, tokenHeader, token).wantError(t, 404, "unknown_completion")
	for members, param := range map[string]string{`"grader":"math","answer":"4"`: "grader", `"reward":1,"supersede":true`: "supersede", `"reward":1,"idempotency_key":"k"`: "idempotency_key",
		`"reward":1,"rater":"bob"`: "rater"} {
		got := h.rates(t, id, members, tokenHeader, token)
		if got.wantError(t, 400, "not_with_feedback_token"); !strings.Contains(string(got.body), `"param":"`+param+`"`) {
			t.Errorf("%s: got %s", members, got.body)
		}
	}
	forged := token[:len(token)-1] + map[bool]string{true: "B", false: "A"}[token[len(token)-1] == 'A']
	for _, header := range [][2]string{{tokenHeader, forged}, {"Authorization", "Bearer " + forged}, {tokenHeader, "x"}, {tokenHeader, both}} {
		h.rates(t, id, `"reward":1`, header[0], header[1]).wantError(t, 401, "invalid_feedback_token")
	}
	old := rotateTokens(t, path).Sign(auth.FeedbackGrant{Completion: id, Tenant: "acme", Key: h.Access.Keys[0].ID, Expires: time.Now()})
	h.SetTokenKeys(rotateTokens(t, path)) // the first key has gone
	h.rates(t, id, `"reward":1`, tokenHeader, old).wantError(t, 401, "expired_feedback_token")
	h.rates(t, id, `"reward":1`, tokenHeader, token).wantError(t, 401, "invalid_feedback_token")
	fresh := h.send(t, "POST", "/v1/chat/completions", chatWith(""), "Authorization", both).header.Get(tokenHeader)
	for _, path := range []string{"/v1/models", "/v1/completions/" + id, "/learning"} {
		h.send(t, "GET", path, "", "Authorization", "Bearer "+fresh).wantError(t, 401, "invalid_api_key")
	}
	if got := h.send(t, "POST", "/v1/chat/completions", chatWith(""), "Authorization", asks).header.Get(tokenHeader); got != "" {
		t.Errorf("a key that may not rate gave the right away: %s", got)
	}
	if _, said, err := h.Store.Completion(t.Context(), "acme", id); err != nil || len(said) > 0 {
		t.Errorf("stored %+v, %v", said, err)
	}
}

// A token ends with its API key: revoked, or gone from the file. Where no key is needed it is good for its one right all the same.
func TestFeedbackTokenEndsWithItsKey(t *testing.T) {
	h, _, both, _ := tokened(t, nil)
	answer := h.send(t, "POST", "/v1/chat/completions", chatWith(""), "Authorization", both)
	id, token := idIn(t, answer), answer.header.Get(tokenHeader)
	revoked := h.Access.Keys[0]
	revoked.Revoked = time.Now()
	for _, keys := range [][]auth.Key{{revoked, h.Access.Keys[1]}, {h.Access.Keys[1]}} {
		h.SetKeys(keys)
		h.rates(t, id, `"reward":1`, tokenHeader, token).wantError(t, 401, "invalid_feedback_token")
	}
	_, keys := tokenKeys(t)
	open := remembering(t, "four", func(c *Config) { c.Access.TokenKeys = keys })
	answer = open.send(t, "POST", "/v1/chat/completions", chatWith(""))
	if token = answer.header.Get(tokenHeader); open.rates(t, idIn(t, answer), `"reward":1`, tokenHeader, token).status != 200 {
		t.Error("a server without keys does not take its token")
	}
	open.send(t, "GET", "/v1/models", "", "Authorization", "Bearer "+token).wantError(t, 401, "invalid_api_key")
}

// A stream's token is there with its first bytes; it is worth something once the answer is whole, and so stored.
func TestFeedbackTokenOfAStream(t *testing.T) {
	g := newGate()
	_, keys := tokenKeys(t)
	h := start(t, setup{runner: g.hold(0), options: longContext, config: func(c *Config) {
		c.Store, c.Access.TokenKeys = newStore(t, feedback.Options{}), keys
	}})
	conn := h.post(t, chatWith(`,"ignore_eos":true,"stream":true,"max_tokens":4`))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	events := bufio.NewReader(answer.Body)
	first, err := events.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	id, token := idIn(t, reply{status: answer.StatusCode, body: []byte(first)}), answer.Header.Get(tokenHeader)
	if token == "" || h.Engine.Stats().OutputTokens > 0 {
		t.Fatalf("got the header %v after %d tokens; want the token before the first", answer.Header, h.Engine.Stats().OutputTokens)
	}
	h.rates(t, id, `"reward":1`, tokenHeader, token).wantError(t, 404, "unknown_completion")
	g.open()
	if rest, err := io.ReadAll(events); err != nil || !strings.Contains(string(rest), openai.Done) {
		t.Fatalf("the stream ended with %v: %s", err, rest)
	}
	if f := decode[openai.FeedbackAnswer](t, h.rates(t, id, `"reward":1`, tokenHeader, token)); f.Duplicate || f.CompletionID != id {
		t.Errorf("got %+v", f)
	}
}

// Answers that are not stored, and servers that give no tokens out, carry none; no log line holds one.
func TestFeedbackTokensAreOffByDefault(t *testing.T) {
	log := &syncBuffer{}
	h, _, both, _ := tokened(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"store":false`), "Authorization", both); got.status != 200 || got.header.Get(tokenHeader) != "" {
		t.Errorf("an answer that is not stored: got %d %v", got.status, got.header)
	}
	if got := h.send(t, "POST", "/v1/embeddings", `{"model":"fake","input":"a","user":"ann"}`, "Authorization", both); got.status != 200 || got.header.Get(tokenHeader) != "" {
		t.Errorf("embeddings: got %d %v %s", got.status, got.header, got.body)
	}
	off := remembering(t, "four", nil)
	answer := off.send(t, "POST", "/v1/chat/completions", chatWith(""))
	if got := answer.header.Get(tokenHeader); got != "" {
		t.Errorf("got %s", got)
	}
	kept := h.send(t, "POST", "/v1/chat/completions", chatWith(""), "Authorization", both)
	token := kept.header.Get(tokenHeader)
	h.rates(t, idIn(t, kept), `"reward":1`, tokenHeader, token+"x").wantError(t, 401, "invalid_feedback_token")
	if h.Store.Close(); token == "" {
		t.Fatal("no token")
	}
	h.rates(t, idIn(t, kept), `"reward":1`, tokenHeader, token).wantError(t, 503, "storage_unavailable")
	if text := log.String(); !strings.Contains(text, "the store did not answer") || strings.Contains(text, token[:40]) || strings.Contains(text, auth.FeedbackTokenPrefix) {
		t.Errorf("the log is %s; want the trouble, and nothing of the token", text)
	}
}
