package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"astro/openai"
)

// The document has every route with every status, and the schemas that it names.
func TestOpenAPI(t *testing.T) {
	h := start(t, setup{config: func(c *Config) { c.Access.APIKeys = []string{"sk-one"} }})
	type operation struct {
		Summary   string                     `json:"summary"`
		Responses map[string]json.RawMessage `json:"responses"`
		Security  []any                      `json:"security"`
	}
	document := decode[struct {
		Paths      map[string]map[string]operation `json:"paths"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}](t, h.send(t, "GET", "/openapi.json", ""))
	count := 0
	for _, r := range routes {
		path := r.path
		if r.longer() {
			path += "{id}"
		}
		o := document.Paths[path][strings.ToLower(r.method)]
		if o.Summary == "" || (o.Security == nil) != r.open {
			t.Errorf("%s %s: %+v", r.method, r.path, o)
		}
		for _, status := range r.statusesOf() {
			if o.Responses[fmt.Sprint(status)] == nil {
				t.Errorf("%s %s: %d is missing", r.method, r.path, status)
			}
		}
		for _, schema := range []string{r.page.request, r.page.answer} {
			if schema != "" && document.Components.Schemas[schema] == nil {
				t.Errorf("%s %s: nothing is called %s", r.method, r.path, schema)
			}
		}
		if (r.page.request != "") != r.work {
			t.Errorf("%s %s: a body is documented, or taken, but not both", r.method, r.path)
		}
		count++
	}
	if count != len(routes) || openai.Schemas()["Error"] == nil {
		t.Error("the table changed while it was read")
	}
}
