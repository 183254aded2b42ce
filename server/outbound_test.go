package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"astro/server/auth"
)

// tracedEnv makes TestSec_R14TracedServer a server.
const tracedEnv = "ASTRO_TEST_TRACED_SERVER"

// traced is what a traced server tells about itself.
type traced struct{ URL, Inference, Feedback string }

// TestSec_R14TracedServer is the server of the test below, in a process of its own: it makes one connection, to see that it would be seen,
// tells where it listens, and serves until its input ends.
func TestSec_R14TracedServer(t *testing.T) {
	if os.Getenv(tracedEnv) == "" {
		t.Skipf("%s is not set: TestSec_R14NoConnectUnderStrace starts this test in another process", tracedEnv)
	}
	h, secrets := keyed(t, setup{config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.BodyBytes, c.Limits.HeaderTimeout, c.Limits.BodyTimeout = 1<<20, 300*time.Millisecond, 300*time.Millisecond
	}})
	if conn, err := net.Dial("udp", "127.0.0.1:9"); err == nil {
		conn.Close()
	}
	if err := json.NewEncoder(os.Stdout).Encode(traced{h.url, secrets[auth.Inference], secrets[auth.Feedback]}); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, os.Stdin)
}

// startTraced runs a server under strace and returns a harness for it, and how to end it and get its connections.
func startTraced(t *testing.T) (h *harness, about traced, end func() []string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is missing: connections of the server's process cannot be watched")
	}
	log := filepath.Join(t.TempDir(), "connections")
	c := exec.Command(strace, "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect", "-e", "signal=none", "-o", log, os.Args[0], "-test.run", "^TestSec_R14TracedServer$")
	c.Env = append(os.Environ(), tracedEnv+"=1")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadBytes('\n'); err != nil || json.Unmarshal(line, &about) != nil {
		c.Wait()
		t.Skipf("strace cannot trace here: got %q, %v", line, err)
	}
	return &harness{url: about.URL, client: &http.Client{Transport: &http.Transport{}}}, about, func() []string {
		in.Close()
		io.Copy(io.Discard, lines)
		if err := c.Wait(); err != nil {
			t.Errorf("the traced server: %v", err)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

// No request of the bad-request set, and none that holds addresses, makes the server's process connect to anything: strace sees the
// one connection that the process makes on purpose, and no other.
func TestSec_R14NoConnectUnderStrace(t *testing.T) {
	if os.Getenv("ASTRO_STRACE") == "" {
		t.Skip("ASTRO_STRACE is not set: it takes 20 seconds; `make test-strace` runs it")
	}
	h, about, end := startTraced(t)
	defer h.client.CloseIdleConnections()
	sent := 0
	for _, c := range badSetOf(about.Inference, about.Feedback) {
		if h.raw(t, c.message) != "" {
			sent++
		}
	}
	for _, q := range outbound("http://127.0.0.1:9/x") {
		h.send(t, "POST", q.path, q.body, "Authorization", "Bearer "+about.Inference)
		sent++
	}
	h.client.CloseIdleConnections()
	calls := end()
	if sent < 2000 {
		t.Errorf("%d requests were answered; want 2,000", sent)
	}
	if len(calls) != 1 || !strings.Contains(calls[0], "sin_port=htons(9)") {
		t.Errorf("the server's process called connect %d times; want the one on purpose:\n%s", len(calls), strings.Join(calls[:min(5, len(calls))], "\n"))
	}
	fmt.Fprintf(t.Output(), "%d requests were answered; connect was called %d times besides the one on purpose\n", sent, len(calls)-1)
}
