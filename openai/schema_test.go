package openai

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Every parameter that is read has a schema, and no other has.
func TestSchemasNameTheParameters(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(optionSchemas)), slices.Sorted(maps.Keys(optionFields)); !slices.Equal(got, want) {
		t.Errorf("schemas are of\n%v; want\n%v", got, want)
	}
	for name := range joined(renderingSchemas, toolSchemas, chatSchemas) {
		if _, err := DecodeChatRequest([]byte(chatBody(`,"` + name + `":` + "3.5"))); err == nil || !strings.HasPrefix(err.Param, name) {
			t.Errorf("a chat does not read %s: %v", name, err)
		}
	}
	for name := range completionSchemas {
		if _, err := DecodeCompletionRequest([]byte(promptBody(`,"` + name + `":` + "3.5"))); err == nil || !strings.HasPrefix(err.Param, name) {
			t.Errorf("a completion does not read %s: %v", name, err)
		}
	}
	for name := range tokenizeSchemas {
		if _, err := DecodeTokenizeRequest([]byte(`{"` + name + `":3.5}`)); err == nil || !strings.HasPrefix(err.Param, name) {
			t.Errorf("/tokenize does not read %s: %v", name, err)
		}
	}
}

// References lead somewhere.
func TestSchemasAreWhole(t *testing.T) {
	all := Schemas()
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if all[name] == nil {
			t.Errorf("nothing is called %s", name)
		}
	}
}

// A message needs what the schema of its role says that it needs, and nothing else.
func TestMessageSchemaIsWhatIsRead(t *testing.T) {
	samples := map[string]string{"content": `"hi"`, "tool_call_id": `"call_1"`, "tool_calls": `[{"function":{"name":"f","arguments":"{}"}}]`}
	read := map[string]bool{}
	for _, variant := range messageSchema()["anyOf"].([]Object) {
		needed := variant["required"].([]string)
		for _, role := range variant["properties"].(Object)["role"].(Object)["enum"].([]string) {
			read[role] = true
			for left := range needed { // the first is the role, without which nothing is left out
				body := `{"role":"` + role + `"`
				for i, name := range needed[1:] {
					if i+1 != left {
						body += `,"` + name + `":` + samples[name]
					}
				}
				_, err := DecodeChatRequest([]byte(`{"model":"m","messages":[` + body + `}]}`))
				if (err == nil) != (left == 0) {
					t.Errorf("%s}: got %v", body, err)
				}
			}
		}
	}
	if got := slices.Sorted(maps.Keys(read)); !slices.Equal(got, slices.Sorted(slices.Values(roles))) {
		t.Errorf("the schema has the roles %v", got)
	}
}

// A name that is given is a name, also where it may be left out.
func TestModelIsNotEmpty(t *testing.T) {
	for name, decode := range map[string]func() *Error{
		"tokenize":   func() *Error { _, err := DecodeTokenizeRequest([]byte(`{"model":"","prompt":"a"}`)); return err },
		"detokenize": func() *Error { _, err := DecodeDetokenizeRequest([]byte(`{"model":"","tokens":[1]}`)); return err },
		"chat":       func() *Error { _, err := DecodeChatRequest([]byte(`{"model":"","messages":[]}`)); return err },
	} {
		if err := decode(); err == nil || err.Param != "model" || err.Code != "missing_required_parameter" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What concerns sampling is ignored by the routes that sample nothing, and named.
func TestTokenizeIgnoresSampling(t *testing.T) {
	q, err := DecodeTokenizeRequest([]byte(`{"prompt":"a","temperature":99,"n":true,"add_special_tokens":false}`))
	if err != nil || !slices.Equal(q.Ignored, []string{"temperature", "n"}) || q.AddSpecial {
		t.Errorf("got %+v, %v", q, err)
	}
	d, err := DecodeDetokenizeRequest([]byte(`{"tokens":[1],"seed":"x"}`))
	if err != nil || !slices.Equal(d.Ignored, []string{"seed"}) || len(d.Tokens) != 1 {
		t.Errorf("got %+v, %v", d, err)
	}
}
