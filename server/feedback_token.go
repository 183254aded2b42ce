package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
	"astro/server/auth"
)

// tokenHeader carries a feedback token: in an answer the one for it, in a request the one to rate with.
const tokenHeader = "x-feedback-token"

// defaultFeedbackLife is how long a token is good where the Config says nothing.
const defaultFeedbackLife = 24 * time.Hour

// anyRater rates with a token whose request named no user.
const anyRater = "token"

// SetTokenKeys replaces the keys of feedback tokens. Tokens of a key that is not among them are worth nothing from now on.
func (s *Server) SetTokenKeys(keys auth.TokenKeys) { s.tokens.Store(&keys) }

// offerToken gives whoever reads the answer the right to rate it once, without an API key. It is there before the answer is stored, and
// good from then on. A key that may not rate gives no such right away; that of an RL session rates by itself.
func (c *call) offerToken(ctx *fasthttp.RequestCtx) {
	s, caller := c.server, c.visit.caller
	keys := *s.tokens.Load()
	if len(keys) == 0 || c.embed || c.choices[0].draws == nil || caller.Session != "" || !caller.Scopes.Has(auth.Feedback) {
		return
	}
	life := s.FeedbackLife
	if life == 0 {
		life = defaultFeedbackLife
	}
	ctx.Response.Header.Set(tokenHeader, keys.Sign(auth.FeedbackGrant{Completion: c.head.id, Tenant: caller.Tenant, Key: caller.ID,
		Subject: subjectOf(c.options.User), Expires: time.Now().Add(life)}))
}

// subjectOf is a user's name as a rater's: one that is too long for it is called by its SHA-256.
func subjectOf(user string) string {
	if len(user) <= auth.MaxSubjectBytes {
		return user
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(user)))
}

// isFeedbackToken says whether a secret is meant as one, on a server that gives them out.
func (s *Server) isFeedbackToken(secret string) bool {
	return len(*s.tokens.Load()) > 0 && strings.HasPrefix(secret, auth.FeedbackTokenPrefix)
}

// feedbackToken is what a request to a line that takes one brings instead of an API key, or "".
func (s *Server) feedbackToken(r *route, h *fasthttp.RequestHeader) string {
	if !r.delegated || len(*s.tokens.Load()) == 0 {
		return ""
	}
	if token := string(h.Peek(tokenHeader)); token != "" {
		return token
	}
	if secret := r.dialect.secret(h); s.isFeedbackToken(secret) {
		return secret
	}
	return ""
}

// granted is the caller with a token: the key that it comes from, with that one right. Without the key, or the key's own right to rate,
// the token is worth nothing.
func (s *Server) granted(token string, now time.Time) (*auth.Key, *openai.Error) {
	g, err := s.tokens.Load().Verify(token, now)
	if errors.Is(err, auth.ErrExpired) {
		return nil, openai.ExpiredFeedbackToken()
	}
	if err != nil {
		return nil, openai.InvalidFeedbackToken()
	}
	key := &nobody
	if !s.Access.keyless() {
		key = s.ring.Load().ByID(g.Key)
	}
	if key == nil || key.ID != g.Key || key.Tenant != g.Tenant || !key.Live(now) || !key.Scopes.Has(auth.Feedback) {
		return nil, openai.InvalidFeedbackToken()
	}
	caller := *key
	caller.Scopes, caller.Granted = auth.Feedback, &g
	return &caller, nil
}

// rateByToken stores the one feedback of a token. Graders are not for those who have no key: what a verifier says goes before all else.
func (s *Server) rateByToken(ctx *fasthttp.RequestCtx, id string, f feedback.Feedback, q *openai.FeedbackRequest) *openai.Error {
	g := callerOf(ctx).Granted
	rater := g.Subject
	if rater == "" {
		rater = anyRater
	}
	switch {
	case q.CompletionID != g.Completion:
		return s.countFeedback(openai.UnknownCompletion())
	case q.Reward == nil:
		return s.countFeedback(notWithToken("grader"))
	case q.Supersede:
		return s.countFeedback(notWithToken("supersede"))
	case q.Idempotency != "":
		return s.countFeedback(notWithToken("idempotency_key"))
	case q.Rater != "" && q.Rater != rater:
		return s.countFeedback(notWithToken("rater"))
	}
	f.Rater, f.Reward = rater, *q.Reward
	f.Idempotency = "token:" + g.Completion // one for all choices
	err := s.rate(ctx, id, f, false)
	if err != nil && err.Code == openai.FeedbackTokenUsed().Code {
		return openai.FeedbackTokenUsed()
	}
	return err
}

func notWithToken(param string) *openai.Error {
	return openai.Invalid(param, "not_with_feedback_token", "Invalid '%s': with a feedback token only 'completion_id', 'choice', 'metadata' and one of 'reward' and 'verdict' are taken.", param)
}
