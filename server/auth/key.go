package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// DefaultTenant owns keys that name no tenant, and requests that need no key.
const DefaultTenant = "default"

// A secret is prefix, id, "-", random: the id is its public part, by which it is found and named in logs.
const (
	prefix      = "sk-astro-"
	idBytes     = 6  // 12 hexadecimal digits
	secretBytes = 20 // 160 bits, 40 digits
)

// Bounds of keys.
const (
	MaxTenantBytes = 64
	MaxPerMinute   = 100_000_000 // tokens or requests; the ledger's arithmetic holds up to here
	MaxConcurrent  = 1_000_000
)

// Key is what is known of an API key; its secret is not.
type Key struct {
	ID      string // names it in logs and commands; "" = of a request that needed no key
	Tenant  string // its requests share prefixes, and later completions, with those of the same tenant only
	Scopes  Scope
	Limits  Limits
	Created time.Time
	Expires time.Time // zero = never
	Revoked time.Time // zero = not
	Session string    // of RL that the key was made for; "" = none. Such a key is Temporary and stands in no file

	Granted *FeedbackGrant // what alone it may rate; nil = this is the key itself, and not somebody with a token of its

	hash digest
}

// Limits bound what one key uses; 0 = no limit.
type Limits struct {
	ConcurrentRequests int
	TokensPerMinute    int // prompt and completion
	RequestsPerMinute  int
}

// digest is a SHA-256. It cannot be compared with ==, which takes longer the more bytes are right: see digest.equal.
type digest struct {
	_   [0]func()
	sum [sha256.Size]byte
}

// New draws a key. The secret is returned once and kept nowhere; k gives everything but ID and hash.
func New(k Key) (made Key, secret string, err error) {
	var random [idBytes + secretBytes]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	text := hex.EncodeToString(random[:])
	k.ID = text[:2*idBytes]
	secret = prefix + k.ID + "-" + text[2*idBytes:]
	k.hash = hashOf(secret)
	if err := k.validate(); err != nil {
		return Key{}, "", err
	}
	return k, secret, nil
}

// Plain is a key whose secret an operator made up. It has no id inside, so id names it.
func Plain(id, secret string, scopes Scope) Key {
	return Key{ID: id, Tenant: DefaultTenant, Scopes: scopes, hash: hashOf(secret)}
}

// Live says that the key may be used at a time.
func (k *Key) Live(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// idOf is the public part of a secret, or "" if it has another form.
func idOf(secret string) string {
	rest, ours := strings.CutPrefix(secret, prefix)
	id, _, _ := strings.Cut(rest, "-")
	if !ours || len(rest) != 2*(idBytes+secretBytes)+1 || len(id) != 2*idBytes {
		return ""
	}
	return id
}

// validate says what is wrong with a key.
func (k *Key) validate() error {
	switch {
	case len(k.ID) != 2*idBytes || !isHex(k.ID):
		return fmt.Errorf("id %q: want %d hexadecimal digits", k.ID, 2*idBytes)
	case !ValidTenant(k.Tenant):
		return fmt.Errorf("tenant %q: want 1 to %d letters, digits, '.', '_' and '-'", k.Tenant, MaxTenantBytes)
	case k.Scopes == 0:
		return fmt.Errorf("it has no scope; there are %s", AllScopes)
	}
	return k.Limits.validate()
}

func (l *Limits) validate() error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"concurrent requests", l.ConcurrentRequests, MaxConcurrent}, {"tokens per minute", l.TokensPerMinute, MaxPerMinute},
		{"requests per minute", l.RequestsPerMinute, MaxPerMinute},
	} {
		if f.value < 0 || f.value > f.max {
			return fmt.Errorf("%d %s; want 1 to %d, or 0 for no limit", f.value, f.name, f.max)
		}
	}
	return nil
}

// ValidTenant says whether a name can be a tenant's. None holds a slash, which Salt relies on.
func ValidTenant(name string) bool {
	for i := range len(name) {
		c := name[i]
		word := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
		if !word || i == MaxTenantBytes {
			return false
		}
	}
	return name != ""
}

// Salt separates prefixes: two pairs of tenant and client's salt give the same text only if they are equal.
func (k *Key) Salt(client string) string { return k.Tenant + "/" + client }

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}
