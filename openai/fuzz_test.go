package openai

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// addBodies seeds a fuzzer with good and bad requests.
func addBodies(f *testing.F) {
	f.Add([]byte(chatBody(`,"stop":["a"],"logit_bias":{"1":2},"stream":true,"stream_options":{"include_usage":true}`)))
	f.Add([]byte(promptBody(`,"echo":true,"logprobs":2,"n":3`)))
	f.Add([]byte(`{"model":"m","prompt":[[1,2],[3]]}`))
	f.Add([]byte(`{"a":"\ud83d\ude00","b":[1.5e3,null,{"c":false}]}`))
	f.Add([]byte(tuneBody(`,"method":{"type":"reinforcement","reinforcement":{"grader":` + graderJSON + `,"hyperparameters":{"batch_size":"auto"}}}`)))
	f.Add([]byte(`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}` + "\n" + `{"prompt":"a","completion":"b"}`))
	for _, c := range append(badResponses, badMessages...) {
		f.Add([]byte(withMember(goodResponse, c[0])))
		f.Add([]byte(withMember(goodMessage, c[0])))
	}
	for _, c := range badOptions {
		f.Add([]byte(chatBody("," + c.member)))
	}
}

// The decoders never panic; what they accept is inside its limits; what they refuse is a complete error object.
func FuzzDecode(f *testing.F) {
	addBodies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		if q, err := DecodeChatRequest(body); err != nil {
			checkError(t, err)
		} else {
			checkOptions(t, &q.Options)
		}
		if q, err := DecodeCompletionRequest(body); err != nil {
			checkError(t, err)
		} else if checkOptions(t, &q.Options); len(q.Prompts) == 0 || len(q.Prompts)*q.N > MaxChoices {
			t.Errorf("accepted %d prompts, n %d", len(q.Prompts), q.N)
		}
		if q, err := DecodeResponsesRequest(body); err != nil {
			checkError(t, err)
		} else if checkOptions(t, &q.Options); len(q.Messages) == 0 || q.N != 1 {
			t.Errorf("accepted %+v", q)
		}
		if q, err := DecodeMessagesRequest(body); err != nil {
			checkError(t, err)
		} else if checkOptions(t, &q.Options); len(q.Messages) == 0 || q.N != 1 || q.Temperature > 1 {
			t.Errorf("accepted %+v", q)
		}
		if q, err := DecodeEmbeddingsRequest(body); err != nil {
			checkError(t, err)
		} else if checkOptions(t, &q.Options); len(q.Inputs) == 0 || len(q.Inputs) > MaxPrompts {
			t.Errorf("accepted %+v", q)
		}
		if q, err := DecodeTokenizeRequest(body); err != nil {
			checkError(t, err)
		} else if (q.Text == nil) == (len(q.Messages) == 0) {
			t.Errorf("accepted %+v", q)
		}
		if q, err := DecodeTuneRequest(body); err != nil {
			checkError(t, err)
		} else if job := q.Job("ftjob-1", "a", 1); (job.Method.Supervised == nil) == (job.Method.Reinforcement == nil) {
			t.Errorf("accepted %+v", q)
		}
		for _, kind := range []string{TuneSupervised, TuneReinforcement} {
			if all, err := ReadTuneFile(bytes.NewReader(body), kind); err != nil {
				checkError(t, err)
			} else if len(all) == 0 || all[0].Messages == nil && all[0].Prompt+all[0].Completion == "" {
				t.Errorf("accepted %+v", all)
			}
		}
		if _, err := DecodeDetokenizeRequest(body); err != nil {
			checkError(t, err)
		}
	})
}

func checkError(t *testing.T, err *Error) {
	if err.Status != 400 || err.Message == "" || err.Type != TypeInvalidRequest {
		t.Errorf("incomplete error %+v", err)
	}
	if line := Encode(err); !json.Valid(line) || strings.ContainsAny(string(line), "\r\n") {
		t.Errorf("error is not one line of JSON: %q", line)
	}
}

func checkOptions(t *testing.T, o *Options) {
	ok := o.Model != "" && o.Temperature >= 0 && o.Temperature <= 2 && o.TopP > 0 && o.TopP <= 1 && o.TopK >= 0 && o.MinP >= 0 && o.MinP <= 1 &&
		o.RepetitionPenalty > 0 && o.N >= 1 && o.N <= MaxChoicesPerPrompt && o.MaxTokens >= -1 && len(o.Stop) <= MaxStopSequences &&
		len(o.Ignored) <= maxIgnored
	if !ok {
		t.Errorf("accepted %+v", o)
	}
}

// The reader accepts nothing that encoding/json refuses, and refuses only what its contract names.
func FuzzReader(f *testing.F) {
	addBodies(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		r := newReader(doc)
		r.skip()
		r.end()
		if r.err == nil && !(json.Valid(doc) && utf8.Valid(doc)) {
			t.Errorf("accepted %q", doc)
		}
		stricter := !utf8.Valid(doc) || r.err != nil && (r.err.Code == "duplicate_parameter" || strings.Contains(r.err.Message, "surrogate") ||
			strings.Contains(r.err.Message, "nested"))
		if r.err != nil && json.Valid(doc) && !stricter {
			t.Errorf("refused %q: %v", doc, r.err)
		}
	})
}

// A frame is one line of valid JSON whatever the text is, and valid text survives it.
func FuzzFrame(f *testing.F) {
	f.Add("hi")
	f.Add("a\xff\u2028\x00\n\"\\<>&")
	f.Fuzz(func(t *testing.T, text string) {
		frame := string(Frame(ChatChunk{Choices: []ChunkChoice{{Delta: Delta{Content: &text}}}}))
		payload, ok := strings.CutPrefix(strings.TrimSuffix(frame, "\n\n"), "data: ")
		if !ok || strings.ContainsAny(payload, "\r\n") {
			t.Fatalf("bad frame %q", frame)
		}
		var back ChatChunk
		if err := json.Unmarshal([]byte(payload), &back); err != nil {
			t.Fatal(err)
		}
		if got := *back.Choices[0].Delta.Content; utf8.ValidString(text) && got != text {
			t.Errorf("got %q; want %q", got, text)
		}
	})
}
