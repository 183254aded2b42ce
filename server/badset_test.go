package server

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"astro/engine"
	"astro/feedback"
	"astro/openai"
	"astro/server/auth"
)

// badCase is one request that must be refused: a whole message as bytes, so that nothing repairs it on the way.
type badCase struct {
	category string
	message  string
	status   int    // of the answer; 0 = any from 400 to 499
	code     string // of the error object; "" = any
}

// badSet collects cases. key is a good key with the inference scope, other one with the feedback scope alone.
type badSet struct {
	key, other string
	all        []badCase
}

// changing is what differs between two answers to the same request: ids, the time, and what the prefix cache already had.
var changing = regexp.MustCompile(`"(id|call_id|item_id)":"[^"]*"|"(created|created_at|completed_at|cached_tokens)":\d+`)

// canary is a prompt that no log may hold.
const canary = "canary-prompt"

// request writes a message; headers are whole lines.
func request(method, path, body string, headers ...string) string {
	lines := append([]string{method + " " + path + " HTTP/1.1", "Connection: close"}, headers...)
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Host:") }) {
		lines = append(lines, "Host: localhost")
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body)))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

func (b *badSet) bearer() string { return "Authorization: Bearer " + b.key }

// raw adds a message as it is.
func (b *badSet) raw(category string, status int, code string, messages ...string) {
	for _, m := range messages {
		b.all = append(b.all, badCase{category, m, status, code})
	}
}

// post adds bodies for a path, with a good key.
func (b *badSet) post(category, path, code string, bodies ...string) {
	for _, body := range bodies {
		b.raw(category, 0, code, request("POST", path, strings.ReplaceAll(body, `"hi"`, `"`+canary+`"`), b.bearer()))
	}
}

// generating are the endpoints that share one Normalize, each with a good request to which members are added.
var generating = []struct {
	path string
	with func(string) string
}{{"/v1/chat/completions", chatWith}, {"/v1/completions", textWith}, {"/v1/responses", responseWith}, {"/v1/messages", messageWith}}

// members adds members to good requests of the first n generating endpoints.
func (b *badSet) members(category string, n int, members ...string) {
	for _, g := range generating[:n] {
		for _, m := range members {
			b.post(category, g.path, "", g.with(","+m))
		}
	}
}

// badSetOf makes every category.
func badSetOf(key, other string) []badCase {
	b := &badSet{key: key, other: other}
	for _, add := range []func(*badSet){(*badSet).framing, (*badSet).hosts, (*badSet).paths, (*badSet).methods, (*badSet).keys, (*badSet).bodies, (*badSet).syntax, (*badSet).types, (*badSet).numbers,
		(*badSet).messages, (*badSet).ids, (*badSet).constraints, (*badSet).specials, (*badSet).lengths, (*badSet).kwargs, (*badSet).feedback, (*badSet).batches, (*badSet).unsupported, (*badSet).injection, (*badSet).admin} {
		add(b)
	}
	return b.all
}

// judge compares the answer with what the case wants.
func (c *badCase) judge(answer string) error {
	head, body, ok := strings.Cut(strings.TrimPrefix(answer, "HTTP/1.1 100 Continue\r\n\r\n"), "\r\n\r\n")
	if !ok || !strings.HasPrefix(head, "HTTP/1.1 ") || len(head) < 12 || strings.Contains(body, "HTTP/1.1 ") {
		return fmt.Errorf("want one answer")
	}
	status, err := strconv.Atoi(head[9:12])
	if err != nil || status < 400 || status > 499 || c.status != 0 && status != c.status {
		return fmt.Errorf("got status %s; want %d", head[9:12], c.status)
	}
	var e openai.Error
	if !strings.HasPrefix(c.message, "HEAD ") {
		if err := e.UnmarshalJSON([]byte(body)); err != nil || e.Message == "" || e.Type == "" {
			return fmt.Errorf("want an error object: %v", err)
		}
		if c.code != "" && e.Code != c.code {
			return fmt.Errorf("got code %s; want %s", e.Code, c.code)
		}
	}
	text := strings.NewReplacer("/etc/passwd", "", "/v1/", "").Replace(e.Message)
	if found := internals.FindString(text); found != "" || strings.Contains(strings.ToLower(head), "x-injected") {
		return fmt.Errorf("the answer says %q, or has a header of the client's", found)
	}
	return nil
}

// The bad-request set: requests that got other servers into trouble, in twenty categories. Each gets an error of the closed list
// and a 4xx; then the server has nothing left of them, and answers a good request with the same bytes as before.
func TestSec_BadRequestSet(t *testing.T) {
	h, secrets := keyed(t, setup{options: func(o *engine.Options) { o.Config.MaxQueuedRequests = 8 }, config: func(c *Config) {
		publicBind(c)
		c.Store = newStore(t, feedback.Options{})
		c.Limits = DefaultLimits()
		c.Limits.BodyBytes, c.Limits.HeaderTimeout, c.Limits.BodyTimeout = 1<<20, 300*time.Millisecond, 300*time.Millisecond
	}})
	good := func() string {
		got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"seed":7,"n":2,"logprobs":true,"top_logprobs":3,"max_tokens":20`), "Authorization", "Bearer "+secrets[auth.Inference])
		return changing.ReplaceAllString(string(got.body), "")
	}
	before := good()
	h.send(t, "GET", "/v1/feedback/fb-1", "", "Authorization", "Bearer "+secrets[auth.Feedback]) // opens what the store reads with
	h.client.CloseIdleConnections()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	counts := map[string]int{}
	for _, c := range badSetOf(secrets[auth.Inference], secrets[auth.Feedback]) {
		counts[c.category]++
		answer := h.raw(t, c.message)
		if err := c.judge(answer); err != nil {
			t.Errorf("%s: %.300q: %v: %.400q", c.category, c.message, err, answer)
		}
	}
	eventually(t, "nothing of them is left", func() bool {
		s := h.Engine.Stats()
		return s.Sequences() == 0 && s.Pages.Held == 0 && h.runningVisits() == 0 && runtime.NumGoroutine() <= goroutines+2 && openFiles(t) <= files+1
	})
	if after := good(); after != before || before == "" {
		t.Errorf("a good request got %s before and %s after", before, after)
	}
	if strings.Contains(h.log.String(), canary) {
		t.Error("the log holds a prompt")
	}
	reportCounts(t, counts)
}

// reportCounts prints the size of the set, and wants it to be as large as the plan says.
func reportCounts(t *testing.T, counts map[string]int) {
	t.Helper()
	var names []string
	total := 0
	for name, n := range counts {
		names, total = append(names, fmt.Sprintf("%4d %s", n, name)), total+n
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(a[5:], b[5:]) })
	t.Logf("%d bad requests in %d categories:\n%s", total, len(names), strings.Join(names, "\n"))
	if total < 600 || len(names) < 20 {
		t.Errorf("%d bad requests in %d categories; want 600 in 20", total, len(names))
	}
}
