package server

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"astro/engine/enginetest"
	"astro/openai"
	"astro/sampler"
)

// decodeAll is the text of generated tokens, with the end-of-sequence token left out.
func (h *harness) decodeAll(ids []int32) string {
	stream, text := h.Tokenizer.NewStream(), ""
	for _, id := range ids {
		if id != 0 {
			text += stream.Push(id)
		}
	}
	return text + stream.Flush()
}

// sum adds up a streamed chat with n choices.
func sum(t *testing.T, body []byte, n int) []openai.ChatChoice {
	t.Helper()
	choices := make([]openai.ChatChoice, n)
	for _, event := range events(t, body) {
		var chunk openai.ChatChunk
		if err := json.Unmarshal([]byte(event), &chunk); err != nil {
			t.Fatal(err)
		}
		for _, c := range chunk.Choices {
			sum := &choices[c.Index]
			sum.Index = c.Index
			sum.Message.Role += c.Delta.Role
			if c.Delta.Content != nil {
				sum.Message.Content += *c.Delta.Content
			}
			sum.TokenIDs = append(sum.TokenIDs, c.TokenIDs...)
			if c.Logprobs != nil && sum.Logprobs == nil {
				sum.Logprobs = &openai.ChatLogprobs{}
			}
			if c.Logprobs != nil {
				sum.Logprobs.Content = append(sum.Logprobs.Content, c.Logprobs.Content...)
			}
			if c.FinishReason != nil {
				sum.FinishReason += *c.FinishReason
			}
		}
	}
	return choices
}

// randomOptions are members of a chat request that change what an answer looks like.
func randomOptions(rng *rand.Rand) string {
	o := fmt.Sprintf(`,"seed":%d,"n":%d,"max_tokens":%d`, rng.IntN(1000), 1+rng.IntN(3), 1+rng.IntN(60))
	for _, option := range []string{`"ignore_eos":true`, `"logprobs":true,"top_logprobs":2`, `"return_token_ids":true`, `"include_stop_str_in_output":true`,
		`"min_tokens":1`, `"stop_token_ids":[70,71,72,73,74]`, `"temperature":0`} {
		if rng.IntN(3) == 0 {
			o += "," + option
		}
	}
	return o
}

// The sum of a stream is the whole answer, in every field of every choice. Tokens of the fixture are single bytes, so the
// streams are cut at every byte.
func TestStreamIsWhole(t *testing.T) {
	h, rng := start(t, setup{}), rand.New(rand.NewPCG(3, 4))
	for range 150 {
		options := randomOptions(rng)
		if stop := randomStop(rng); stop != nil {
			options += `,"stop":` + string(openai.Encode(stop))
		}
		whole := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(options)))
		parts := sum(t, h.send(t, "POST", "/v1/chat/completions", chatWith(options+`,"stream":true`)).body, len(whole.Choices))
		if !reflect.DeepEqual(parts, whole.Choices) {
			t.Fatalf("%s: streamed %s\nwhole %s", options, openai.Encode(parts), openai.Encode(whole.Choices))
		}
	}
}

// randomStop is a few short stop strings, or nil.
func randomStop(rng *rand.Rand) (stop []string) {
	for range rng.IntN(3) {
		stop = append(stop, string(rune('!'+rng.IntN(90))))
	}
	return stop
}

// With stop strings the text is what a naive search in the whole text leaves, and tokens are counted up to the one that
// completed the stop string.
func TestStopStringsAgainstNaive(t *testing.T) {
	h, rng, cut := start(t, setup{}), rand.New(rand.NewPCG(5, 6)), 0
	for range 150 {
		options := fmt.Sprintf(`,"seed":%d,"max_tokens":80,"return_token_ids":true`, rng.IntN(1000))
		full := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(options))).Choices[0]
		if text := h.decodeAll(full.TokenIDs); text != full.Message.Content {
			t.Fatalf("got %q; the tokens are %q", full.Message.Content, text)
		}
		stops := append(randomStop(rng), pickStop(rng, full.Message.Content))
		want, hit := naiveStop(full.Message.Content, stops, false)
		answer := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(options+`,"stop":`+string(openai.Encode(stops)))))
		got := answer.Choices[0]
		if hit != "" {
			cut++
		}
		if got.Message.Content != want || hit != "" && got.FinishReason != "stop" || answer.Usage.CompletionTokens != len(got.TokenIDs) {
			t.Fatalf("stops %q: got %q (%s); want %q of %q", stops, got.Message.Content, got.FinishReason, want, full.Message.Content)
		}
		if !slices.Equal(got.TokenIDs, full.TokenIDs[:len(got.TokenIDs)]) {
			t.Fatalf("stops %q: got tokens %v of %v", stops, got.TokenIDs, full.TokenIDs)
		}
	}
	if cut < 50 {
		t.Errorf("only %d texts were cut: the test sees too little", cut)
	}
}

// pickStop is a piece of text, or a string that is not in it.
func pickStop(rng *rand.Rand, text string) string {
	runes := []rune(text)
	if len(runes) < 3 {
		return "absent"
	}
	from := rng.IntN(len(runes) - 1)
	return string(runes[from:min(len(runes), from+1+rng.IntN(4))])
}

// say makes the fake model say a text, then end.
func say(text string) func(*enginetest.Runner) {
	return func(r *enginetest.Runner) {
		r.Reply = func(row *sampler.Row) int32 {
			if i := len(row.Output); i < len(text) {
				return byteToken(text[i])
			}
			return 0
		}
	}
}

// Events are cut at characters, not at tokens, and only while a stop string may still come is text held back.
func TestStreamBorders(t *testing.T) {
	h := start(t, setup{runner: say("aé😀END")})
	var texts []string
	for _, event := range events(t, h.send(t, "POST", "/v1/chat/completions", chatWith(`,"stream":true,"stop":["EN!","NX"]`)).body) {
		var chunk openai.ChatChunk
		if err := json.Unmarshal([]byte(event), &chunk); err != nil {
			t.Fatal(err)
		}
		if c := chunk.Choices[0].Delta.Content; c != nil && *c != "" {
			texts = append(texts, *c)
		}
	}
	if want := []string{"a", "é", "😀", "END"}; !slices.Equal(texts, want) {
		t.Errorf("got %q; want %q", texts, want)
	}
}

// A character that never becomes whole ends as U+FFFD.
func TestCutCharacter(t *testing.T) {
	h := start(t, setup{runner: say("ok\xf0\x9f\x98")})
	got := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(""))).Choices[0]
	if !strings.HasPrefix(got.Message.Content, "ok\uFFFD") || !utf8.ValidString(got.Message.Content) || got.FinishReason != "stop" {
		t.Errorf("got %q (%s)", got.Message.Content, got.FinishReason)
	}
}

// min_tokens holds for stop strings, too.
func TestStopAfterMinTokens(t *testing.T) {
	h := start(t, setup{runner: say("ababab")})
	for minTokens, want := range map[int]string{0: "a", 2: "a", 3: "aba", 6: "ababa"} {
		got := decode[openai.ChatAnswer](t, h.send(t, "POST", "/v1/chat/completions", chatWith(fmt.Sprintf(`,"stop":"b","min_tokens":%d`, minTokens))))
		if text := got.Choices[0].Message.Content; text != want {
			t.Errorf("min_tokens %d: got %q; want %q", minTokens, text, want)
		}
	}
}

// Text offsets count characters of the echoed and generated text; log-probabilities of the prompt are the engine's scores.
func TestEchoLists(t *testing.T) {
	h := start(t, setup{runner: say("é!")})
	body := `{"model":"fake","prompt":["aé","b"],"echo":true,"logprobs":1,"n":2,"max_tokens":9}`
	answer := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", body))
	for i, want := range []string{"aéé!", "aéé!", "bé!", "bé!"} {
		choice := answer.Choices[i]
		if choice.Index != i || choice.Text != want || *choice.FinishReason != "stop" {
			t.Errorf("choice %d: got %q (%s); want %q", i, choice.Text, *choice.FinishReason, want)
		}
		offsets := []int{0, 1, 1, 2, 2, 3, 4}
		if i >= 2 {
			offsets = []int{0, 1, 1, 2, 3}
		}
		if lists := choice.Logprobs; !slices.Equal(lists.TextOffset[len(lists.TextOffset)-len(offsets):], offsets) || lists.TokenLogprobs[0] != nil {
			t.Errorf("choice %d: got %s", i, openai.Encode(lists))
		}
	}
	first, second := answer.Choices[0].Logprobs, answer.Choices[1].Logprobs
	if !reflect.DeepEqual(first.TokenLogprobs, second.TokenLogprobs) {
		t.Errorf("two samples of one prompt differ: %s and %s", openai.Encode(first), openai.Encode(second))
	}
}

// A prompt can be scored without generating.
func TestScoreOnly(t *testing.T) {
	h := start(t, setup{})
	body := `{"model":"fake","prompt":[5,6,7],"echo":true,"logprobs":0,"max_tokens":0}`
	answer := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", body))
	lists := answer.Choices[0].Logprobs
	if len(lists.Tokens) != 3 || *answer.Choices[0].FinishReason != "length" || answer.Usage.Value.CompletionTokens != 0 {
		t.Errorf("got %s", openai.Encode(answer))
	}
}
