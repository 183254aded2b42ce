package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"astro/openai/client"
)

// features are what a server takes beyond a plain streamed request.
type features struct {
	IDs      bool `json:"token_ids_in"`  // prompts may be token ids
	Exact    bool `json:"exact_length"`  // ignore_eos and min_tokens are not refused
	TokenIDs bool `json:"token_ids_out"` // return_token_ids is not refused
	Usage    bool `json:"usage"`         // stream_options.include_usage is not refused
}

// wishes are tried in turn until one is not refused.
var wishes = []features{
	{true, true, true, true}, {true, true, false, true}, {true, false, false, true},
	{false, true, true, true}, {false, true, false, true}, {false, false, false, true}, {},
}

// asker writes the requests of a run, as its server takes them.
type asker struct {
	client   client.Client
	config   *Config
	prompts  prompts
	features features
}

// request is the body of either API.
type request struct {
	Model          string           `json:"model"`
	Prompt         any              `json:"prompt,omitempty"` // string or []int32
	Messages       []client.Message `json:"messages,omitempty"`
	MaxTokens      int              `json:"max_tokens"`
	Temperature    float64          `json:"temperature"`
	Seed           uint32           `json:"seed"`
	Stream         bool             `json:"stream,omitempty"`
	StreamOptions  *streamOptions   `json:"stream_options,omitempty"`
	IgnoreEOS      bool             `json:"ignore_eos,omitempty"`
	MinTokens      int              `json:"min_tokens,omitempty"`
	ReturnTokenIDs bool             `json:"return_token_ids,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

func (c *Config) path() string {
	if c.API == Chat {
		return "/v1/chat/completions"
	}
	return "/v1/completions"
}

// body is one request of a stream of them.
func (a *asker) body(stream, number uint64) []byte {
	c, f := a.config, a.features
	q := request{Model: c.Model, MaxTokens: c.MaxTokens, Temperature: c.Temperature, Seed: a.prompts.random(stream, number).Uint32() >> 1,
		Stream: true, IgnoreEOS: f.Exact, ReturnTokenIDs: f.TokenIDs}
	if f.Exact {
		q.MinTokens = c.MaxTokens
	}
	if f.Usage {
		q.StreamOptions = &streamOptions{true}
	}
	if f.IDs {
		q.Prompt = a.prompts.ids(stream, number)
	} else {
		q.ask(c.API, a.prompts.text(stream, number))
	}
	data, err := json.Marshal(q)
	if err != nil {
		panic("BUG: a request has no JSON form: " + err.Error())
	}
	return data
}

func (q *request) ask(api API, text string) {
	if api == Chat {
		q.Messages = []client.Message{{Role: "user", Content: text}}
		return
	}
	q.Prompt = text
}

// meet finds out what the server takes: a vocabulary to draw prompts from, how many tokens a word has, and which parameters.
func meet(ctx context.Context, c *Config) (*asker, error) {
	a := &asker{client: c.Client, config: c, prompts: prompts{seed: c.Seed, tokens: c.PromptTokens, shared: c.SharedPrefixTokens}}
	if c.API == Completions {
		a.prompts.pool = a.vocabulary(ctx)
	}
	if err := a.measureWords(ctx); err != nil {
		return nil, err
	}
	var err error
	for _, a.features = range wishes {
		if a.features.IDs && a.prompts.pool == nil {
			continue
		}
		if err = a.try(ctx); !refusesParameters(err) {
			break
		}
	}
	return a, err
}

// refusesParameters says that another wish may be granted.
func refusesParameters(err error) bool {
	var status *client.StatusError
	return errors.As(err, &status) && (status.Status == http.StatusBadRequest || status.Status == http.StatusUnprocessableEntity) && !status.TooLong()
}

// try sends one request to its end.
func (a *asker) try(ctx context.Context) error {
	stream, err := a.client.Stream(ctx, a.config.path(), a.body(warmupStream-1, 0))
	if err != nil {
		return err
	}
	defer stream.Close()
	for err == nil {
		_, err = stream.Next()
	}
	return endOf(err)
}

// minPool is the smallest vocabulary that makes prompts differ.
const minPool = 8

// vocabulary is ids that surely are ordinary tokens of the model: those of a text, by either of two routes that some servers have.
// The first id is left out, which may begin every text. nil = the server does not say.
func (a *asker) vocabulary(ctx context.Context) []int32 {
	text := strings.Join(words, " ")
	var told struct {
		Choices []struct {
			PromptTokenIDs []int32 `json:"prompt_token_ids"`
		} `json:"choices"`
	}
	q := request{Model: a.config.Model, Prompt: text, MaxTokens: 1, ReturnTokenIDs: true}
	if err := a.client.Ask(ctx, "/v1/completions", q, &told); err == nil && len(told.Choices) == 1 {
		if pool := distinct(told.Choices[0].PromptTokenIDs); len(pool) >= minPool {
			return pool
		}
	}
	var tokens struct {
		Tokens []int32 `json:"tokens"`
	}
	route := struct { // vLLM reads prompt, llama.cpp content
		Model   string `json:"model"`
		Prompt  string `json:"prompt"`
		Content string `json:"content"`
	}{a.config.Model, text, text}
	if err := a.client.Ask(ctx, "/tokenize", route, &tokens); err == nil {
		if pool := distinct(tokens.Tokens); len(pool) >= minPool {
			return pool
		}
	}
	return nil
}

// distinct is the ids after the first, each once, in the order of the text.
func distinct(ids []int32) []int32 {
	var pool []int32
	seen := map[int32]bool{}
	for _, id := range ids[min(1, len(ids)):] {
		if !seen[id] {
			seen[id] = true
			pool = append(pool, id)
		}
	}
	return pool
}

// measureWords asks how many tokens two texts have.
func (a *asker) measureWords(ctx context.Context) error {
	const few, many = 4, 36
	var counts [2]int
	for i, n := range []int{few, many} {
		q := request{Model: a.config.Model, MaxTokens: 1}
		q.ask(a.config.API, strings.Join(draw(n, a.prompts.random(warmupStream-2, uint64(i))), " "))
		var answer struct{ Usage usage }
		if err := a.client.Ask(ctx, a.config.path(), q, &answer); err != nil {
			return fmt.Errorf("ask for one token: %w", err)
		}
		counts[i] = answer.Usage.PromptTokens
	}
	a.prompts.fit(few, many, counts[0], counts[1])
	return nil
}
