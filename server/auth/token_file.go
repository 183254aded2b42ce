package auth

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// Of a file of feedback-token keys: docs/formats/feedback-tokens.md.
const (
	tokenFileFormat = 1
	maxTokenKeys    = 2 // one signs, the one before is accepted still
)

type tokenFileJSON struct {
	Format int            `json:"format"`
	Keys   []tokenKeyJSON `json:"keys"`
}

type tokenKeyJSON struct {
	ID      string    `json:"id"`
	Secret  string    `json:"secret"`
	Created time.Time `json:"created"`
}

// ParseTokenKeys reads the text of such a file. Errors name the key that is wrong, never what is secret in it.
func ParseTokenKeys(text []byte) (TokenKeys, error) {
	var file tokenFileJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&file) != nil { // its error may quote the text
		return nil, errors.New("it is not the JSON of a file of feedback-token keys")
	}
	switch _, err := d.Token(); {
	case err != io.EOF:
		return nil, errors.New("something follows the JSON object")
	case file.Format != tokenFileFormat:
		return nil, fmt.Errorf("format %d is unknown; want %d", file.Format, tokenFileFormat)
	case len(file.Keys) < 1 || len(file.Keys) > maxTokenKeys:
		return nil, fmt.Errorf("%d keys; want 1 to %d", len(file.Keys), maxTokenKeys)
	}
	keys := make(TokenKeys, len(file.Keys))
	for i, j := range file.Keys {
		k := &keys[i]
		k.Created = j.Created
		if len(j.ID) != 2*len(k.ID) || !isHex(j.ID) {
			return nil, fmt.Errorf("key %d: id %.16q: want %d hexadecimal digits", i+1, j.ID, 2*len(k.ID))
		}
		if len(j.Secret) != 2*len(k.secret) || !isHex(j.Secret) {
			return nil, fmt.Errorf("key %d: its secret is not %d hexadecimal digits", i+1, 2*len(k.secret))
		}
		hex.Decode(k.ID[:], []byte(j.ID)) // both just checked
		hex.Decode(k.secret[:], []byte(j.Secret))
		if i > 0 && k.ID == keys[0].ID {
			return nil, fmt.Errorf("id %s is there twice", j.ID)
		}
	}
	return keys, nil
}

// encode is the text that ParseTokenKeys reads.
func (k TokenKeys) encode() []byte {
	file := tokenFileJSON{Format: tokenFileFormat, Keys: []tokenKeyJSON{}}
	for i := range k {
		file.Keys = append(file.Keys, tokenKeyJSON{hex.EncodeToString(k[i].ID[:]), hex.EncodeToString(k[i].secret[:]), k[i].Created.UTC()})
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic("BUG: " + err.Error()) // nothing in a key fails
	}
	return append(text, '\n')
}

// LoadTokenKeys reads a file of feedback-token keys, with the same demands on its mode as Load.
func LoadTokenKeys(path string) (TokenKeys, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	keys, err := ParseTokenKeys(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return keys, nil
}

// RotateTokenKeys adds a new key that signs from now on, to a file that is made if it is not there. The key that signed until now is
// accepted still; one that is older goes, and its tokens with it. It gives the id of the new key.
func RotateTokenKeys(path string, now time.Time) (id string, err error) {
	k := TokenKey{Created: now}
	rand.Read(k.ID[:]) // never fails (crypto/rand)
	rand.Read(k.secret[:])
	err = update(path, func() ([]byte, error) {
		keys, err := LoadTokenKeys(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		keys = append(keys, k)
		return keys[max(0, len(keys)-maxTokenKeys):].encode(), nil
	})
	return hex.EncodeToString(k.ID[:]), err
}
