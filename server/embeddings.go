package server

import (
	"math"

	"github.com/valyala/fasthttp"

	"astro/engine"
	"astro/openai"
)

// embeddings is POST /v1/embeddings: the hidden states of the model's trunk, pooled and of length 1.
func (s *Server) embeddings(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	q, err := openai.DecodeEmbeddingsRequest(ctx.PostBody())
	if err != nil {
		return err
	}
	c, err := s.newTextCall(ctx, id, "input", &q.Options, q.Inputs)
	if err != nil {
		return err
	}
	c.head, c.embed = s.newHead("embd-"), true
	c.observe(ctx, "embeddings")
	return s.answer(ctx, c, embeddingFormat{c, q})
}

// embeddingFormat is the format of embeddings; nothing of it streams.
type embeddingFormat struct {
	*call
	request *openai.EmbeddingsRequest
}

func (embeddingFormat) first(*eventWriter, int)         {}
func (embeddingFormat) delta(*eventWriter, *update)     {}
func (embeddingFormat) last(*eventWriter, *update)      {}
func (embeddingFormat) end(*eventWriter, *openai.Error) {}

func (f embeddingFormat) whole(_ []*update, usage openai.Usage) any {
	list := openai.EmbeddingList{Object: "list", Model: f.head.model, Usage: usage}
	for i := range f.prompts {
		list.Data = append(list.Data, openai.NewEmbeddingItem(i, pooled(f.prompts[i].embedding, f.request.Last), f.request.Base64))
	}
	return list
}

// pooled is the mean of the states, or the last, scaled to length 1; all zeros stay so.
func pooled(e *engine.Embedding, last bool) []float32 {
	v := append([]float32{}, e.Sum...) // the scale takes the count out
	if last {
		v = append([]float32{}, e.Last...)
	}
	length := 0.0
	for _, x := range v {
		length += float64(x) * float64(x)
	}
	if length = math.Sqrt(length); length == 0 {
		return v
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / length)
	}
	return v
}
