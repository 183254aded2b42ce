package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"astro/openai"
	"astro/training/reward"
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

// A grader is what its schema says: it needs those members and no others, and takes none that is not there.
func TestGraderSchemas(t *testing.T) {
	grader := openai.Schemas()["GraderValidateRequest"]["properties"].(openai.Object)["grader"].(openai.Object)
	samples := map[string]string{"operation": `"eq"`, "expression": `"[0-9]"`, "name": `"ours"`, "graders": `{"a":{"type":"math"}}`, "calculate_output": `"a"`, "max_value": "2.0",
		"tolerance": "0.5", "input": `"{{sample.output_text}}"`, "reference": `"{{item.answer}}"`}
	kinds := grader["anyOf"].([]openai.Object)
	for _, kind := range kinds {
		required, properties := kind["required"].([]string), kind["properties"].(openai.Object)
		spec := map[string]json.RawMessage{}
		for _, name := range required {
			spec[name] = json.RawMessage(samples[name])
		}
		spec["type"] = openai.Encode(properties["type"].(openai.Object)["enum"].([]string)[0])
		accepted := func(what string, want bool) {
			t.Helper()
			if _, err := reward.ParseGrader(openai.Encode(spec), map[string]reward.Grader{"ours": reward.Math{}}); (err == nil) != want {
				t.Errorf("%s: %s: got %v; want accepted %v", openai.Encode(spec), what, err, want)
			}
		}
		accepted("what is required", true)
		for _, name := range required {
			value := spec[name]
			delete(spec, name)
			accepted("without "+name, false)
			spec[name] = value
		}
		spec["other"] = json.RawMessage("1")
		accepted("with another member", false)
		spec["other"] = json.RawMessage("null")
		accepted("with another member that is null", true)
		delete(spec, "other")
		for name := range properties {
			if spec[name] == nil {
				spec[name] = json.RawMessage(samples[name])
			}
		}
		accepted("all members", true)
	}
	if len(kinds) < 7 {
		t.Errorf("got %d kinds of graders", len(kinds))
	}
}
