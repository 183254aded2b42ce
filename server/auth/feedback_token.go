package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
)

// FeedbackGrant is the right to say once what one completion was worth, as its token carries it. The token's reader can read it, too.
type FeedbackGrant struct {
	Completion string // id
	Tenant     string
	Key        string // id of the API key that it was served to, without which the grant is worth nothing; "" = none was needed
	Subject    string // who may rate; "" = whoever has the token
	Expires    time.Time
}

// FeedbackTokenPrefix is how every feedback token begins. It is base64url as the rest, so that the whole is one text of it.
const FeedbackTokenPrefix = "ft1_"

// MaxSubjectBytes bounds a Subject, and so a token's length.
const MaxSubjectBytes = 128

// A token is base64url of: the prefix (3 bytes), the id of its key, its end in Unix seconds (8, big-endian), HMAC-SHA256 over all the
// rest, and the grant's texts, each behind its length (2, big-endian).
const (
	tokenPrefixBytes = 3
	tokenKeyIDBytes  = 4
	tokenTimeBytes   = 8
	tokenHeadBytes   = tokenPrefixBytes + tokenKeyIDBytes + tokenTimeBytes
	tokenSecretBytes = 32
	maxTokenBytes    = 1024 // as text
)

var tokenText = base64.RawURLEncoding.Strict()

// TokenKey signs feedback tokens, and says whether one was signed with it.
type TokenKey struct {
	ID      [tokenKeyIDBytes]byte
	Created time.Time

	secret [tokenSecretBytes]byte
}

// TokenKeys are those of a key file, oldest first. The last one signs, all verify.
type TokenKeys []TokenKey

// Sign makes the token of a grant; there must be a key.
func (k TokenKeys) Sign(g FeedbackGrant) string {
	texts := []string{g.Completion, g.Tenant, g.Key, g.Subject}
	key := &k[len(k)-1]
	head, _ := tokenText.DecodeString(FeedbackTokenPrefix)
	head = append(head, key.ID[:]...)
	head = binary.BigEndian.AppendUint64(head, uint64(g.Expires.Unix()))
	var claims []byte
	for _, text := range texts {
		if len(text) > math.MaxUint16 {
			panic(fmt.Sprintf("BUG: got %d bytes in a feedback token; want at most %d", len(text), math.MaxUint16))
		}
		claims = binary.BigEndian.AppendUint16(claims, uint16(len(text)))
		claims = append(claims, text...)
	}
	all := append(head, key.mac(head, claims)...)
	return tokenText.EncodeToString(append(all, claims...))
}

func (k *TokenKey) mac(head, claims []byte) []byte {
	h := hmac.New(sha256.New, k.secret[:])
	h.Write(head)
	h.Write(claims)
	return h.Sum(nil)
}

// Verify gives the grant of a token: ErrUnknown where none of the keys has signed it, ErrExpired where its time is over. Nothing of it is
// believed before its signature was compared, in constant time.
func (k TokenKeys) Verify(token string, now time.Time) (FeedbackGrant, error) {
	if len(token) > maxTokenBytes || !strings.HasPrefix(token, FeedbackTokenPrefix) {
		return FeedbackGrant{}, ErrUnknown
	}
	raw, err := tokenText.DecodeString(token)
	if err != nil || len(raw) < tokenHeadBytes+sha256.Size {
		return FeedbackGrant{}, ErrUnknown
	}
	head, mac, claims := raw[:tokenHeadBytes], raw[tokenHeadBytes:tokenHeadBytes+sha256.Size], raw[tokenHeadBytes+sha256.Size:]
	for i := range k {
		if [tokenKeyIDBytes]byte(head[tokenPrefixBytes:]) == k[i].ID && hmac.Equal(k[i].mac(head, claims), mac) {
			return grantOf(head, claims, now)
		}
	}
	return FeedbackGrant{}, ErrUnknown
}

// grantOf reads what was signed.
func grantOf(head, claims []byte, now time.Time) (g FeedbackGrant, err error) {
	g.Expires = time.Unix(int64(binary.BigEndian.Uint64(head[tokenPrefixBytes+tokenKeyIDBytes:])), 0)
	for _, to := range []*string{&g.Completion, &g.Tenant, &g.Key, &g.Subject} {
		if len(claims) < 2 || len(claims)-2 < int(binary.BigEndian.Uint16(claims)) {
			return FeedbackGrant{}, ErrUnknown // signed by a program that writes them differently
		}
		n := 2 + int(binary.BigEndian.Uint16(claims))
		*to, claims = string(claims[2:n]), claims[n:]
	}
	if len(claims) > 0 {
		return FeedbackGrant{}, ErrUnknown
	}
	if !now.Before(g.Expires) {
		return FeedbackGrant{}, ErrExpired
	}
	return g, nil
}
