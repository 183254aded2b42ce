package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"
)

// Errors of Ring.Find.
var (
	ErrUnknown = errors.New("no such key")
	ErrExpired = errors.New("the key has expired")
)

// Ring finds keys by their secrets. It does not change; a new one takes its place.
type Ring struct {
	byID  map[string]*Key
	plain []*Key // without an id in their secret: each is compared
}

// NewRing makes a Ring of keys with ids in their secrets and of plain ones.
func NewRing(keys, plain []Key) *Ring {
	r := &Ring{byID: map[string]*Key{}}
	for i := range keys {
		r.byID[keys[i].ID] = &keys[i]
	}
	for i := range plain {
		r.plain = append(r.plain, &plain[i])
	}
	return r
}

// Has says whether a key of that id is there.
func (r *Ring) Has(id string) bool { return r.ByID(id) != nil }

// ByID is the key of an id, whatever its state; nil = there is none.
func (r *Ring) ByID(id string) *Key {
	for _, k := range r.plain {
		if k.ID == id {
			return k
		}
	}
	return r.byID[id]
}

// Find returns the key of a secret. How long it takes depends on no secret: the id is public, and whole hashes are compared.
// A revoked key is unknown.
func (r *Ring) Find(secret string, now time.Time) (*Key, error) {
	given := hashOf(secret)
	var found *Key
	for _, k := range r.plain {
		if given.equal(k.hash) {
			found = k
		}
	}
	if k := r.byID[idOf(secret)]; k != nil && given.equal(k.hash) {
		found = k
	}
	switch {
	case found == nil || !found.Revoked.IsZero():
		return nil, ErrUnknown
	case !found.Live(now):
		return nil, ErrExpired
	}
	return found, nil
}

func hashOf(secret string) digest { return digest{sum: sha256.Sum256([]byte(secret))} }

// equal compares in constant time.
func (d digest) equal(other digest) bool {
	return subtle.ConstantTimeCompare(d.sum[:], other.sum[:]) == 1
}
