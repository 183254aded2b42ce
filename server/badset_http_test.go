package server

import (
	"strings"
)

// framing is what proxies and servers read differently, and what is no HTTP at all.
func (b *badSet) framing() {
	const get, post = "GET /health HTTP/1.1\r\nHost: localhost\r\n", "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	const hidden = "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
	b.raw("01 framing", 0, "", "hello\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "GET\r\n\r\n", "GET /health\r\n\r\n", "GET  HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x00\x00\x00\x00\r\n\r\n",
		"GET /health HTTP/1.1\r\n\r\n", "GET /health HTTP/1.1\r\nHost:\r\n\r\n", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /health HTTP/1.1\r\nHost: localhost/x\r\n\r\n", "GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
		get+"X: a\r\n b\r\n\r\n"+hidden, get+"X: a\r\n\tb\r\n\r\n"+hidden, get+" X: a\r\n\r\n", get+"X\r\n\r\n", get+": a\r\n\r\n", get+"X: "+strings.Repeat("x", 20_000)+"\r\n\r\n", get+strings.Repeat("X-A: b\r\n", 100)+"\r\n",
		"GET /"+strings.Repeat("x", 20_000)+" HTTP/1.1\r\nHost: localhost\r\n\r\n", post+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+hidden, post+"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"+hidden,
		post+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"+hidden, post+"Content-Length: +2\r\n\r\n{}", post+"Content-Length: -1\r\n\r\n", post+"Content-Length: 0x2\r\n\r\n{}", post+"Content-Length: 2, 2\r\n\r\n{}", post+"Content-Length: 1e9\r\n\r\n",
		post+"Content-Length: 99999999999999999999\r\n\r\n", post+"Content-Length: 18446744073709551616\r\n\r\n", post+"Content-Length: 10\r\n\r\n{", post+"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", post+"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
		post+"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{}", post+"Transfer-Encoding: chunked\r\n\r\n2;x=\ny\r\n{}\r\n0\r\n\r\n", post+"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", post+"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
		post+"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}", post+"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", post+"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "GET /health HTTP/1.1\r\nHost: loc", "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
}

// hosts are names that a page of another place would use.
func (b *badSet) hosts() {
	for _, host := range []string{"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:80", "10.0.0.1", "169.254.169.254", "[::2]", "localhost.", "0.0.0.0", "xn--lcalhost-01a", "localhost@evil.example", "evil.example#localhost"} {
		b.raw("02 host and origin", 0, "", request("GET", "/v1/models", "", b.bearer(), "Host: "+host))
	}
	for _, origin := range []string{"http://evil.example", "https://evil.example", "null", "file://", "http://localhost.evil.example", "chrome-extension://x", "http://localhost:1", "https://127.0.0.1", "data:", "%00", "javascript:1"} {
		b.raw("02 host and origin", 403, "origin_not_allowed", request("POST", "/v1/chat/completions", chatWith(""), b.bearer(), "Origin: "+origin))
	}
	for _, target := range []string{"http://evil.example/v1/models", "http://localhost/v1/models", "https://localhost/v1/models", "ftp://localhost/", "localhost:80", "http://localhost@evil/", "*"} {
		b.raw("02 host and origin", 400, "", request("GET", target, "", b.bearer()))
	}
}

// paths are spellings of routes that are none.
func (b *badSet) paths() {
	for _, base := range []string{"/v1/models", "/metrics", "/v1/chat/completions", "/debug/pprof/heap"} {
		parts := strings.SplitN(base[1:], "/", 2)
		for _, path := range []string{"/" + base, base + "/%2e%2e/x", "/./" + base[1:], "/x/.." + base, "/%2f" + base[1:], strings.ToUpper(base), base + ";x", ";" + base, "/health/.." + base, "/health;" + base, "/health%2f.." + base, "/health#" + base,
			strings.ReplaceAll(base, "/", "\\"), strings.ReplaceAll(base, "/", "%2f"), strings.ReplaceAll(base, "/", "%252f"), "/%00" + base, "/%" + base[1:], "/" + parts[0][:1] + "%" + parts[0][1:], "/%6d" + base[2:]} {
			b.raw("03 path spellings", 0, "", request("PUT", path, "", b.bearer()), request("GET", path+"/..;/", "", "Host: localhost"))
		}
	}
}

func (b *badSet) methods() {
	for _, method := range []string{"DELETE", "PUT", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "get", "Post", "XXXXXXXXXXXXXXXXXXXXXXXX"} {
		b.raw("04 methods", 405, "method_not_allowed", request(method, "/v1/models", "", b.bearer()), request(method, "/v1/chat/completions", "", b.bearer()), request(method, "/health", ""))
	}
	b.raw("04 methods", 405, "", request("GET", "/v1/completions", "", b.bearer()), request("HEAD", "/v1/completions", "", b.bearer()), request("POST", "/v1/models", "", b.bearer()), request("POST", "/health", ""))
}

func (b *badSet) keys() {
	for _, value := range []string{"", "Bearer", "Bearer ", "Bearer sk-astro-0", "Bearer " + b.key + "0", "Bearer " + b.key[:len(b.key)-1], "Bearer " + strings.ToUpper(b.key), "Bearer " + b.key + " " + b.key, "Basic " + b.key, b.key, "Bearer\t" + b.key + "x",
		"Bearer null", "Bearer undefined", "Bearer *", "Bearer " + strings.Repeat("x", 8000), "Digest username=x", "Bearer ' OR 1=1", "Bearer \xff\xfe", "Negotiate x", "Bearer =" + b.key} {
		b.raw("05 keys", 401, "invalid_api_key", request("POST", "/v1/chat/completions", chatWith(""), "Authorization: "+value), request("GET", "/v1/models", "", "Authorization: "+value))
	}
	b.raw("05 keys", 403, "insufficient_scope", request("POST", "/v1/chat/completions", chatWith(""), "Authorization: Bearer "+b.other), request("GET", "/v1/models?key="+b.key, "", "Authorization: Bearer "+b.other))
	b.raw("05 keys", 401, "invalid_api_key", request("GET", "/v1/models?api_key="+b.key, ""), request("GET", "/v1/models", "", "Cookie: key="+b.key), request("GET", "/v1/models", "", "X-Forwarded-For: 127.0.0.1"), request("GET", "/v1/models", "", "X-Original-URL: /health"))
}

// bodies are too long, compressed, or of another kind.
func (b *badSet) bodies() {
	long := strings.Repeat(" ", 1<<20)
	b.raw("06 bodies", 413, "request_too_large", request("POST", "/v1/completions", textWith(long), b.bearer()), request("POST", "/v1/completions", long+long, b.bearer()))
	for _, encoding := range []string{"gzip", "br", "deflate", "zstd", "identity, gzip", "x"} {
		b.raw("06 bodies", 415, "", request("POST", "/v1/completions", textWith(""), b.bearer(), "Content-Encoding: "+encoding))
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/octet-stream", "text/json", "application/jsonx", ""} {
		message := request("POST", "/v1/completions", textWith(""), b.bearer())
		b.raw("06 bodies", 415, "unsupported_media_type", strings.Replace(message, "Content-Type: application/json", "Content-Type: "+kind, 1))
	}
	b.post("06 bodies", "/v1/completions", "", " ", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "\x00", "--x\r\n\r\n--x--", "model=fake&prompt=x", "<xml/>")
}

// injection are headers that would like to be part of the answer, on a request that is refused.
func (b *badSet) injection() {
	for _, value := range []string{"a%0d%0aX-Injected: 1", "a\\r\\nX-Injected: 1", "a\tX-Injected: 1", "a\u2028X-Injected: 1", "a\u560d\u560aX-Injected: 1", strings.Repeat("a", 8000), "a b", "<script>", "a;b", "\"a\"", "../../x", "a\x7f", "é", "a,b", "${jndi:ldap://x}"} {
		b.raw("19 header injection", 0, "", request("GET", "/nowhere", "", "x-request-id: "+value))
		b.raw("19 header injection", 0, "", request("POST", "/v1/completions", `{`, b.bearer(), "x-request-id: "+value, "traceparent: "+value))
	}
	b.raw("19 header injection", 0, "", request("GET", "/nowhere", "", "x-request-id: a\rX-Injected: 1"), request("GET", "/nowhere", "", "x-request-id: a\x00b"), request("GET", "/nowhere?a=%0d%0aX-Injected:1", ""))
}

// admin is what a key without the scope for it may not do.
func (b *badSet) admin() {
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace", "/debug/pprof/goroutine?debug=2"} {
		b.raw("20 admin", 403, "insufficient_scope", request("GET", path, "", b.bearer()), request("GET", path, "", "Authorization: Bearer "+b.other))
		b.raw("20 admin", 401, "invalid_api_key", request("GET", path, ""))
	}
	for _, g := range generating {
		b.raw("20 admin", 403, "", request("POST", g.path, g.with(`,"priority":-1`), b.bearer()))
	}
	for _, path := range []string{"/v1/policies/1/promote", "/v1/policies/1/rollback", "/v1/policies/1/canary", "/learning/pause", "/learning/step", "/rl/start_session"} {
		b.raw("20 admin", 403, "insufficient_scope", request("POST", path, "{}", b.bearer()), request("POST", path, "{}", "Authorization: Bearer "+b.other))
		b.raw("20 admin", 401, "invalid_api_key", request("POST", path, "{}"))
	}
	for _, path := range []string{"/update_weights", "/pause", "/invocations", "/v1/load_lora_adapter", "/init_weight_transfer_engine", "/shutdown", "/admin"} {
		b.raw("20 admin", 404, "unknown_url", request("POST", path, "{}", b.bearer()))
	}
}

// feedback is what would give a reward to something else than a completion that was served to the sender.
func (b *badSet) feedback() {
	const category = "16 feedback"
	key := "Authorization: Bearer " + b.other
	post := func(status int, code, path string, bodies ...string) {
		for _, body := range bodies {
			b.raw(category, status, code, request("POST", path, body, key))
		}
	}
	about := func(members string) string { return `{"completion_id":"chatcmpl-1",` + members + `}` }
	for _, grader := range []string{`{}`, `{"type":7}`, `{"type":"math","x":1}`, `{"type":"math","type":"math"}`, `{"type":"numeric","tolerance":-1}`, `{"type":"numeric","tolerance":[]}`, `{"type":"pattern"}`, `{"type":"pattern","expression":"("}`,
		`{"type":"pattern","expression":"(a{1000}){1000}"}`, `{"type":"countdown","max_value":0}`, `{"type":"string_check","operation":"eval"}`, `{"type":"string_check","operation":"eq","reference":"{{x}}"}`, `{"type":"multi"}`,
		`{"type":"multi","graders":{},"calculate_output":"1"}`, `{"type":"multi","graders":{"a":{"type":"math"}},"calculate_output":"b"}`, `{"type":"multi","graders":{"a":{"type":"math"}},"calculate_output":"a)"}`} {
		post(400, "", "/v1/feedback", about(`"grader":`+grader))
	}
	post(400, "grader_url_refused", "/v1/feedback", about(`"grader":{"type":"http","url":"http://127.0.0.1/x"}`), about(`"grader":{"type":"http","name":"http://127.0.0.1/x"}`), about(`"grader":"https://evil.example"`),
		about(`"grader":{"type":"math","URL":"file:///etc/passwd"}`), about(`"grader":{"type":"multi","graders":{"a":{"type":"http","endpoint":"x"}},"calculate_output":"a"}`))
	post(400, "unsupported_grader", "/v1/feedback", about(`"grader":{"type":"python","source":"import os"}`), about(`"grader":{"type":"score_model"}`), about(`"grader":"nobody"`), about(`"grader":{"type":"http","name":"nobody"}`),
		about(`"grader":{"type":"multi","graders":{"a":{"type":"python","source":"x"}},"calculate_output":"a"}`))
	for _, value := range []string{`"1"`, "1.0001", "-1.0001", "1e999", "NaN", "Infinity", "true", "[1]", "{}", "null", `"correct"`} {
		post(400, "", "/v1/feedback", about(`"reward":`+value))
		post(400, "", "/rl/set_reward", `{"reward":`+value+`}`)
	}
	post(400, "", "/v1/feedback", about(`"verdict":"maybe"`), about(`"verdict":1`), about(`"reward":1,"verdict":"correct"`), about(`"reward":1,"grader":"math"`), about(`"reward":1,"answer":"x"`), about(`"grader":7`), about(`"grader":[]`),
		about(`"reward":1,"choice":-1`), about(`"reward":1,"choice":1024`), about(`"reward":1,"choice":"0"`), about(`"reward":1,"rater":""`), about(`"reward":1,"rater":"`+strings.Repeat("r", 129)+`"`), about(`"reward":1,"idempotency_key":7`),
		about(`"reward":1,"supersede":"yes"`), about(`"reward":1,"metadata":{"a":1}`), about(`"reward":1,"metadata":[]`), about(`"reward":1,"tenant":"other"`), about(`"reward":1,"REWARD":1`), about(`"reward":1,"reward":1`),
		`{"completion_id":"","reward":1}`, `{"completion_id":7,"reward":1}`, `{"reward":1}`, `{"completion_id":"`+strings.Repeat("x", 129)+`","reward":1}`, about(`"grader":{"type":"math","name":"`+strings.Repeat("x", 20_000)+`"}`), "[]", "{}")
	post(404, "unknown_completion", "/v1/feedback", about(`"reward":1`), `{"completion_id":"../../etc/passwd","reward":1}`, `{"completion_id":"' OR 1=1 --","reward":1}`, about(`"grader":"math"`))
	post(403, "insufficient_scope", "/rl/start_session", `{"task_id":"x"}`)
	post(403, "session_key_required", "/rl/set_reward", `{"reward":1}`)
	post(405, "", "/v1/feedback/1", `{}`)
	b.raw(category, 404, "", request("GET", "/v1/feedback/fb-1", "", key), request("GET", "/v1/feedback/%27%20OR%201=1", "", key), request("GET", "/v1/completions/chatcmpl-1", "", key), request("GET", "/v1/completions/..%2f..%2fx", "", key))
	b.raw(category, 403, "insufficient_scope", request("GET", "/v1/completions/chatcmpl-1", "", b.bearer()), request("POST", "/v1/feedback", about(`"reward":1`), b.bearer()), request("GET", "/learning", "", key), request("GET", "/trees", "", key))
	for _, path := range []string{"/v1/feedback/batch/x", "/v1/completions/cmpl-1/feedback", "/rl", "/rl/", "/learning/", "/v1/policies/"} {
		b.raw(category, 404, "unknown_url", request("POST", path, "{}", key))
	}
}
