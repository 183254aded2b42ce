package invariant

import (
	"errors"
	"strings"
	"testing"
)

// TestSec_R30Check holds in both builds: with the tag a broken state panics and says why, without it nothing is even called.
func TestSec_R30Check(t *testing.T) {
	calls := 0
	broken := func() error { calls++; return errors.New("free + cached + held = 7 pages; want 8") }
	message := caught(func() { Check(broken) })
	if !Enabled {
		if calls != 0 || message != "" {
			t.Fatalf("without the tag: %d calls, panic %q; want none", calls, message)
		}
		return
	}
	if calls != 1 || !strings.HasPrefix(message, "BUG: ") || !strings.Contains(message, "7 pages; want 8") {
		t.Fatalf("with the tag: %d calls, panic %q; want one call and a BUG that names the state", calls, message)
	}
}

func TestCheckOfSoundStateIsSilent(t *testing.T) {
	if message := caught(func() { Check(func() error { return nil }) }); message != "" {
		t.Fatalf("panic %q; want none", message)
	}
}

// caught returns what f panicked with, or "".
func caught(f func()) (message string) {
	defer func() {
		if r := recover(); r != nil {
			message = r.(string)
		}
	}()
	f()
	return ""
}
