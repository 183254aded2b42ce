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
