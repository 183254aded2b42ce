package server

import (
	"fmt"
	"strings"
	"testing"

	"astro/openai"
	"astro/server/auth"
)

// A prefix that one tenant has computed is never found by another, whatever salt it sends, and no answer speaks of it; keys of one
// tenant share theirs.
func TestSec_R20PrefixesStayWithTheirTenant(t *testing.T) {
	var keys []auth.Key
	secrets := map[string]string{}
	for _, name := range []string{"a/1", "a/2", "ab/1", "default/1"} {
		tenant, _, _ := strings.Cut(name, "/")
		k, secret := newKey(t, auth.Key{Tenant: tenant, Scopes: auth.Inference})
		keys, secrets[name] = append(keys, k), secret
	}
	h := start(t, setup{config: func(c *Config) { c.Access.Keys, c.Access.APIKeys = keys, []string{"plain"} }})
	secrets["plain"] = "plain"
	ask := func(key, salt string) int {
		t.Helper()
		extra := `,"max_tokens":1`
		if salt != "" {
			extra += fmt.Sprintf(`,"cache_salt":%q`, salt)
		}
		before := h.Engine.Stats().CachedTokens
		body := `{"model":"fake","prompt":"` + strings.Repeat("a", 64) + `"` + extra + `}`
		told := decode[openai.CompletionAnswer](t, h.send(t, "POST", "/v1/completions", body, "Authorization", "Bearer "+secrets[key])).Usage.Value.PromptDetails.CachedTokens
		if found := int(h.Engine.Stats().CachedTokens - before); found != told {
			t.Errorf("%s was told of %d cached tokens; the engine found %d", key, told, found)
		}
		return told
	}
	if ask("a/1", "") != 0 || ask("a/1", "") == 0 || ask("a/2", "") == 0 {
		t.Error("keys of one tenant do not share prefixes")
	}
	for _, c := range []struct{ key, salt string }{{"ab/1", ""}, {"a/1", "b"}, {"ab/1", "b"}, {"default/1", ""}, {"default/1", "a"}, {"a/2", "c"}} {
		if found := ask(c.key, c.salt); found != 0 {
			t.Errorf("%s with salt %q found %d tokens of others", c.key, c.salt, found)
		}
	}
	if ask("plain", "") == 0 {
		t.Error("a plain key is not of the default tenant")
	}
}
