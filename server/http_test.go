package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"astro/openai"
)

// raw sends bytes on a fresh connection and reads everything until the server closes it.
func (h *harness) raw(t *testing.T, message string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, message); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err) // a server may answer and close before it has read everything
	}
	answer, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // a reset is what closing with unread bytes looks like
		t.Fatalf("the server kept the connection open after %.80q: got %q", message, answer)
	}
	return string(answer)
}

// What proxies and servers read differently is refused, and the connection closed, so that no second request hides in it.
func TestSec_R12HostileFraming(t *testing.T) {
	h := start(t, setup{config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.HeaderTimeout, c.Limits.BodyTimeout, c.Limits.BodyBytes = 200*time.Millisecond, 200*time.Millisecond, 1000
	}})
	const hidden = "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
	post := "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct{ message, status string }{
		"length and chunks":  {post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "400"},
		"absolute target":    {"GET http://evil/health HTTP/1.1\r\nHost: localhost\r\n\r\n" + hidden, "400"},
		"folded header":      {"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n" + hidden, "400"},
		"two lengths":        {post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + hidden, "400"},
		"no host":            {"GET /health HTTP/1.1\r\n\r\n" + hidden, "400"},
		"many headers":       {"GET /health HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-A: b\r\n", 100) + "\r\n" + hidden, "431"},
		"long header":        {"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 20000) + "\r\n\r\n", "431"},
		"long body":          {post + "Content-Length: 1001\r\n\r\n" + strings.Repeat(" ", 1001), "413"},
		"long chunked body":  {post + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat(" ", 1001) + "\r\n0\r\n\r\n", "413"},
		"slow header":        {"GET /health HTTP/1.1\r\nHost: loc", "408"},
		"slow body":          {post + "Content-Length: 10\r\n\r\n{", "408"},
		"not HTTP":           {"hello\r\n\r\n", "400"},
		"body for nobody":    {"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", "404"},
		"body of a GET":      {"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", "413"},
		"form with a file":   {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 5\r\n\r\n--x--", "415"},
		"compressed body":    {post + "Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "415"},
		"form body":          {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", "415"},
		"response splitting": {"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-request-id: a\x01b\r\n\r\n", ""},
	} {
		answer := h.raw(t, c.message)
		if !strings.HasPrefix(answer, "HTTP/1.1 "+c.status) || strings.Count(answer, "HTTP/1.1") > 1 || strings.Contains(answer, "a\x01b") {
			t.Errorf("%s: got %q; want one answer with status %s", name, answer, c.status)
		}
		if c.status != "" && !strings.Contains(answer, `{"error":{"message":"`) {
			t.Errorf("%s: got %q; want an error object", name, answer)
		}
	}
}

func TestPlainRoutes(t *testing.T) {
	h := start(t, setup{})
	list := decode[openai.ModelList](t, h.send(t, "GET", "/v1/models", ""))
	if len(list.Data) != 3 || list.Data[2].ID != "fake@v1" || list.Data[0].ID != "fake" || list.Data[0].MaxModelLen != 256 || list.Data[0].PolicyVersion != 1 {
		t.Errorf("got %+v", list)
	}
	if m := decode[openai.Model](t, h.send(t, "GET", "/v1/models/alias%2Fx", "")); m.ID != "alias/x" {
		t.Errorf("got %+v", m)
	}
	h.send(t, "GET", "/v1/models/nope", "").wantError(t, 404, "model_not_found")
	for _, path := range []string{"/health", "/ready", "/version", "/version?x=1"} {
		if got := h.send(t, "GET", path, ""); got.status != 200 || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	if got := h.send(t, "HEAD", "/health", ""); got.status != 200 || len(got.body) != 0 {
		t.Errorf("HEAD: got %d %q", got.status, got.body)
	}
}

func TestRequestIDs(t *testing.T) {
	h := start(t, setup{})
	for given, same := range map[string]bool{"abc-1_2.X": true, "": false, "a b": false, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false} {
		got := h.send(t, "GET", "/health", "", "x-request-id", given).header.Get("x-request-id")
		if (got == given) != same || got == "" {
			t.Errorf("sent %q: got %q", given, got)
		}
	}
}

func TestIgnoredParameters(t *testing.T) {
	body := chatWith(`,"max_tokens":2,"mirostat":2,"user":"u"`)
	if got := start(t, setup{}).send(t, "POST", "/v1/chat/completions", body); got.status != 200 || got.header.Get("x-ignored-params") != "mirostat" {
		t.Errorf("got %d, x-ignored-params %q", got.status, got.header.Get("x-ignored-params"))
	}
	strict := start(t, setup{config: func(c *Config) { c.StrictParams = true }})
	strict.send(t, "POST", "/v1/chat/completions", body).wantError(t, 400, "unknown_parameter")
}

// Requests can follow each other on one connection after a stream and after an answer that was watched for disconnects.
func TestConnectionIsReused(t *testing.T) {
	h := start(t, setup{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i := range 6 {
		body := chatWith(fmt.Sprintf(`,"max_tokens":3,"stream":%t`, i%2 == 0))
		fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 200 {
			t.Fatalf("request %d: got %d %s, %v", i, answer.StatusCode, text, err)
		}
	}
}
