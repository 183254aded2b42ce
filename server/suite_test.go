package server

import (
	"testing"

	"astro/server/servertest"
)

// The official client gets what it expects from the fake engine, and whatever it cancelled is gone from there; cmd/astro runs
// the same suite against the binary.
func TestOfficialClient(t *testing.T) {
	h := start(t, setup{})
	servertest.Run(t, servertest.Target{URL: h.url, Key: "any", Model: "fake", User: "hello there"})
	eventually(t, "the engine is empty", func() bool { return h.Engine.Stats().Sequences() == 0 })
}
