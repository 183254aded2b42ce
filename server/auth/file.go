package auth

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Bounds of a key file.
const (
	fileFormat   = 1
	maxFileBytes = 8 << 20
	maxKeys      = 10_000
)

// fileJSON is a key file: docs/formats/keys.md.
type fileJSON struct {
	Format int       `json:"format"`
	Keys   []keyJSON `json:"keys"`
}

type keyJSON struct {
	ID      string     `json:"id"`
	Tenant  string     `json:"tenant"`
	Scopes  []string   `json:"scopes"`
	SHA256  string     `json:"sha256"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`

	ConcurrentRequests int `json:"max_concurrent_requests,omitempty"`
	TokensPerMinute    int `json:"tokens_per_minute,omitempty"`
	RequestsPerMinute  int `json:"requests_per_minute,omitempty"`
}

// Parse reads the text of a key file. Errors name the key that is wrong.
func Parse(text []byte) ([]Key, error) {
	var file fileJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("it is not the JSON of a key file: %w", err)
	}
	switch _, err := d.Token(); {
	case err != io.EOF:
		return nil, errors.New("something follows the JSON object")
	case file.Format != fileFormat:
		return nil, fmt.Errorf("format %d is unknown; want %d", file.Format, fileFormat)
	case len(file.Keys) > maxKeys:
		return nil, fmt.Errorf("%d keys; want at most %d", len(file.Keys), maxKeys)
	}
	keys, ids := make([]Key, len(file.Keys)), map[string]bool{}
	for i := range file.Keys {
		k, err := file.Keys[i].key()
		if err == nil && ids[k.ID] {
			err = fmt.Errorf("id %s is there twice", k.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys[i], ids[k.ID] = k, true
	}
	return keys, nil
}

// key checks one entry.
func (j *keyJSON) key() (Key, error) {
	k := Key{ID: j.ID, Tenant: j.Tenant, Created: j.Created,
		Limits: Limits{ConcurrentRequests: j.ConcurrentRequests, TokensPerMinute: j.TokensPerMinute, RequestsPerMinute: j.RequestsPerMinute}}
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{j.Expires, &k.Expires}, {j.Revoked, &k.Revoked}} {
		if t.from != nil {
			*t.to = *t.from
		}
	}
	if len(j.SHA256) != 2*len(k.hash.sum) || !isHex(j.SHA256) {
		return Key{}, fmt.Errorf("sha256 is not %d hexadecimal digits", 2*len(k.hash.sum))
	}
	hex.Decode(k.hash.sum[:], []byte(j.SHA256)) // just checked
	var err error
	if k.Scopes, err = ParseScopes(j.Scopes); err != nil {
		return Key{}, err
	}
	return k, k.validate()
}

// Encode is the text that Parse reads.
func Encode(keys []Key) []byte {
	file := fileJSON{Format: fileFormat, Keys: []keyJSON{}}
	for i := range keys {
		k := &keys[i]
		file.Keys = append(file.Keys, keyJSON{ID: k.ID, Tenant: k.Tenant, Scopes: k.Scopes.Names(), SHA256: hex.EncodeToString(k.hash.sum[:]),
			Created: k.Created.UTC(), Expires: orNil(k.Expires), Revoked: orNil(k.Revoked), ConcurrentRequests: k.Limits.ConcurrentRequests,
			TokensPerMinute: k.Limits.TokensPerMinute, RequestsPerMinute: k.Limits.RequestsPerMinute})
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic("BUG: " + err.Error()) // nothing in a Key fails
	}
	return append(text, '\n')
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Load reads a key file. One that others could change, or that everybody can read, is refused.
func Load(path string) ([]Key, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	keys, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return keys, nil
}

// readPrivate reads a key file of any kind, if its mode is good.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o027 != 0 {
		return nil, fmt.Errorf("key file %s has mode %v: others than its owner may change it, or all may read it; run `chmod 600 %s`", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("it is larger than %d bytes", maxFileBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return text, nil
}

// Update changes a key file, or makes one: readers see the old one or the new one, and two updates follow each other.
func Update(path string, change func([]Key) ([]Key, error)) error {
	return update(path, func() ([]byte, error) {
		keys, err := Load(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if keys, err = change(keys); err != nil {
			return nil, err
		}
		text := Encode(keys)
		if _, err := Parse(text); err != nil {
			return nil, fmt.Errorf("key file %s would not be read again: %w", path, err)
		}
		return text, nil
	})
}

// update writes what make gives, which may read the file meanwhile: its folder is locked.
func update(path string, make func() ([]byte, error)) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	defer folder.Close() // ends the lock
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	text, err := make()
	if err != nil {
		return err
	}
	if err := replace(path, text); err != nil {
		return fmt.Errorf("write key file %s: %w", path, err)
	}
	return folder.Sync()
}

// replace writes a file whole, readable by its owner only, or by whom the old one was.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails where it has its name
	_, err = f.Write(text)
	if err == nil {
		err = takeOver(path, f)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// takeOver gives a file the owner, group and mode of the one at path, if there is one.
func takeOver(path string, f *os.File) error {
	var old syscall.Stat_t
	if err := syscall.Stat(path, &old); err != nil {
		return nil // there is none
	}
	if err := f.Chown(int(old.Uid), int(old.Gid)); err != nil {
		return err
	}
	return f.Chmod(fs.FileMode(old.Mode & 0o777))
}
