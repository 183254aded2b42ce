package auth

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// made draws a key that must be right.
func made(t *testing.T, k Key) (Key, string) {
	t.Helper()
	k, secret, err := New(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

func TestSec_R02Ring(t *testing.T) {
	one, secretOne := made(t, Key{Tenant: "a", Scopes: Inference})
	two, secretTwo := made(t, Key{Tenant: "b", Scopes: Feedback, Expires: epoch})
	three, secretThree := made(t, Key{Tenant: "b", Scopes: Admin, Revoked: epoch})
	r := NewRing([]Key{one, two, three}, []Key{Plain("env-1", "hello", Inference|Feedback), Plain("env-2", secretOne[:20], Admin)})
	for _, c := range []struct {
		secret, id string
		at         time.Time
		err        error
	}{
		{secretOne, one.ID, epoch, nil}, {secretTwo, two.ID, epoch.Add(-1), nil}, {secretTwo, "", epoch, ErrExpired}, {secretThree, "", epoch, ErrUnknown},
		{"hello", "env-1", epoch, nil}, {secretOne[:20], "env-2", epoch, nil}, {"", "", epoch, ErrUnknown}, {"hell", "", epoch, ErrUnknown},
		{secretOne[:len(secretOne)-1] + "x", "", epoch, ErrUnknown}, {secretOne + "0", "", epoch, ErrUnknown}, {strings.ToUpper(secretOne), "", epoch, ErrUnknown},
		{prefix + one.ID + secretTwo[len(prefix)+12:], "", epoch, ErrUnknown}, {prefix + one.ID + "-", "", epoch, ErrUnknown},
	} {
		k, err := r.Find(c.secret, c.at)
		if !errors.Is(err, c.err) || (k == nil) != (c.id == "") || k != nil && k.ID != c.id {
			t.Errorf("%q: got %+v, %v; want id %q, %v", c.secret, k, err, c.id, c.err)
		}
	}
	if !r.Has(one.ID) || !r.Has("env-1") || r.Has("env-3") {
		t.Error("Has is wrong")
	}
}

func TestSec_R02SecretsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		k, secret := made(t, Key{Tenant: "a", Scopes: Inference})
		if !strings.HasPrefix(secret, prefix+k.ID+"-") || len(secret) != len(prefix)+12+1+40 || seen[k.ID] || seen[secret] {
			t.Fatalf("got %q for %q", secret, k.ID)
		}
		seen[k.ID], seen[secret] = true, true
	}
}

func TestScopes(t *testing.T) {
	if s, err := ParseScopes([]string{"admin", "inference"}); err != nil || s != Admin|Inference || s.String() != "inference,admin" {
		t.Errorf("got %v, %v", s, err)
	}
	for _, names := range [][]string{nil, {""}, {"root"}, {"admin", "admin"}, {"Admin"}} {
		if s, err := ParseScopes(names); err == nil {
			t.Errorf("%q: got %v; want an error", names, s)
		}
	}
	if !AllScopes.Has(Admin) || Inference.Has(Admin) || (Inference | Admin).Has(Feedback|Admin) || AllScopes.Has(0) {
		t.Error("Has is wrong")
	}
}

// Salts of different tenants never meet, whatever clients send.
func TestSec_R20Salt(t *testing.T) {
	seen := map[string]bool{}
	for _, tenant := range []string{"a", "ab", "a.b", "b"} {
		for _, client := range []string{"", "b", "/b", "b/", "ab", "a/b"} {
			salt := (&Key{Tenant: tenant}).Salt(client)
			if seen[salt] {
				t.Errorf("%q of %q is another pair's salt, too", client, tenant)
			}
			seen[salt] = true
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "keys.json")
	k, _ := made(t, Key{Tenant: "acme", Scopes: Inference | Admin, Created: epoch, Expires: epoch.Add(time.Hour), Revoked: epoch.Add(time.Minute),
		Limits: Limits{ConcurrentRequests: 1, TokensPerMinute: 2, RequestsPerMinute: 3}})
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			err := Update(path, func(keys []Key) ([]Key, error) {
				more, _, err := New(Key{Tenant: "t", Scopes: Feedback, Created: epoch})
				return append(keys, more), err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	os.Chmod(path, 0o640)
	if err := Update(path, func(keys []Key) ([]Key, error) { return append(keys, k), nil }); err != nil {
		t.Fatal(err)
	}
	keys, err := Load(path)
	if err != nil || len(keys) != 9 || !reflect.DeepEqual(keys[8], k) {
		t.Fatalf("got %d keys, %v, the last %+v; want 9, the last %+v", len(keys), err, keys[len(keys)-1], k)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("got mode %v, %v; want the old one", info.Mode(), err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("got %v; want the key file alone", files)
	}
	refuse := errors.New("no")
	if err := Update(path, func([]Key) ([]Key, error) { return nil, refuse }); !errors.Is(err, refuse) {
		t.Errorf("got %v", err)
	}
	if err := Update(path, func(keys []Key) ([]Key, error) { return append(keys, k), nil }); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("got %v; want an error of a key that is there twice", err)
	}
	if keys, err := Load(path); err != nil || len(keys) != 9 {
		t.Errorf("a refused update left %d keys, %v", len(keys), err)
	}
}

func TestFileOthersCanChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o660: false, 0o604: false, 0o644: false} {
		os.WriteFile(path, Encode(nil), 0o600)
		os.Chmod(path, mode)
		if _, err := Load(path); (err == nil) != ok {
			t.Errorf("mode %v: got %v", mode, err)
		}
	}
	if _, err := Load(filepath.Dir(path)); err == nil {
		t.Error("a folder was read")
	}
	if _, err := Load(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestHostileFiles(t *testing.T) {
	good := func(change string) string {
		return `{"format":1,"keys":[{"id":"0123456789ab","tenant":"t","scopes":["admin"],"created":"2026-01-01T00:00:00Z","sha256":"` +
			strings.Repeat("0", 64) + `"` + change + `}]}`
	}
	if _, err := Parse([]byte(good(""))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "not JSON": "keys", "two objects": good("") + "{}", "format": `{"format":2,"keys":[]}`, "unknown member": good(`,"secret":"x"`),
		"id": good(`,"id":"0123456789AB"`), "tenant": good(`,"tenant":"a/b"`), "no tenant": good(`,"tenant":""`), "scopes": good(`,"scopes":["root"]`),
		"no scopes": good(`,"scopes":[]`), "hash": good(`,"sha256":"00"`), "negative": good(`,"tokens_per_minute":-1`),
		"large": good(`,"requests_per_minute":100000001`), "time": good(`,"expires":"tomorrow"`), "fraction": good(`,"max_concurrent_requests":1.5`),
	} {
		if keys, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: got %+v; want an error", name, keys)
		}
	}
}

// Hashes of secrets meet in one place, which takes the same time for all: their type cannot be compared with ==, and nothing else looks
// into it but the file.
func TestSec_R02HashesAreNotCompared(t *testing.T) {
	if reflect.TypeFor[digest]().Comparable() || reflect.TypeFor[Key]().Comparable() {
		t.Error("== takes hashes, or keys with their hashes")
	}
	uses := map[string]int{}
	for _, name := range []string{"key.go", "ring.go", "ledger.go", "scope.go", "file.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		uses[name] = strings.Count(string(text), ".sum")
		if strings.Contains(string(text), "bytes.Equal") || strings.Contains(string(text), "DeepEqual") {
			t.Errorf("%s compares bytes in a time that depends on them", name)
		}
	}
	if want := map[string]int{"key.go": 0, "ring.go": 2, "ledger.go": 0, "scope.go": 0, "file.go": 4}; !reflect.DeepEqual(uses, want) {
		t.Errorf("hashes are looked into %v times; want %v", uses, want)
	}
}
