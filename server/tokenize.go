package server

import (
	"strings"

	"github.com/valyala/fasthttp"

	"astro/model/chat"
	"astro/openai"
)

// tokenize is POST /tokenize: the ids of a text, or of a rendered conversation.
func (s *Server) tokenize(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	q, err := openai.DecodeTokenizeRequest(ctx.PostBody())
	if err == nil {
		err = s.checkTokenizer(ctx, &q.Options)
	}
	if err != nil {
		return err
	}
	ids, err := s.tokensOf(q)
	if err != nil {
		return err
	}
	answer := openai.TokenizeAnswer{Count: len(ids), MaxModelLen: s.ContextTokens, Tokens: append([]int32{}, ids...)}
	if q.Strings {
		answer.Strings = make([]string, len(ids))
		for i, id := range ids {
			answer.Strings[i] = openai.TokenText(s.Tokenizer.Bytes(id))
		}
	}
	writeJSON(ctx, answer)
	return nil
}

// tokensOf are the ids that a request with this text or conversation would begin with.
func (s *Server) tokensOf(q *openai.TokenizeRequest) ([]int32, *openai.Error) {
	switch {
	case q.Text == nil:
		return s.render("messages", q.Messages, &q.Rendering, &q.Tooling)
	case q.AddSpecial:
		return s.Tokenizer.Encode(*q.Text), nil
	}
	return s.Tokenizer.EncodeSegments([]chat.Segment{{Text: *q.Text}}), nil
}

// detokenize is POST /detokenize: the text of token ids, special tokens by their names, as vLLM does.
func (s *Server) detokenize(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	q, err := openai.DecodeDetokenizeRequest(ctx.PostBody())
	if err == nil {
		err = s.checkTokenizer(ctx, &q.Options)
	}
	if err == nil {
		err = s.checkIDs("tokens", q.Tokens)
	}
	if err != nil {
		return err
	}
	writeJSON(ctx, openai.DetokenizeAnswer{Prompt: s.textOf(q.Tokens)})
	return nil
}

// textOf spells tokens.
func (s *Server) textOf(ids []int32) string {
	var text strings.Builder
	stream := s.Tokenizer.NewStream()
	for _, id := range ids {
		if s.Tokenizer.Special(id) {
			text.WriteString(stream.Flush())
			text.Write(s.Tokenizer.Bytes(id))
			continue
		}
		text.WriteString(stream.Push(id))
	}
	text.WriteString(stream.Flush())
	return text.String()
}

// checkTokenizer checks what both requests share; the model may be left out, since there is one tokenizer.
func (s *Server) checkTokenizer(ctx *fasthttp.RequestCtx, o *openai.Options) *openai.Error {
	if o.Model == "" {
		return s.noteIgnored(ctx, o)
	}
	return s.checkAsked(ctx, o)
}

// tokenizerInfo is GET /tokenizer_info: the model's tokenizer_config.json, which lets clients such as lm-eval render and count as the
// server does.
func (s *Server) tokenizerInfo(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	if s.TokenizerInfo == nil {
		return openai.Invalid("", "no_tokenizer_config", "This model has no tokenizer_config.json.")
	}
	ctx.SetContentType(openai.JSONType)
	ctx.SetBody(s.TokenizerInfo)
	return nil
}
