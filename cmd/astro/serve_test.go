package main

import (
	"net"
	"slices"
	"strings"
	"testing"

	"astro/internal/device"
)

func TestAnnounce(t *testing.T) {
	var out strings.Builder
	announce(&out, serveOptions{host: "::1", names: []string{"m"}, keys: []string{"k"}}, &net.TCPAddr{Port: 99})
	first, second, _ := strings.Cut(out.String(), "\n")
	if first != "listening on http://[::1]:99" || !strings.Contains(second, "curl http://[::1]:99/v1/") || !strings.Contains(second, "$ASTRO_API_KEY") ||
		strings.Contains(second, `"k"`) {
		t.Errorf("got %q", out.String())
	}
}

func TestSplitKeys(t *testing.T) {
	if got := splitKeys(" a,b, c,"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %q", got)
	}
}

func TestAvailableMemory(t *testing.T) {
	got, err := availableMemory(device.Machine{AvailableBytes: 7 << 10})
	if err != nil || got != 7<<10 {
		t.Errorf("got %d, %v; want 7 KiB", got, err)
	}
	if _, err := availableMemory(device.Machine{TotalBytes: 100 << 10}); err == nil {
		t.Error("want an error where the machine does not say what is available")
	}
}
