package server

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"astro/feedback"
	"astro/model/tokenizer"
	"astro/openai"
	"astro/sampler"
)

// storeTimeout bounds how long an answer waits until it is stored, and how long a request waits for the store. adminTimeout bounds
// what an administrator asks of the loop.
const (
	storeTimeout = 2 * time.Second
	adminTimeout = time.Minute
)

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d) // not with the client: what was drawn is kept even if it has gone
}

func storeDeadline() (context.Context, context.CancelFunc) { return within(storeTimeout) }

// draws are what a choice keeps for the store: its tokens with their log-probabilities.
type draws struct {
	ids               []int32
	logprobs, sampled []float32
	differs           bool // a token was drawn from another distribution than that of the raw logits
}

func (d *draws) add(c *sampler.Choice) {
	d.ids, d.logprobs, d.sampled = append(d.ids, c.Token), append(d.logprobs, c.Logprob), append(d.sampled, c.Sampled)
	d.differs = d.differs || c.Sampled != c.Logprob
}

// keeps says whether completions of a request are stored: not those without new tokens, nor where the client does not want it.
func (s *Server) keeps(o *openai.Options) bool {
	return s.Store != nil && !o.NoStore && o.MaxTokens != 0
}

// record stores all choices of the call in one piece, before the last bytes of its answer leave: whoever knows that the answer is whole
// can say what it was worth. A store that cannot take it does not fail the answer; its id is unknown then.
func (c *call) record() {
	if len(c.choices) == 0 || c.choices[0].draws == nil {
		return
	}
	rows, outcome := make([]*feedback.Completion, len(c.choices)), "stored"
	for i, choice := range c.choices {
		if rows[i] = c.completion(choice); rows[i].State == feedback.Aborted {
			outcome = string(feedback.Aborted)
		}
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	if err := c.server.Store.Add(deadline, rows...); err != nil {
		c.server.Metrics.Recorded("failed")
		c.server.reportTrouble("an answer was not stored; feedback about it will be refused", c.id, err)
		return
	}
	c.server.Metrics.Recorded(outcome)
	c.scoreItself(rows)
}

// completion is a choice as the store keeps it.
func (c *call) completion(choice *choice) *feedback.Completion {
	p, caller := &c.prompts[choice.index/c.options.N], c.visit.caller
	row := &feedback.Completion{ID: c.head.id, Choice: choice.index, Tenant: caller.Tenant, Key: caller.ID, Session: caller.Session, Model: c.head.model,
		State: feedback.Complete, Finish: choice.finish, Prompt: p.ids, Output: choice.draws.ids, Logprobs: choice.draws.logprobs, Params: c.paramsOf(p)}
	if choice.finish == "" {
		row.State = feedback.Aborted
	}
	if choice.draws.differs {
		row.Sampled = choice.draws.sampled
	}
	for _, span := range choice.spans {
		row.Spans = append(row.Spans, feedback.Span{Version: span.Version, Start: span.Start, End: span.End})
	}
	if len(c.options.Metadata) > 0 {
		row.Metadata = openai.Encode(c.options.Metadata)
	}
	if c.server.Store.KeepsText() {
		prompt, output := c.server.textOf(p.ids), c.server.shownText(row.Output, choice)
		row.PromptText, row.OutputText = &prompt, &output
	}
	return row
}

// storedParams are the sampling parameters of a completion. sample i of a prompt draws with engine.SampleSeed(Seed, i).
type storedParams struct {
	Temperature       float64           `json:"temperature"`
	TopP              float64           `json:"top_p"`
	TopK              int               `json:"top_k,omitempty"`
	MinP              float64           `json:"min_p,omitempty"`
	PresencePenalty   float64           `json:"presence_penalty,omitempty"`
	FrequencyPenalty  float64           `json:"frequency_penalty,omitempty"`
	RepetitionPenalty float64           `json:"repetition_penalty,omitempty"`
	LogitBias         map[int32]float64 `json:"logit_bias,omitempty"`
	N                 int               `json:"n"`
	MaxTokens         int               `json:"max_tokens"`
	MinTokens         int               `json:"min_tokens,omitempty"`
	Stop              []string          `json:"stop,omitempty"`
	StopTokenIDs      []int32           `json:"stop_token_ids,omitempty"`
	Constrained       bool              `json:"constrained,omitempty"` // by a grammar or a list of tokens
	Seed              uint64            `json:"seed"`
}

func (c *call) paramsOf(p *prompt) json.RawMessage {
	o := c.options
	params := storedParams{Temperature: o.Temperature, TopP: o.TopP, TopK: o.TopK, MinP: o.MinP, PresencePenalty: o.PresencePenalty, FrequencyPenalty: o.FrequencyPenalty,
		RepetitionPenalty: o.RepetitionPenalty, LogitBias: o.LogitBias, N: o.N, MinTokens: o.MinTokens, Stop: o.Stop, StopTokenIDs: o.StopTokenIDs,
		Constrained: c.grammar != nil || c.allowed != nil}
	if p.stream != nil {
		r := p.stream.Request()
		params.MaxTokens, params.Seed = r.MaxTokens, r.Params.Seed
	}
	return openai.Encode(params)
}

// shownText spells the tokens of a choice as its answer showed them.
func (s *Server) shownText(ids []int32, c *choice) string {
	if c.goesOn {
		return s.plainText(ids, s.Tokenizer.NewContinuation())
	}
	return s.PlainText(ids)
}

// PlainText spells tokens without the special ones, as an answer shows them.
func (s *Server) PlainText(ids []int32) string { return s.plainText(ids, s.Tokenizer.NewStream()) }

func (s *Server) plainText(ids []int32, stream *tokenizer.Stream) string {
	var text strings.Builder
	for _, id := range ids {
		if !s.Tokenizer.Special(id) {
			text.WriteString(stream.Push(id))
		}
	}
	text.WriteString(stream.Flush())
	return text.String()
}

// quiet lets one line a minute into the log, however often there is trouble.
type quiet struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

const quietInterval = time.Minute

// turn says whether a line may be written now, and how many were left out before it.
func (q *quiet) turn(now time.Time) (skipped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.last.IsZero() && now.Sub(q.last) < quietInterval {
		q.skipped++
		return 0, false
	}
	skipped, q.last, q.skipped = q.skipped, now, 0
	return skipped, true
}

// reportTrouble logs what is wrong with the store.
func (s *Server) reportTrouble(what, id string, err error) {
	if skipped, ok := s.trouble.turn(time.Now()); ok {
		s.log.Error(what, "request", id, "error", err, "more of these", skipped)
	}
}
