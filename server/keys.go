package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"astro/openai"
)

// keyring holds the SHA-256 of every API key. The zero value has none: then any key, and none, is accepted, which is only
// allowed on loopback (see Config.Validate).
type keyring struct{ hashes [][sha256.Size]byte }

// newKeyring hashes keys.
func newKeyring(keys []string) keyring {
	var k keyring
	for _, key := range keys {
		k.hashes = append(k.hashes, sha256.Sum256([]byte(key)))
	}
	return k
}

// check compares the Authorization header with every key in constant time.
func (k keyring) check(authorization string) *openai.Error {
	if len(k.hashes) == 0 {
		return nil
	}
	scheme, key, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return openai.InvalidAPIKey()
	}
	given, found := sha256.Sum256([]byte(strings.TrimSpace(key))), 0
	for i := range k.hashes {
		found |= subtle.ConstantTimeCompare(given[:], k.hashes[i][:])
	}
	if found == 0 {
		return openai.InvalidAPIKey()
	}
	return nil
}
