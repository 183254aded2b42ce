// Package server is the HTTP surface: it translates OpenAI requests to engine Requests and Events back to bytes.
//
// It holds no model knowledge and never blocks the engine. One file per route; the route table (routes.go) decides what exists
// and what needs a key. A request that fails or panics ends alone. fasthttp is used here and nowhere else.
package server
