package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	hf "github.com/gomlx/go-huggingface/hub"
)

const (
	maxRedirects    = 5
	maxListingBytes = 32 << 20 // of the hub's answer about a model
	firstTries      = 3        // of the first question: a hub that is away should not cost a minute
)

// client asks one hub.
type client struct {
	endpoint *url.URL
	token    Token
	http     *http.Client
	options  Options
}

func newClient(o Options) (*client, error) {
	endpoint, err := parseEndpoint(o.Endpoint, o.Token)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // what comes is what is hashed
	transport.MaxResponseHeaderBytes = 64 << 10
	c := &client{endpoint: endpoint, token: o.Token, options: o}
	c.http = &http.Client{Transport: authorized{transport, c}, CheckRedirect: c.checkRedirect}
	return c, nil
}

// authorized adds the token to requests for the hub itself. It is on no request before, so no redirect can carry it elsewhere.
type authorized struct {
	http.RoundTripper
	client *client
}

// RoundTrip sends a request, with the token where it belongs.
func (a authorized) RoundTrip(q *http.Request) (*http.Response, error) {
	if a.client.token.secret != "" && a.client.own(q.URL) {
		q = q.Clone(q.Context())
		q.Header.Set("Authorization", "Bearer "+a.client.token.secret)
	}
	return a.RoundTripper.RoundTrip(q)
}

// own says that the address is the hub's own: scheme, host and port.
func (c *client) own(u *url.URL) bool {
	return u.Scheme == c.endpoint.Scheme && strings.EqualFold(u.Host, c.endpoint.Host)
}

var errRedirect = errors.New("the hub redirects where nobody should follow")

func (c *client) checkRedirect(q *http.Request, via []*http.Request) error {
	q.Header.Del("Referer") // a signed address is nobody else's business
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d in a row", errRedirect, maxRedirects)
	case q.URL.Scheme != "https" && q.URL.Scheme != c.endpoint.Scheme:
		return fmt.Errorf("%w: to %s, which is not https", errRedirect, clip(q.URL.Scheme))
	}
	return nil
}

// get asks for a path of the hub, from an offset on. The caller closes the body. Errors do not repeat addresses, which may be signed.
func (c *client) get(ctx context.Context, path string, offset int64) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.endpoint.String()+path, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the hub for %s", clip(path))
	}
	q.Header.Set("User-Agent", "astro")
	q.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	answer, err := c.http.Do(q)
	if err != nil {
		return nil, c.askError(ctx, err)
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPartialContent {
		answer.Body.Close()
		return nil, c.newStatusError(answer)
	}
	return answer, nil
}

// askError says why there was no answer.
func (c *client) askError(ctx context.Context, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case ctx.Err() != nil:
		return &brokenError{error: fmt.Errorf("asking %s: %w", c.endpoint.Host, context.Cause(ctx))}
	case errors.Is(err, errRedirect):
		return err
	}
	return &brokenError{error: fmt.Errorf("asking %s: %s", c.endpoint.Host, c.repeatable(err.Error()))}
}

// repeatable is text of the other side without the token, which a hub might echo.
func (c *client) repeatable(text string) string {
	if c.token.secret != "" {
		text = strings.ReplaceAll(text, c.token.secret, c.token.String())
	}
	return clip(text)
}

// listing asks what a revision is and holds.
func (c *client) listing(ctx context.Context, n Name) (*listing, error) {
	path := "/api/models/" + n.Repo() + "/revision/" + url.PathEscape(n.Revision) + "?blobs=true"
	var l *listing
	retry := c.options.Retry
	retry.Tries = min(retry.Tries, firstTries)
	err := retry.do(ctx, c.options.sleep, c.options.Notify, func() error {
		ctx, watch := watchSilence(ctx, c.options.stall)
		defer watch.stop()
		answer, err := c.get(ctx, path, 0)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, maxListingBytes+1))
		if err != nil {
			return &brokenError{error: fmt.Errorf("the hub's answer about the model: %w", cmp.Or(context.Cause(ctx), err))}
		}
		if len(text) > maxListingBytes {
			return fmt.Errorf("the hub's answer about the model has more than %d bytes", maxListingBytes)
		}
		l, err = parseListing(text)
		return err
	})
	if err == nil && n.Pinned() && l.commit != n.Revision {
		err = fmt.Errorf("the hub answered with another commit, %s", l.commit)
	}
	return l, err
}

// open asks for a file of a commit, from an offset on, and checks what the hub itself says about it on the way.
func (c *client) open(ctx context.Context, n Name, commit string, f file, offset int64) (*http.Response, error) {
	answer, err := c.get(ctx, "/"+n.Repo()+"/resolve/"+commit+"/"+url.PathEscape(f.name), offset)
	if err != nil {
		return nil, err
	}
	for hop := answer; hop != nil; hop = hop.Request.Response {
		if !c.own(hop.Request.URL) {
			continue
		}
		if err := promised(hop.Header, commit, f); err != nil {
			answer.Body.Close()
			return nil, err
		}
	}
	return answer, nil
}

// promised compares the headers of the hub's own answer, where it has them, with what was listed: a mistake shows before gigabytes.
func promised(h http.Header, commit string, f file) error {
	if got := h.Get(hf.HeaderXRepoCommit); got != "" && got != commit {
		return fmt.Errorf("the hub answered with a file of another commit, %s, while %s was downloaded: try again", clip(got), commit)
	}
	tag := strings.Trim(strings.TrimPrefix(h.Get(hf.HeaderXLinkedETag), "W/"), `"`)
	if tag != "" && tag != f.hash {
		return fmt.Errorf("the hub has content %s where it listed %s: try again", clip(tag), f.hash)
	}
	return nil
}

// statusError is an answer that is no success.
type statusError struct {
	status     int
	elsewhere  bool          // the answer is not the hub's own but that of a place it redirected to
	retryAfter time.Duration // 0 = not said
	text       string
}

// Error says what to do.
func (e *statusError) Error() string { return e.text }

// transient: a place that was redirected to refuses an address whose signature has expired, and the next try gets a new one.
func (e *statusError) transient() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.status >= 500 && e.status != http.StatusNotImplemented || e.elsewhere
}

func (c *client) newStatusError(answer *http.Response) *statusError {
	e := &statusError{status: answer.StatusCode, elsewhere: !c.own(answer.Request.URL), retryAfter: parseRetryAfter(answer.Header.Get("Retry-After"))}
	said := c.repeatable(answer.Header.Get("X-Error-Message"))
	code := answer.Header.Get("X-Error-Code")
	switch {
	case e.elsewhere:
		e.text = "the hub's storage"
	case code == "RevisionNotFound":
		e.text = "the hub has the model, but not this revision"
	case code == "EntryNotFound":
		e.text = "the hub no longer has a file that it listed"
	case code == "GatedRepo" || e.status == http.StatusForbidden:
		e.text = "access is restricted: ask for it on the model's page at the hub, and set HF_TOKEN to a token that may read it"
	case e.status == http.StatusUnauthorized && c.token.secret != "":
		e.text = "there is no such model, or the token of HF_TOKEN or HF_TOKEN_PATH may not read it or has expired"
	case e.status == http.StatusUnauthorized || e.status == http.StatusNotFound:
		e.text = "the hub has no such model; if it is private or gated, set HF_TOKEN to a token that may read it"
	default:
		e.text = "the hub"
	}
	e.text += fmt.Sprintf(" (answered %d %s", e.status, http.StatusText(e.status))
	if said != "" {
		e.text += ": " + said
	}
	e.text += ")"
	return e
}

// parseRetryAfter reads seconds or a date, up to a day; 0 = none that makes sense.
func parseRetryAfter(value string) time.Duration {
	const day = 24 * time.Hour
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(day, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(day, time.Until(at)))
	}
	return 0
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// silence ends a request that brings nothing for a while.
type silence struct {
	timer  *time.Timer
	limit  time.Duration
	cancel context.CancelCauseFunc
}

// watchSilence starts the watch; heard renews it.
func watchSilence(ctx context.Context, limit time.Duration) (context.Context, *silence) {
	ctx, cancel := context.WithCancelCause(ctx)
	cause := fmt.Errorf("nothing came for %v", limit)
	return ctx, &silence{time.AfterFunc(limit, func() { cancel(cause) }), limit, cancel}
}

func (s *silence) heard() { s.timer.Reset(s.limit) }

func (s *silence) stop() {
	s.timer.Stop()
	s.cancel(nil)
}
