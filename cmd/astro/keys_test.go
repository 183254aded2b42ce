package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runKeys runs astro keys and returns what it printed.
func runKeys(t *testing.T, args ...string) (out, diagnostics string, err error) {
	t.Helper()
	c := newRootCommand()
	var o, d strings.Builder
	c.SetOut(&o)
	c.SetErr(&d)
	c.SetArgs(append([]string{"keys"}, args...))
	err = c.Execute()
	return o.String(), d.String(), err
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "keys.json")
	secret, said, err := runKeys(t, "create", "--keys", path, "--tenant", "acme", "--scope", "inference,feedback", "--expires", "720h", "--max-concurrency", "3", "--tokens-per-minute", "1000")
	if err != nil || !strings.HasPrefix(secret, "sk-astro-") || strings.Count(secret, "\n") != 1 || strings.Contains(said, strings.TrimSpace(secret)) {
		t.Fatalf("got %q, %q, %v", secret, said, err)
	}
	id := strings.Split(secret, "-")[2]
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), strings.TrimSpace(secret)[25:]) {
		t.Errorf("the file holds the secret, or %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v; want mode 0600", info.Mode(), err)
	}
	list, _, err := runKeys(t, "list", "--keys", path)
	if err != nil || !strings.Contains(list, id) || !strings.Contains(list, "acme") || !strings.Contains(list, "3 at one time, 1000 tokens/min") || !strings.HasSuffix(list, "good\n") {
		t.Errorf("got %q, %v", list, err)
	}
	if _, _, err := runKeys(t, "revoke", "--keys", path, id); err != nil {
		t.Error(err)
	}
	if list, _, err := runKeys(t, "list", "--keys", path); err != nil || !strings.Contains(list, "revoked") {
		t.Errorf("got %q, %v", list, err)
	}
	for _, wrong := range [][]string{{"create", "--scope", "root"}, {"create", "--tenant", "a/b"}, {"create", "--expires", "-1h"}, {"create", "--tokens-per-minute", "-1"},
		{"create", "--scope", ""}, {"revoke", "0123"}, {"list", "x"}} {
		if out, _, err := runKeys(t, append(wrong, "--keys", path)...); err == nil || out != "" {
			t.Errorf("%q: got %q, %v; want an error", wrong, out, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || strings.Count(string(after), `"id"`) != 1 {
		t.Errorf("wrong commands changed the file: %s, %v", after, err)
	}
}

func TestAccessFlags(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "keys.json")
	for _, c := range []struct {
		change func(*serveOptions)
		want   string
	}{
		{func(o *serveOptions) { o.host = "0.0.0.0" }, "refusing to listen"},
		{func(o *serveOptions) { o.keyFile = missing }, "astro keys create"},
		{func(o *serveOptions) { o.certFile = "c" }, "go together"},
		{func(o *serveOptions) { o.limits.BodyBytes = 0 }, "--max-body-bytes"},
		{func(o *serveOptions) { o.limits.RequestTimeout = -1 }, "negative"},
		{func(o *serveOptions) { o.origins = []string{"*"} }, "https://chat.example"},
		{func(o *serveOptions) { o.tokenLife = 0 }, "--feedback-token-life"},
		{func(o *serveOptions) { o.tokenFile = missing }, "--store DIR"},
		{func(o *serveOptions) { o.tokenFile, o.store = missing, "s" }, "astro keys rotate-feedback"},
		{func(o *serveOptions) {}, ""},
	} {
		o := defaultServeOptions()
		c.change(&o)
		if _, err := o.access(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v; want %q", err, c.want)
		}
	}
}

// certificateFiles makes a certificate for localhost.
func certificateFiles(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}), 0o600)
	return cert, key
}

// The program with a key file and TLS: SIGHUP takes a revoked key away and brings a new certificate; a broken file changes nothing.
func TestServeReloadsOnSIGHUP(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.json")
	one, _, err := runKeys(t, "create", "--keys", path)
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := runKeys(t, "create", "--keys", path)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := certificateFiles(t, dir)
	a := startServe(t, []string{"ASTRO_ADMIN_KEY=sk-boss"}, demo, "--backend", "go", "--keys", path, "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(a.url, "https://") {
		t.Fatalf("got %s", a.url)
	}
	ask := func(key string) (status int, serial string) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		q, _ := http.NewRequest("GET", a.url+"/v1/models", nil)
		q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(key))
		r, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode, r.TLS.PeerCertificates[0].SerialNumber.String()
	}
	status, first := ask(one)
	if boss, _ := ask("sk-boss"); status != 200 || boss != 403 {
		t.Errorf("got %d for the key and %d for the admin's", status, boss)
	}
	if _, _, err := runKeys(t, "revoke", "--keys", path, strings.Split(one, "-")[2]); err != nil {
		t.Fatal(err)
	}
	certificateFiles(t, dir)
	hangUp := func(line string) {
		t.Helper()
		before := strings.Count(a.log.String(), line)
		a.Process.Signal(syscall.SIGHUP)
		for range 2000 {
			if strings.Count(a.log.String(), line) > before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("no line %q in %s", line, a.log)
	}
	hangUp("TLS certificate read again")
	if status, second := ask(one); status != 401 || second == first {
		t.Errorf("got %d, certificate %s; want 401 and another than %s", status, second, first)
	}
	os.WriteFile(path, []byte("{"), 0o600)
	hangUp("API keys could not be read again")
	if status, _ := ask(two); status != 200 {
		t.Errorf("after a broken key file a good key got %d", status)
	}
	a.end(t)
}
