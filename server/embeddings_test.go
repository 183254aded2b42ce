package server

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"testing"

	"astro/openai"
)

// The fake's embedding is the sum of the token ids and their number.
func TestEmbeddingsRoute(t *testing.T) {
	h := start(t, setup{})
	a, b := float64(byteToken('a')), float64(byteToken('b'))
	for name, c := range map[string]struct {
		input string
		want  [][2]float64
	}{
		"text":  {`"ab"`, [][2]float64{{a + b, 2}}},
		"texts": {`["ab","b"]`, [][2]float64{{a + b, 2}, {b, 1}}},
		"ids":   {`[99,100,100]`, [][2]float64{{299, 3}}},
		"lists": {`[[99],[100]]`, [][2]float64{{99, 1}, {100, 1}}},
		"last":  {`"ab","pooling":"last"`, [][2]float64{{b, 1}}},
	} {
		list := decode[openai.EmbeddingList](t, h.send(t, "POST", "/v1/embeddings", `{"model":"fake","input":`+c.input+`}`))
		if len(list.Data) != len(c.want) || list.Object != "list" || list.Usage.PromptTokens == 0 || list.Usage.CompletionTokens != 0 {
			t.Errorf("%s: got %+v", name, list)
			continue
		}
		for i, want := range c.want {
			length := math.Hypot(want[0], want[1])
			got := list.Data[i].Embedding.([]any)
			for k := range want {
				if math.Abs(got[k].(float64)-want[k]/length) > 1e-6 || list.Data[i].Index != i {
					t.Errorf("%s: input %d has %v; want %v of length 1", name, i, got, want)
				}
			}
		}
	}
	list := decode[openai.EmbeddingList](t, h.send(t, "POST", "/v1/embeddings", `{"model":"fake","input":"a","encoding_format":"base64"}`))
	raw, err := base64.StdEncoding.DecodeString(list.Data[0].Embedding.(string))
	if err != nil || len(raw) != 8 || math.Float32frombits(binary.LittleEndian.Uint32(raw)) < 0.99 {
		t.Errorf("got %v (%v)", list.Data[0], err)
	}
	h.send(t, "POST", "/v1/embeddings", `{"model":"fake","input":""}`).wantError(t, 400, "empty_prompt")
	h.send(t, "POST", "/v1/embeddings", `{"model":"fake"}`).wantError(t, 400, "missing_required_parameter")
	h.send(t, "POST", "/v1/embeddings", `{"model":"fake","input":"a","dimensions":5}`).wantError(t, 400, "unsupported_parameter")
	h.send(t, "POST", "/v1/embeddings", `{"model":"fake","input":"a","encoding_format":"int8"}`).wantError(t, 400, "invalid_value")
	h.send(t, "POST", "/v1/embeddings", `{"model":"fake","input":[[258]]}`).wantError(t, 400, "invalid_value")
}
