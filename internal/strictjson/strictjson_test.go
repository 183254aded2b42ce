package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, sound := range []string{`{}`, ` {"a":1,"A":2,"b":{"a":[{"a":1},{"a":2}]}} `, `[1e999,null,"x"]`, `7`, strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)} {
		if err := Check([]byte(sound)); err != nil {
			t.Errorf("%.60s: %v", sound, err)
		}
	}
	for text, want := range map[string]string{
		`{"a":1,"a":1}`: `"a" is there twice`, `[{"x":{"a":1,"b":2,"\u0061":3}}]`: `"a" is there twice`, `{} {}`: "more behind", `{}x`: "more behind",
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1): "100 levels", strings.Repeat(`{"a":`, 1_000_000): "100 levels", ``: "EOF", `{"a":1`: "EOF", `{"a"`: "EOF", `{7:1}`: "", `{"a":nul}`: "",
	} {
		if err := Check([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v; want %q", text, err, want)
		}
	}
}

// FuzzCheck: what passes is JSON.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}]}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if Check(text) == nil && !json.Valid(text) {
			t.Errorf("%q passes", text)
		}
	})
}
