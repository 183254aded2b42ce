package auth

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rotated is a file of token keys after some rotations, oldest first: what it held after each.
func rotated(t *testing.T, path string, times int) (all []TokenKeys) {
	t.Helper()
	for i := range times {
		id, err := RotateTokenKeys(path, epoch.Add(time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := LoadTokenKeys(path)
		if err != nil {
			t.Fatal(err)
		}
		if last := keys[len(keys)-1]; hex.EncodeToString(last.ID[:]) != id {
			t.Fatalf("the key %s is not the last of %v", id, keys)
		}
		all = append(all, keys)
	}
	return all
}

var grant = FeedbackGrant{Completion: "chatcmpl-1", Tenant: "acme", Key: "0123456789ab", Subject: "ann \"<é>", Expires: epoch.Add(time.Hour)}

// A token carries its grant until it ends; the key before the last is accepted still, an older one is not.
func TestFeedbackToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "tokens.json")
	keys := rotated(t, path, 3)
	token := keys[0].Sign(grant)
	if !strings.HasPrefix(token, FeedbackTokenPrefix) || strings.ContainsAny(token, "+/=") {
		t.Errorf("got %s; want base64url that begins with %s", token, FeedbackTokenPrefix)
	}
	for i, want := range []error{nil, nil, ErrUnknown} {
		got, err := keys[i].Verify(token, epoch)
		if !errors.Is(err, want) || want == nil && !got.Expires.Equal(grant.Expires) {
			t.Errorf("after %d rotations: got %+v, %v; want %v", i, got, err, want)
		}
	}
	if got, err := keys[0].Verify(token, epoch); err != nil || got.Completion != grant.Completion || got.Tenant != grant.Tenant || got.Key != grant.Key || got.Subject != grant.Subject {
		t.Errorf("got %+v, %v; want %+v", got, err, grant)
	}
	if _, err := keys[0].Verify(token, grant.Expires.Add(-time.Second)); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	if _, err := keys[0].Verify(token, grant.Expires); !errors.Is(err, ErrExpired) {
		t.Errorf("at its end: got %v; want ErrExpired", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v; want 0600", info.Mode(), err)
	}
}

// No byte of a token can be changed, none left out and none added; a longer life cannot be written into it.
func TestSec_R02FeedbackTokenIsSigned(t *testing.T) {
	keys := rotated(t, filepath.Join(t.TempDir(), "a"), 1)[0]
	others := rotated(t, filepath.Join(t.TempDir(), "b"), 1)[0]
	others[0].ID = keys[0].ID // the id is public
	token := keys.Sign(grant)
	raw, _ := tokenText.DecodeString(token)
	forged := []string{"", token[:len(token)-1], token + "A", token + "=", others.Sign(grant), FeedbackTokenPrefix, FeedbackTokenPrefix + strings.Repeat("A", 2000)}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		forged = append(forged, tokenText.EncodeToString(changed), tokenText.EncodeToString(raw[:i]))
	}
	longer := bytes.Clone(raw)
	binary.BigEndian.PutUint64(longer[tokenPrefixBytes+tokenKeyIDBytes:], 1<<40)
	for _, text := range append(forged, tokenText.EncodeToString(longer)) {
		if g, err := keys.Verify(text, epoch); !errors.Is(err, ErrUnknown) || g != (FeedbackGrant{}) {
			t.Errorf("%.60s: got %+v, %v; want ErrUnknown", text, g, err)
		}
	}
	// what one text ends with another cannot begin with
	a, b := grant, grant
	a.Completion, a.Tenant = "ab", "c"
	b.Completion, b.Tenant = "a", "bc"
	if ma, mb := keys.Sign(a), keys.Sign(b); ma == mb {
		t.Error("two grants have one token")
	}
}

// What is wrong with a file is said, and nothing of its secrets.
func TestTokenFileRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	rotated(t, path, 2)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(string(good), `"secret": "`)[1][:64]
	for name, text := range map[string]string{
		"no JSON": secret, "cut": string(good[:len(good)-3]), "more behind": string(good) + "{}", "format": strings.Replace(string(good), `"format": 1`, `"format": 2`, 1),
		"no keys": `{"format":1,"keys":[]}`, "short secret": strings.Replace(string(good), secret, secret[1:], 1), "a member": strings.Replace(string(good), `"id"`, `"name"`, 1),
		"short id": strings.Replace(string(good), `"id": "`, `"id": "0`, 1),
	} {
		if keys, err := ParseTokenKeys([]byte(text)); err == nil || keys != nil || strings.Contains(err.Error(), secret[1:20]) {
			t.Errorf("%s: got %d keys, %v", name, len(keys), err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTokenKeys(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that all may read: got %v", err)
	}
	if _, err := RotateTokenKeys(path, epoch); err == nil {
		t.Error("a file that all may read got a key")
	}
}
