package load

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"astro/openai"
	"astro/openai/client"
)

// fake is a server that takes some parameters and refuses others, and answers with as many tokens as are asked for.
type fake struct {
	takes features
	vocabulary,
	tokenizes bool // it tells the ids of a prompt in its answer, or has the route /tokenize
	stream func(w http.ResponseWriter, q asked)

	mu    sync.Mutex
	asked []asked // streams
}

// asked is a request as the fake reads it.
type asked struct {
	path           string
	number         int // of the stream, from 1
	Prompt         json.RawMessage
	Messages       []client.Message
	MaxTokens      int  `json:"max_tokens"`
	MinTokens      int  `json:"min_tokens"`
	IgnoreEOS      bool `json:"ignore_eos"`
	ReturnTokenIDs bool `json:"return_token_ids"`
	StreamOptions  *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Seed   int64
	Stream bool
}

// text is the prompt's, or "".
func (q asked) text() string {
	var text string
	if len(q.Messages) > 0 {
		return q.Messages[0].Content
	}
	json.Unmarshal(q.Prompt, &text)
	return text
}

// ids are the prompt's, or nil.
func (q asked) ids() []int32 {
	var ids []int32
	json.Unmarshal(q.Prompt, &ids)
	return ids
}

// promptTokens: an id is one, a word is two, and a chat adds 7.
func (q asked) promptTokens() int {
	n := len(q.ids()) + 2*len(strings.Fields(q.text()))
	if len(q.Messages) > 0 {
		n += 7
	}
	return n
}

// start serves, and makes a small run against it, with one request at a time.
func (f *fake) start(t testing.TB) Config {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c := Config{Client: client.New(server.URL, "", 8), Model: "toy", API: Completions, Concurrency: []int{1}, Requests: 3, Warmup: -1,
		PromptTokens: 24, MaxTokens: 4, Seed: 7}
	c.Client.Retry.Tries, c.Client.Limit = 1, 10*time.Second
	return c
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := asked{path: r.URL.Path}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch {
	case q.path == "/tokenize" && f.tokenizes:
		fmt.Fprintf(w, `{"tokens":%s}`, f.tokens(30))
	case q.path != "/v1/completions" && q.path != "/v1/chat/completions":
		http.NotFound(w, r)
	case q.ids() != nil && !f.takes.IDs || q.IgnoreEOS && !f.takes.Exact || q.ReturnTokenIDs && q.Stream && !f.takes.TokenIDs || q.StreamOptions != nil && !f.takes.Usage:
		http.Error(w, `{"error":{"message":"unknown parameter"}}`, http.StatusBadRequest)
	case !q.Stream:
		ids := "null"
		if f.vocabulary && q.ReturnTokenIDs {
			ids = f.tokens(20)
		}
		fmt.Fprintf(w, `{"choices":[{"text":"a","prompt_token_ids":%s}],"usage":{"prompt_tokens":%d}}`, ids, q.promptTokens())
	default:
		f.answer(w, q)
	}
}

// tokens is a list of ids that begins with 1.
func (f *fake) tokens(n int) string {
	list := "[1"
	for i := range n {
		list += fmt.Sprintf(",%d", 100+i)
	}
	return list + "]"
}

// answer notes the request and streams.
func (f *fake) answer(w http.ResponseWriter, q asked) {
	f.mu.Lock()
	q.number = len(f.asked) + 1
	f.asked = append(f.asked, q)
	f.mu.Unlock()
	w.Header().Set("Content-Type", openai.EventType)
	if f.stream != nil {
		f.stream(w, q)
		return
	}
	f.tokensOf(w, q)
	io.WriteString(w, openai.Done)
}

// tokensOf sends an event for each token, and the usage where it is wanted.
func (f *fake) tokensOf(w io.Writer, q asked) {
	ids := ""
	if q.ReturnTokenIDs {
		ids = `,"token_ids":[5]`
	}
	for range q.MaxTokens {
		if q.path == "/v1/completions" {
			fmt.Fprintf(w, "data: {\"choices\":[{\"text\":\"a\"%s}]}\n\n", ids)
		} else {
			fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}%s}]}\n\n", ids)
		}
	}
	if q.StreamOptions != nil {
		fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d}}\n\n", q.promptTokens(), q.MaxTokens)
	}
}

// all is everything that a server can take.
var all = features{IDs: true, Exact: true, TokenIDs: true, Usage: true}

// ticking is a clock that is 10 ms later each time it is read.
func ticking() func() time.Duration {
	var reads atomic.Int64
	return func() time.Duration { return time.Duration(reads.Add(1)) * 10 * time.Millisecond }
}
