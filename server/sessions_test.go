package server

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"astro/feedback"
	"astro/openai"
	"astro/server/auth"
)

// session opens one and gives the header of its key.
func (h *harness) session(t testing.TB, members string, header ...string) (openai.SessionAnswer, []string) {
	t.Helper()
	s := decode[openai.SessionAnswer](t, h.send(t, "POST", "/rl/start_session", `{"task_id":"countdown-7"`+members+`}`, header...))
	return s, []string{"Authorization", "Bearer " + s.APIKey}
}

// The walk of an agent: a key, completions, a reward for the last one and for a named one, the end; on a server with keys and on one
// without. Afterwards the key is worthless.
func TestSessionWalk(t *testing.T) {
	for name, with := range map[string]func(*Config){"keys": func(c *Config) {
		c.Access.AdminKeys, c.Access.APIKeys = []string{"sk-admin-key"}, []string{"sk-user-key"}
	}, "keyless": nil} {
		t.Run(name, func(t *testing.T) {
			h := remembering(t, "", with)
			admin := []string{"Authorization", "Bearer sk-admin-key"}
			s, key := h.session(t, "", admin...)
			first, last := h.chatID(t, "", key...), h.chatID(t, `,"n":2`, key...)
			other, otherKey := h.session(t, `,"api_key":"a-key-of-the-client-itself"`, admin...)
			foreign := h.chatID(t, "", otherKey...)
			f := decode[openai.FeedbackAnswer](t, h.send(t, "POST", "/rl/set_reward", `{"reward":0.5}`, key...))
			if f.CompletionID != last || f.Choice != 1 || f.Source != "session" || f.Reward != 0.5 || f.Rater != s.SessionID {
				t.Errorf("got %+v; want one of %s", f, last)
			}
			if f := decode[openai.FeedbackAnswer](t, h.send(t, "POST", "/rl/set_reward", fmt.Sprintf(`{"reward":-1,"interaction_id":%q}`, first), key...)); f.CompletionID != first {
				t.Errorf("got %+v", f)
			}
			h.send(t, "POST", "/rl/set_reward", fmt.Sprintf(`{"reward":-1,"interaction_id":%q}`, foreign), key...).wantError(t, 404, "unknown_completion")
			h.send(t, "POST", "/rl/set_reward", `{"reward":-1}`, key...).wantError(t, 409, "feedback_conflict")
			h.send(t, "POST", "/rl/start_session", `{"task_id":"x"}`, key...).wantError(t, 403, "insufficient_scope")
			h.send(t, "POST", "/rl/start_session", `{"task_id":"x","api_key":"a-key-of-the-client-itself"}`, admin...).wantError(t, 409, "session_key_bound")
			if got := decode[openai.SessionAnswer](t, h.send(t, "POST", "/rl/end_session", "{}", key...)); !got.Ended || got.SessionID != s.SessionID {
				t.Errorf("got %+v", got)
			}
			for _, worthless := range [][]string{key, {"Authorization", "Bearer " + sessionSecret + "0"}} {
				if got := h.send(t, "POST", "/v1/chat/completions", chatWith(""), worthless...); got.status != 401 {
					t.Errorf("got %d %s; want 401", got.status, got.body)
				}
			}
			h.send(t, "POST", "/rl/end_session", "", key...).wantError(t, 401, "expired_api_key")
			h.send(t, "POST", "/rl/end_session", "", otherKey...)
			h.send(t, "GET", "/v1/models", "", otherKey...).wantError(t, 401, "expired_api_key")
			if _, key := h.session(t, `,"api_key":"a-key-of-the-client-itself"`, admin...); h.send(t, "GET", "/v1/models", "", key...).status != 200 {
				t.Errorf("the key of session %s cannot be brought again", other.SessionID)
			}
		})
	}
}

// A key that is no session's cannot reward, and a session cannot take the key of the server.
func TestSessionKeysAreTheirOwn(t *testing.T) {
	h := remembering(t, "", func(c *Config) {
		c.Access.AdminKeys, c.Access.APIKeys = []string{"sk-admin-key-of-ours"}, []string{"sk-user-key-of-ours"}
	})
	h.send(t, "POST", "/rl/set_reward", `{"reward":1}`, "Authorization", "Bearer sk-user-key-of-ours").wantError(t, 403, "session_key_required")
	h.send(t, "POST", "/rl/end_session", "", "Authorization", "Bearer sk-user-key-of-ours").wantError(t, 403, "session_key_required")
	for _, key := range []string{"sk-user-key-of-ours", "sk-admin-key-of-ours"} {
		h.send(t, "POST", "/rl/start_session", fmt.Sprintf(`{"task_id":"x","api_key":%q}`, key), "Authorization", "Bearer sk-admin-key-of-ours").wantError(t, 409, "session_key_bound")
	}
	_, key := h.session(t, "", "Authorization", "Bearer sk-admin-key-of-ours")
	h.send(t, "POST", "/rl/set_reward", `{"reward":1}`, key...).wantError(t, 404, "unknown_completion")
	for _, bad := range []string{`{"task_id":""}`, `{}`, `{"task_id":"x","api_key":"short"}`, `{"task_id":"x","api_key":"with a space in the middle"}`, `{"task_id":7}`, `{"task_id":"x","extra":1}`} {
		if got := h.send(t, "POST", "/rl/start_session", bad, "Authorization", "Bearer sk-admin-key-of-ours"); got.status != 400 {
			t.Errorf("%s: got %d %s", bad, got.status, got.body)
		}
	}
}

// A server that starts again knows the sessions that were open, and their tenants.
func TestSessionsSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	admin, secret := newKey(t, auth.Key{Tenant: "acme", Scopes: auth.Admin})
	run := func(use func(h *harness)) {
		store, err := feedback.Open(path, feedback.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		use(remembering(t, "", func(c *Config) { c.Store, c.Access.Keys = store, []auth.Key{admin} }))
	}
	var key, ended []string
	run(func(h *harness) {
		_, key = h.session(t, "", "Authorization", "Bearer "+secret)
		_, ended = h.session(t, "", "Authorization", "Bearer "+secret)
		h.send(t, "POST", "/rl/end_session", "", ended...)
	})
	run(func(h *harness) {
		id := h.chatID(t, "", key...)
		if choices, _, err := h.Store.Completion(t.Context(), "acme", id); err != nil || choices[0].Session == "" {
			t.Errorf("got %+v, %v", choices, err)
		}
		if got := h.send(t, "POST", "/v1/chat/completions", chatWith(""), ended...); got.status != 401 {
			t.Errorf("got %d", got.status)
		}
	})
}

// 10,000 sessions that nobody ends: as many as there may be are open, the rest gets a 429 with a time, and when they have expired there
// is room again.
func TestAbandonedSessions(t *testing.T) {
	h := remembering(t, "", func(c *Config) { c.MaxSessions = 25 })
	refused := 0
	for range 10_000 {
		got := h.send(t, "POST", "/rl/start_session", `{"task_id":"x"}`)
		if got.status == 200 {
			continue
		}
		if refused++; refused == 1 {
			got.wantError(t, 429, "too_many_sessions")
			if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 3000 || seconds > 3600 {
				t.Errorf("got Retry-After %q", got.header.Get("Retry-After"))
			}
		}
	}
	if open, ended := h.sessions.Count(); refused != 10_000-25 || open != 25 || ended != 0 {
		t.Errorf("%d were refused, %d are open, %d ended", refused, open, ended)
	}
	if sessions, _, err := h.Store.OpenSessions(t.Context()); err != nil || len(sessions) != 25 {
		t.Errorf("the store has %d, %v", len(sessions), err)
	}
	h.sessions.Add([32]byte{1}, auth.Key{ID: "late", Session: "late", Expires: time.Now().Add(48 * time.Hour)}, time.Now().Add(2*sessionLifetime))
	if open, ended := h.sessions.Count(); open != 1 || ended != 25 {
		t.Errorf("later %d are open, %d ended", open, ended)
	}
}

// accounts counts the keys that the ledger of requests knows.
func (s *Server) accounts() int {
	s.visits.mu.Lock()
	defer s.visits.mu.Unlock()
	return s.visits.ledger.Accounts()
}

// The ledger of requests forgets the keys of sessions that are over.
func TestSessionsLeaveNoAccounts(t *testing.T) {
	h := remembering(t, "", nil)
	for range 20 {
		_, key := h.session(t, "")
		h.chatID(t, `,"max_tokens":1`, key...)
		h.send(t, "POST", "/rl/end_session", "", key...)
	}
	h.session(t, "")
	if n := h.accounts(); n > 2 {
		t.Errorf("%d accounts are left", n)
	}
}
