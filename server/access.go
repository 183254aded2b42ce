package server

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/server/auth"
)

// Access says who may talk to a server. Without any key everything is allowed, which needs a loopback Host.
type Access struct {
	Host      string     // that the listener is bound to
	APIKeys   []string   // secrets with the scopes inference and feedback
	AdminKeys []string   // secrets with the scope admin alone
	Keys      []auth.Key // of the key file; nil = there is none, which is not the same as one without keys

	TokenKeys auth.TokenKeys // of feedback tokens; nil = answers carry none

	AllowedHosts []string // names in Host headers, besides those of loopback; on another Host empty = any name
	CORSOrigins  []string // web pages that may use the server, as in "https://chat.example"
}

// maxOrigins bounds the lists of Access, since each request looks at them.
const maxOrigins = 64

// Validate refuses a bind that others can reach while there is no key, and lists that could never match.
func (a *Access) Validate() error {
	if !isLoopback(a.Host) && !a.hasKey() {
		return fmt.Errorf("refusing to listen on %q without API keys, since other machines can reach it: "+
			"set ASTRO_API_KEY, give --keys FILE with a key that is not revoked (astro keys create makes one), or use --host 127.0.0.1", a.Host)
	}
	for _, secret := range append(append([]string{}, a.APIKeys...), a.AdminKeys...) {
		if secret == "" {
			return errors.New("an API key is empty: remove it or give it a value")
		}
	}
	if len(a.AllowedHosts) > maxOrigins || len(a.CORSOrigins) > maxOrigins {
		return fmt.Errorf("%d allowed hosts and %d CORS origins; want at most %d of each", len(a.AllowedHosts), len(a.CORSOrigins), maxOrigins)
	}
	for _, host := range a.AllowedHosts {
		if host == "" || strings.ContainsAny(host, "/*: ") {
			return fmt.Errorf("allowed host %q: want a name without port, as in chat.example", host)
		}
	}
	for _, origin := range a.CORSOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*") || origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin) {
			return fmt.Errorf("CORS origin %q: want one as browsers send it, as in https://chat.example; a * is not taken", origin)
		}
	}
	return nil
}

// hasKey says whether there is a key that is not revoked.
func (a *Access) hasKey() bool {
	for i := range a.Keys {
		if a.Keys[i].Revoked.IsZero() {
			return true
		}
	}
	return len(a.APIKeys)+len(a.AdminKeys) > 0
}

// keyless says that requests need no key. A key file demands keys even when there are none in it.
func (a *Access) keyless() bool { return len(a.APIKeys)+len(a.AdminKeys) == 0 && a.Keys == nil }

// ring makes the keys findable.
func (a *Access) ring() *auth.Ring {
	var plain []auth.Key
	for i, secret := range a.APIKeys {
		plain = append(plain, auth.Plain(fmt.Sprintf("api-key-%d", i+1), secret, auth.Inference|auth.Feedback))
	}
	for i, secret := range a.AdminKeys {
		plain = append(plain, auth.Plain(fmt.Sprintf("admin-key-%d", i+1), secret, auth.Admin))
	}
	return auth.NewRing(a.Keys, plain)
}

// SetKeys replaces the keys of the key file, all at one time. Requests that run go on, those of a revoked key too.
func (s *Server) SetKeys(keys []auth.Key) {
	access := s.Access
	access.Keys = append([]auth.Key{}, keys...) // never nil
	ring := access.ring()
	s.ring.Store(ring)
	s.visits.retain(s.hasKey)
}

// nobody is the caller of requests that need no key.
var nobody = auth.Key{Tenant: auth.DefaultTenant, Scopes: auth.AllScopes}

// authorize finds the caller and checks that it may use a route. The answer depends on the matched line of the table alone; a line
// that is not open and has no scope is closed for everybody.
func (s *Server) authorize(h *fasthttp.RequestHeader, r *route) (*auth.Key, *openai.Error) {
	if r.open || r.local && s.fromHere(h) {
		return &nobody, nil
	}
	if token := s.feedbackToken(r, h); token != "" {
		return s.granted(token, time.Now())
	}
	caller, err := s.find(r.dialect.secret(h), time.Now())
	switch {
	case errors.Is(err, auth.ErrExpired):
		return nil, openai.ExpiredAPIKey()
	case err != nil:
		return nil, openai.InvalidAPIKey()
	case !caller.Scopes.Has(r.scope):
		return nil, openai.InsufficientScope(r.scope.String(), "")
	}
	return caller, nil
}

// find is the caller that a secret belongs to. Keys of sessions count where no key is needed, too: they say which session it is.
func (s *Server) find(secret string, now time.Time) (*auth.Key, error) {
	switch caller, err := s.sessions.Find(secret, now); {
	case err == nil || errors.Is(err, auth.ErrExpired):
		return caller, err
	case s.isFeedbackToken(secret):
		return nil, auth.ErrUnknown // it is good for one route, also where everything else needs no key
	case !s.Access.keyless():
		return s.ring.Load().Find(secret, now)
	case strings.HasPrefix(secret, sessionSecret):
		return nil, auth.ErrExpired // of a session that nobody remembers
	}
	return &nobody, nil
}

// nameOf is how a caller is called in what is stored of it.
func nameOf(caller *auth.Key) string {
	if caller.ID == "" {
		return "local"
	}
	return caller.ID
}

// bearer is the secret in an Authorization header, or "".
func bearer(authorization string) string {
	scheme, secret, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}
