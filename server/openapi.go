package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// page is what the OpenAPI document says about a route.
type page struct {
	summary  string
	request  string // schema of the body; "" = it takes none
	answer   string // schema of a 200; "" = any JSON, or text
	streams  bool   // the answer may be an event stream
	text     bool   // the answer is not JSON
	statuses []int  // besides those that follow from the route's other columns

	query map[string]openai.Object // parameters in the query, each with its schema
}

// statusesOf lists what a route may answer, in order: 200 and what every route may meet, then what its columns bring.
func (r *route) statusesOf() []int {
	all := append([]int{200, 400, 403, 408, 413, 431, 500}, r.page.statuses...)
	if !r.open {
		all = append(all, 401)
	}
	if r.work {
		all = append(all, 415, 429, 503, 504)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// document is the OpenAPI 3.1 description of the whole surface, made from the route table.
var document = sync.OnceValue(func() []byte {
	paths := openai.Object{}
	for i := range routes {
		r := &routes[i]
		path := r.path
		if r.longer() {
			path += "{id}"
		}
		item, _ := paths[path].(openai.Object)
		if item == nil {
			item = openai.Object{}
			paths[path] = item
		}
		item[strings.ToLower(r.method)] = r.operation()
	}
	return openai.Encode(openai.Object{"openapi": "3.1.0", "info": openai.Object{"title": "astro", "version": "1",
		"description": "Completions over the OpenAI API. Every error has the form of the Error schema."}, "paths": paths,
		"components": openai.Object{"schemas": openai.Schemas(), "securitySchemes": openai.Object{"key": openai.Object{"type": "http", "scheme": "bearer"},
			"header": openai.Object{"type": "apiKey", "in": "header", "name": "x-api-key"},
			"token": openai.Object{"type": "apiKey", "in": "header", "name": tokenHeader, "description": "Of the answer that is rated, where the server was started with --feedback-tokens. " +
				"It may stand in the place of an API key, too."}}}})
})

// operation is one method of a path.
func (r *route) operation() openai.Object {
	o := openai.Object{"summary": r.page.summary, "responses": r.responses()}
	if !r.open {
		ways := []openai.Object{{"key": r.scope.Names()}}
		if r.dialect == ofAnthropic {
			ways = append(ways, openai.Object{"header": r.scope.Names()})
		}
		if r.delegated {
			ways = append(ways, openai.Object{"token": []string{}})
		}
		if r.local {
			ways = append([]openai.Object{{}}, ways...) // none is needed on a loopback bind
		}
		o["security"] = ways
	}
	if p := r.parameters(); p != nil {
		o["parameters"] = p
	}
	if r.page.request != "" {
		content := jsonOf(r.page.request)
		if r.upload {
			content = openai.Object{openai.FormType: content[openai.JSONType]}
		}
		o["requestBody"] = openai.Object{"required": true, "content": content}
	}
	return o
}

// parameters are those of the path and the query, by name.
func (r *route) parameters() (all []openai.Object) {
	if r.longer() || strings.Contains(r.path, "{id}") {
		all = append(all, openai.Object{"name": "id", "in": "path", "required": true, "schema": openai.Object{"type": "string", "minLength": 1}})
	}
	for _, name := range slices.Sorted(maps.Keys(r.page.query)) {
		all = append(all, openai.Object{"name": name, "in": "query", "schema": r.page.query[name]})
	}
	return all
}

func (r *route) responses() openai.Object {
	all := openai.Object{}
	for _, status := range r.statusesOf() {
		answer := openai.Object{"description": fasthttp.StatusMessage(status), "content": jsonOf(r.dialect.errorSchema())}
		if status == 200 {
			answer["content"] = r.content()
			if r.page.streams {
				answer["headers"] = openai.Object{tokenHeader: openai.Object{"description": "Lets its holder rate this answer once, where the server gives such tokens out", "schema": openai.Object{"type": "string"}}}
			}
		}
		if status == 304 {
			delete(answer, "content")
		}
		if status == 429 || status == 503 {
			answer["headers"] = openai.Object{"Retry-After": openai.Object{"schema": openai.Object{"type": "integer"}}}
		}
		all[fmt.Sprint(status)] = answer
	}
	return all
}

// content is the body of a 200.
func (r *route) content() openai.Object {
	content := openai.Object{openai.JSONType: openai.Object{}}
	if r.page.text {
		content = openai.Object{"*/*": openai.Object{}}
	}
	if r.page.answer != "" {
		content = jsonOf(r.page.answer)
	}
	if r.page.streams {
		content[openai.EventType] = openai.Object{"schema": openai.EventSchema(r.dialect != ofChats)}
	}
	return content
}

func jsonOf(schema string) openai.Object {
	return openai.Object{openai.JSONType: openai.Object{"schema": openai.Object{"$ref": "#/components/schemas/" + schema}}}
}

// openAPI is GET /openapi.json.
func (s *Server) openAPI(ctx *fasthttp.RequestCtx, _ string) *openai.Error {
	ctx.SetContentType(openai.JSONType)
	ctx.SetBody(document())
	return nil
}
