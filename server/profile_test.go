package server

import (
	"bytes"
	"testing"
)

// Profiles are text; one that does not exist is an error like any other.
func TestProfiles(t *testing.T) {
	h := start(t, setup{})
	h.send(t, "GET", "/debug/pprof/no-such", "").wantError(t, 404, "unknown_url")
	if got := h.send(t, "GET", "/debug/pprof/goroutine?debug=1", ""); got.status != 200 || !bytes.Contains(got.body, []byte("goroutine profile:")) {
		t.Errorf("got %d %.80s", got.status, got.body)
	}
	if got := h.send(t, "GET", "/debug/pprof/", ""); got.status != 200 {
		t.Errorf("the list of profiles: %d", got.status)
	}
}
