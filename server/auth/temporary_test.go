package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Keys of sessions are found until they end or expire; what is remembered of them is bounded.
func TestTemporary(t *testing.T) {
	keys := NewTemporary()
	find := func(secret string, at time.Time, id string, want error) {
		t.Helper()
		k, err := keys.Find(secret, at)
		if !errors.Is(err, want) || (k == nil) != (id == "") || k != nil && k.ID != id {
			t.Errorf("%s: got %+v, %v; want %q, %v", secret, k, err, id, want)
		}
	}
	add := func(secret string, life time.Duration) {
		keys.Add(sha256.Sum256([]byte(secret)), Key{ID: "id-" + secret, Session: secret, Scopes: Inference, Expires: epoch.Add(life)}, epoch)
	}
	find("a", epoch, "", ErrUnknown)
	add("a", time.Hour)
	add("b", time.Minute)
	find("a", epoch, "id-a", nil)
	find("b", epoch.Add(time.Minute), "", ErrExpired)
	find("c", epoch, "", ErrUnknown)
	if keys.Live(epoch) != 2 || keys.Live(epoch.Add(time.Minute)) != 1 || !keys.Soonest().Equal(epoch.Add(time.Minute)) || !keys.Has("id-a") || keys.Has("a") {
		t.Errorf("got %d live, the first until %v", keys.Live(epoch), keys.Soonest())
	}
	keys.End("a")
	find("a", epoch, "", ErrExpired)
	add("a", time.Hour)
	find("a", epoch, "id-a", nil)
	for i := range maxEnded + 10 {
		secret := fmt.Sprint("many-", i)
		add(secret, time.Hour)
		keys.End(secret)
	}
	if open, ended := keys.Count(); open != 2 || ended != maxEnded || len(keys.ended) != maxEnded || len(keys.ids) != 2 {
		t.Errorf("%d are open, %d ended", open, ended)
	}
	find("many-0", epoch, "", ErrUnknown)
	find(fmt.Sprint("many-", maxEnded), epoch, "", ErrExpired)
}
