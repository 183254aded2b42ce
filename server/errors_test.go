package server

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/openai"
	"astro/server/auth"
)

// internals are what an answer must not hold: addresses, paths, types of Go, places in the source, stacks.
var internals = regexp.MustCompile(`0x[0-9a-fA-F]{6,}|/(root|home|tmp|usr|work|etc|proc)/|\.go\b|goroutine|runtime error|\*?(openai|engine|server|json|sampler|chat)\.[A-Z]|map\[|%!|nil pointer|panic|SELECT|sqlite`)

// Every refusal is an object of the closed list, says nothing of the inside, and never is a 5xx.
func TestSec_R13ErrorsSayNothingOfTheInside(t *testing.T) {
	h := start(t, setup{})
	count := map[string]int{}
	for _, q := range badRequests() {
		got := h.send(t, "POST", q.path, q.body)
		var e openai.Error
		if err := json.Unmarshal(got.body, &e); err != nil || got.status < 400 || got.status >= 500 || e.Message == "" || e.Type == "" {
			t.Errorf("%s %.200s: got %d %.300s", q.path, q.body, got.status, got.body)
		}
		text := e.Message
		for _, sent := range []string{"/etc/passwd", "../../"} {
			text = strings.ReplaceAll(text, sent, "")
		}
		if found := internals.FindString(text); found != "" {
			t.Errorf("%.200s: the answer holds %q: %s", q.body, found, got.body)
		}
		count[fmt.Sprint(got.status, " ", e.Code)]++
	}
	if len(count) < 8 {
		t.Errorf("only %v", count)
	}
	if stats := h.Engine.Stats(); stats.Sequences() != 0 || stats.Pages.Held != 0 {
		t.Errorf("got %+v; want an empty engine", stats)
	}
	if got := h.send(t, "POST", "/v1/completions", textWith(`,"max_tokens":1`)); got.status != 200 {
		t.Errorf("a good request then got %d %s", got.status, got.body)
	}
}

// What the device says of a failure stays in the log, under an id that the client is told.
func TestSec_R13FailuresSayNothingOfTheInside(t *testing.T) {
	h := start(t, setup{runner: func(r *enginetest.Runner) {
		r.OnRun = func(int, *engine.Plan) error {
			return errors.New("RESOURCE_EXHAUSTED at 0x7fdeadbeef in /usr/lib/plugin.so")
		}
	}})
	for _, stream := range []string{"", `,"stream":true`} {
		got := h.send(t, "POST", "/v1/chat/completions", chatWith(stream), "x-request-id", "look-here")
		if text := string(got.body); internals.MatchString(text) || strings.Contains(text, "RESOURCE") || !strings.Contains(text, "look-here") {
			t.Errorf("got %s", text)
		}
	}
	if log := h.log.String(); !strings.Contains(log, "RESOURCE_EXHAUSTED") || !strings.Contains(log, "look-here") {
		t.Errorf("the log does not say why: %s", log)
	}
}

// No request makes the server call an address: a listener that waits for such calls hears nothing.
func TestSec_R14NoOutboundConnections(t *testing.T) {
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	caught := make(chan string, 100)
	go func() {
		for {
			c, err := trap.Accept()
			if err != nil {
				close(caught)
				return
			}
			caught <- c.RemoteAddr().String()
			c.Close()
		}
	}()
	h := start(t, setup{})
	url := "http://" + trap.Addr().String() + "/x"
	for _, q := range outbound(url) {
		got := h.send(t, "POST", q.path, q.body, "x-request-id", url, "Referer", url, "X-Forwarded-For", trap.Addr().String(), "Forwarded", "for="+url,
			"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate", "a="+url, "Origin", h.url)
		if strings.Contains(q.body, "image_url") || strings.Contains(q.body, "input_audio") {
			if got.status != 400 {
				t.Errorf("%s: got %d %s; want 400", q.body, got.status, got.body)
			}
		}
		if got.status >= 500 || strings.Contains(got.header.Get("x-request-id"), "http") {
			t.Errorf("%s: got %d %s", q.body, got.status, got.body)
		}
	}
	trap.Close()
	for from := range caught {
		t.Errorf("the server called %s", from)
	}
}

// source parses the files of this package that are not tests.
func source(t *testing.T) map[string]*ast.File {
	t.Helper()
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if n := name.Name(); strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") {
			if files[n], err = parser.ParseFile(gotoken.NewFileSet(), n, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	return files
}

// The server holds nothing that it could call an address with.
func TestSec_R14NothingDials(t *testing.T) {
	for name, f := range source(t) {
		for _, i := range f.Imports {
			if path := strings.Trim(i.Path.Value, `"`); path == "net/http" || strings.HasPrefix(path, "net/rpc") || path == "os/exec" {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && (strings.HasPrefix(s.Sel.Name, "Dial") || s.Sel.Name == "LookupHost") {
				t.Errorf("%s uses %s", name, s.Sel.Name)
			}
			return true
		})
	}
}

// fasthttp is given one handler, one error handler and one stream writer, each of which contains panics: nothing else is registered.
func TestSec_R23OnePlaceForEachHandler(t *testing.T) {
	uses := map[string]int{}
	for _, f := range source(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.SelectorExpr:
				uses[x.Sel.Name]++
			case *ast.KeyValueExpr:
				if key, ok := x.Key.(*ast.Ident); ok {
					uses[key.Name]++
				}
			}
			return true
		})
	}
	for name, want := range map[string]int{"Handler": 1, "ErrorHandler": 1, "SetBodyStreamWriter": 1, "SetBodyStream": 0, "Hijack": 0, "ListenAndServe": 0, "ServeConn": 0} {
		if uses[name] != want {
			t.Errorf("%s is used %d times; want %d", name, uses[name], want)
		}
	}
}

// Neither the log, with its least important lines too, nor any answer, nor the metrics hold a key or a prompt, however a request fails.
func TestSec_R26NothingSecretIsLogged(t *testing.T) {
	k, secret := newKey(t, auth.Key{Scopes: auth.Inference | auth.Admin})
	log := &syncBuffer{}
	quiet := func(with func(setup) setup) *harness {
		return start(t, with(setup{config: func(c *Config) {
			c.Access.Keys, c.Access.APIKeys, c.Access.AdminKeys = []auth.Key{k}, []string{"sk-canary-key"}, []string{"sk-canary-admin"}
			c.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}}))
	}
	h := quiet(func(s setup) setup { return s })
	body := strings.Replace(chatWith(`,"max_tokens":2`), "hi", "canary-prompt", 1)
	var answers strings.Builder
	for _, key := range []string{"sk-canary-key", secret, "sk-canary-wrong", secret + "0"} {
		for _, b := range []string{body, strings.Replace(body, "2", `"x"`, 1), body[:len(body)-3], strings.Replace(body, "canary-prompt", "refuse me canary-prompt", 1)} {
			got := h.send(t, "POST", "/v1/chat/completions", b, "Authorization", "Bearer "+key)
			if got.status != 200 { // an answer may repeat its prompt
				answers.Write(got.body)
			}
			fmt.Fprint(&answers, got.header)
		}
	}
	answers.Write(h.send(t, "GET", "/metrics", "", "Authorization", "Bearer sk-canary-admin").body)
	answers.WriteString(h.raw(t, "GET /health HTTP/1.1\r\nAuthorization: Bearer sk-canary-key\r\nbad header\r\n\r\n"))
	answers.WriteString(h.raw(t, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+secret+"\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\ncanary-prompt"))
	answers.WriteString(h.raw(t, "canary-prompt "+secret+"\r\n\r\n"))
	under := quiet(func(s setup) setup { return withTLS(t, s) })
	if c, err := net.Dial("tcp", strings.TrimPrefix(under.url, "https://")); err == nil {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\ncanary-prompt", secret)
		c.Close()
	}
	if c, err := under.dialTLS(tls.VersionTLS13); err == nil {
		fmt.Fprintf(c, "canary-prompt %s\r\n\r\n", secret)
		c.Close()
	}
	eventually(t, "something is logged", func() bool { return log.String() != "" })
	for name, text := range map[string]string{"the log": log.String(), "an answer": answers.String()} {
		for _, canary := range []string{"canary", secret, secret[len(secret)-40:]} {
			if i := strings.Index(text, canary); i >= 0 {
				t.Errorf("%s holds a secret: %.300s", name, text[max(0, i-100):])
			}
		}
	}
}

// JSON is read strictly, so that a proxy in front cannot see another request than the server does.
func TestSec_R27StrictJSON(t *testing.T) {
	h := start(t, setup{})
	for name, body := range map[string]string{
		"twice":         textWith(`,"n":1,"n":2`),
		"twice inside":  chatWith(`,"stream":true,"stream_options":{"include_usage":true,"include_usage":false}`),
		"escaped twice": textWith(`,"n":1,"\u006e":2`),
		"behind":        textWith("") + "x",
		"two":           textWith("") + textWith(""),
		"deep":          textWith(`,"x":` + strings.Repeat("[", 65) + strings.Repeat("]", 65)),
		"not UTF-8":     textWith(`,"user":"` + "\xff" + `"`),
		"half a pair":   textWith(`,"user":"\ud800"`),
		"control":       textWith(",\"user\":\"a\nb\""),
		"comment":       textWith(` /* x */`),
		"NaN":           textWith(`,"temperature":NaN`),
		"leading zero":  textWith(`,"n":01`),
		"single quotes": `{'model':'fake','prompt':'x'}`,
	} {
		if got := h.send(t, "POST", map[bool]string{true: "/v1/chat/completions", false: "/v1/completions"}[strings.Contains(body, "messages")], body); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	got := h.send(t, "POST", "/v1/completions", textWith(`,"MAX_TOKENS":1,"Max_Tokens":2,"max_tokens":3,"ignore_eos":true`))
	if u := decode[openai.CompletionAnswer](t, got).Usage.Value; u.CompletionTokens != 3 || got.header.Get("x-ignored-params") != "MAX_TOKENS,Max_Tokens" {
		t.Errorf("got %d tokens, ignored %q; want 3 and both names of another case", u.CompletionTokens, got.header.Get("x-ignored-params"))
	}
}
