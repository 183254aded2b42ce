package grammar

import (
	"strings"
	"testing"

	"astro/internal/growthtest"
)

// TestSec_R09StepsAreLinear: a token costs the same at the end of a long text as at its beginning, also where many readings of the
// text are possible.
func TestSec_R09StepsAreLinear(t *testing.T) {
	v := byteVocab(t)
	for name, c := range map[string]struct {
		spec Spec
		text string
		unit string
	}{
		"string":   {JSONSchema(`{"type":"string"}`), `"`, "a"},
		"pattern":  {JSONSchema(`{"type":"string","pattern":"(a|b)*a(a|b){8}"}`), `"`, "ab"},
		"list":     {JSONSchema(`{"type":"array","items":{"anyOf":[{"type":"integer"},{"type":"number"},{"const":1}]}}`), `[1`, ",1"},
		"object":   {JSONSchema(`{"type":"object","additionalProperties":{"type":"object"}}`), `{"a":{}`, `,"a":{}`},
		"anything": {JSONObject(), `{"a":1`, `,"b":[{}]`},
		"regex":    {Regex(`(a*b?)*(a|ab)*`), ``, "aab"},
	} {
		growthtest.Linear(t, name, 1<<11, func(n int) {
			g, err := Compile(c.spec, v, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			s, mask := g.Start(), make([]uint64, v.Words())
			for i, b := range []byte(c.text + strings.Repeat(c.unit, n)) {
				g.Mask(s, mask)
				if s, err = g.Next(s, int32(b)); err != nil {
					t.Fatalf("byte %d: %v", i, err)
				}
			}
		})
	}
}
