package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"astro/engine"
)

// writeCertificate makes a certificate for name and returns its files.
func writeCertificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// withTLS adds a certificate to a setup.
func withTLS(t *testing.T, with setup) setup {
	certificate, err := LoadCertificate(writeCertificate(t, t.TempDir(), "one"))
	if err != nil {
		t.Fatal(err)
	}
	old := with.config
	with.config = func(c *Config) {
		c.Certificate = certificate
		if old != nil {
			old(c)
		}
	}
	return with
}

// dialTLS opens a connection of one version.
func (h *harness) dialTLS(version uint16) (*tls.Conn, error) {
	return tls.Dial("tcp", strings.TrimPrefix(h.url, "https://"), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
}

func TestTLS(t *testing.T) {
	h := start(t, withTLS(t, setup{}))
	if got := h.send(t, "POST", "/v1/chat/completions", chatWith(`,"max_tokens":3,"stream":true`)); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := h.dialTLS(version)
		if (err == nil) != ok {
			t.Errorf("version %x: got %v", version, err)
		}
		if err == nil {
			c.Close()
		}
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer := make([]byte, 100)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, _ := c.Read(answer); strings.Contains(string(answer[:n]), "200") {
		t.Errorf("a plain request got %q", answer[:n])
	}
}

// A certificate is replaced while the server runs; one that cannot be read changes nothing.
func TestCertificateIsReplaced(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writeCertificate(t, dir, "one")
	certificate, err := LoadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, setup{config: func(c *Config) { c.Certificate = certificate }})
	name := func() string {
		t.Helper()
		c, err := h.dialTLS(tls.VersionTLS13)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if name() != "one" {
		t.Error("the first certificate is not used")
	}
	writeCertificate(t, dir, "two")
	if err := certificate.Reload(); err != nil || name() != "two" {
		t.Errorf("got %v and %q; want the second certificate", err, name())
	}
	for _, broken := range []string{"", "-----BEGIN CERTIFICATE-----\n"} {
		os.WriteFile(certFile, []byte(broken), 0o600)
		if err := certificate.Reload(); err == nil || name() != "two" {
			t.Errorf("got %v and %q; want an error and the second certificate", err, name())
		}
	}
	if _, err := LoadCertificate(certFile, keyFile); err == nil {
		t.Error("a broken certificate was loaded")
	}
}

// A client that leaves is noticed below TLS, too, whether it says goodbye or not.
func TestSec_R24DisconnectUnderTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, leave := range map[string]func(*tls.Conn){
			"goodbye": func(c *tls.Conn) { c.Close() },
			"silent":  func(c *tls.Conn) { c.NetConn().Close() },
			"reset":   func(c *tls.Conn) { c.NetConn().(*net.TCPConn).SetLinger(0); c.NetConn().Close() },
		} {
			for _, stream := range []bool{true, false} {
				t.Run(fmt.Sprintf("%x/%s/stream=%t", version, name, stream), func(t *testing.T) {
					g := newGate()
					h := start(t, withTLS(t, setup{runner: g.hold(2), options: longContext}))
					defer g.open()
					c, err := h.dialTLS(version)
					if err != nil {
						t.Fatal(err)
					}
					body := chatWith(fmt.Sprintf(`,"stream":%t,"ignore_eos":true`, stream))
					fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
					eventually(t, "the engine works", func() bool { return g.begun() > 1 })
					leave(c)
					eventually(t, "the server has noticed", func() bool { return h.inFlightCalls() == 0 })
					g.open()
					eventually(t, "the request is cancelled", func() bool { return h.finished(engine.FinishCancel) == 1 })
				})
			}
		}
	}
}

// A client that has sent its next request already, and then leaves, is noticed.
func TestSec_R24DisconnectBehindMoreBytes(t *testing.T) {
	for name, leave := range leave {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			h := start(t, setup{runner: g.hold(0), options: longContext})
			defer g.open()
			conn := h.post(t, chatWith(`,"ignore_eos":true`))
			eventually(t, "the engine works", func() bool { return g.begun() > 0 })
			fmt.Fprint(conn, "GET /health HTTP/1.1\r\n")
			leave(conn)
			eventually(t, "the server has noticed", func() bool { return h.inFlightCalls() == 0 })
			g.open()
			eventually(t, "the request is cancelled", func() bool { return h.finished(engine.FinishCancel) == 1 })
		})
	}
}
