package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
	"astro/server/auth"
)

// Sessions of RL bind completions to a temporary key, so that an agent that knows nothing but its key can say what they were worth.
const (
	defaultSessions    = 1000
	sessionLifetime    = time.Hour
	sessionSecret      = "sk-astro-rl-" // secrets of ours begin with it
	maxRetryAfterSecs  = int(sessionLifetime / time.Second)
	sessionScopes      = auth.Inference | auth.Feedback
	maxRestoreSessions = 30 * time.Second // for the store to say which sessions are open
)

func (s *Server) maxSessions() int {
	if s.MaxSessions > 0 {
		return s.MaxSessions
	}
	return defaultSessions
}

// restoreSessions makes the keys of sessions that were open when the last server stopped known again.
func (s *Server) restoreSessions() error {
	if s.Store == nil {
		return nil
	}
	deadline, cancel := within(maxRestoreSessions)
	defer cancel()
	open, sums, err := s.Store.OpenSessions(deadline)
	if err != nil {
		return fmt.Errorf("read the open sessions of the store: %w", err)
	}
	now := time.Now()
	for i, session := range open {
		if len(sums[i]) != sha256.Size {
			return fmt.Errorf("session %s of the store has a key hash of %d bytes; want %d", session.ID, len(sums[i]), sha256.Size)
		}
		s.sessions.Add([sha256.Size]byte(sums[i]), sessionKey(session), now)
	}
	return nil
}

func sessionKey(r feedback.RLSession) auth.Key {
	return auth.Key{ID: r.ID, Tenant: r.Tenant, Scopes: sessionScopes, Expires: r.Expires, Session: r.ID}
}

// startSession is POST /rl/start_session.
func (s *Server) startSession(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeSessionRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	if s.Store == nil {
		return feedbackOff()
	}
	secret := q.APIKey
	if secret == "" {
		secret = sessionSecret + randomHex() + randomHex()
	} else if s.isOwnKey(secret) {
		return openai.SessionKeyBound()
	}
	now := time.Now()
	if s.sessions.Live(now) >= s.maxSessions() {
		return s.sessionError(id, feedback.ErrTooMany, now) // without asking the store, which others need
	}
	session := feedback.RLSession{ID: "rls-" + randomHex(), Task: q.TaskID, Tenant: callerOf(ctx).Tenant, Expires: now.Add(sessionLifetime)}
	deadline, cancel := storeDeadline()
	defer cancel()
	if err := s.Store.StartSession(deadline, session, secret, s.maxSessions()); err != nil {
		return s.sessionError(id, err, now)
	}
	s.sessions.Add(sha256.Sum256([]byte(secret)), sessionKey(session), now)
	s.visits.retain(s.hasKey)
	writeJSON(ctx, openai.SessionAnswer{SessionID: session.ID, APIKey: secret, ExpiresAt: session.Expires.Unix()})
	return nil
}

// isOwnKey says that a secret is that of a key of this server; a session must not change what it may do.
func (s *Server) isOwnKey(secret string) bool {
	_, err := s.ring.Load().Find(secret, time.Now())
	return !errors.Is(err, auth.ErrUnknown)
}

// hasKey says whether a key of that id may still come.
func (s *Server) hasKey(id string) bool { return s.ring.Load().Has(id) || s.sessions.Has(id) }

func (s *Server) sessionError(id string, err error, now time.Time) *openai.Error {
	switch {
	case errors.Is(err, feedback.ErrTooMany):
		wait := int(s.sessions.Soonest().Sub(now)/time.Second) + 1
		return openai.TooManySessions(s.maxSessions(), min(max(wait, 1), maxRetryAfterSecs))
	case errors.Is(err, feedback.ErrConflict):
		return openai.SessionKeyBound()
	}
	return s.storeError(id, err)
}

// callerSession is the session of a request's key.
func (s *Server) callerSession(ctx *fasthttp.RequestCtx) (string, *openai.Error) {
	switch session := callerOf(ctx).Session; {
	case s.Store == nil:
		return "", feedbackOff()
	case session == "":
		return "", openai.SessionKeyRequired()
	default:
		return session, nil
	}
}

// setReward is POST /rl/set_reward: what the session's last completion, or the named one of it, was worth.
func (s *Server) setReward(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeRewardRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	session, err := s.callerSession(ctx)
	if err != nil {
		return err
	}
	completion, choice, err := s.interaction(ctx, id, session, q.Interaction)
	if err != nil {
		return s.countFeedback(err)
	}
	caller := callerOf(ctx)
	return s.rate(ctx, id, feedback.Feedback{Completion: completion, Choice: choice, Tenant: caller.Tenant, Key: caller.ID, Rater: nameOf(caller), Source: feedback.Session,
		Reward: q.Reward}, false)
}

// interaction finds the completion that a session means.
func (s *Server) interaction(ctx *fasthttp.RequestCtx, id, session, named string) (completion string, choice int, err *openai.Error) {
	deadline, cancel := storeDeadline()
	defer cancel()
	if named == "" {
		completion, choice, bad := s.Store.LastInSession(deadline, session)
		return completion, choice, s.storeErrorOrNil(id, bad)
	}
	choices, _, bad := s.Store.Completion(deadline, callerOf(ctx).Tenant, named)
	if bad == nil && choices[0].Session != session {
		bad = feedback.ErrUnknown
	}
	return named, 0, s.storeErrorOrNil(id, bad)
}

// endSession is POST /rl/end_session. The key is worthless afterwards.
func (s *Server) endSession(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	session, err := s.callerSession(ctx)
	if err != nil {
		return err
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	if bad := s.Store.EndSession(deadline, session); bad != nil && !errors.Is(bad, feedback.ErrUnknown) {
		return s.storeError(id, bad)
	}
	s.sessions.End(session)
	s.visits.retain(s.hasKey)
	writeJSON(ctx, openai.SessionAnswer{SessionID: session, Ended: true})
	return nil
}
