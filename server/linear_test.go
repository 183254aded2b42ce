package server

import (
	"strings"
	"testing"

	"astro/internal/growthtest"
	"astro/openai"
)

// Reading a body takes time in proportion to its length, whatever is long in it.
func TestSec_R09BodiesAreLinear(t *testing.T) {
	for name, c := range map[string][3]string{
		"message":  {`{"model":"m","messages":[{"role":"user","content":"`, `a\n`, `"}]}`},
		"escapes":  {`{"model":"m","messages":[{"role":"user","content":"`, `\ud83d\ude00`, `"}]}`},
		"ignored":  {`{"model":"m","x":[1`, `,{"a":[]}`, `],"messages":[{"role":"user","content":"a"}]}`},
		"names":    {`{"model":"m","messages":[{"role":"user","content":"a"}],"x":"`, `x`, `"}`},
		"spaces":   {`{"model":"m",`, ` `, `"messages":[{"role":"user","content":"a"}]}`},
		"ids":      {`{"model":"m","allowed_token_ids":[1`, `,7`, `],"messages":[{"role":"user","content":"a"}]}`},
		"brackets": {`{"model":"m","messages":`, `[`, ``},
	} {
		growthtest.Linear(t, name, 1<<19/len(c[1]), func(n int) {
			openai.DecodeChatRequest([]byte(c[0] + strings.Repeat(c[1], n) + c[2]))
		})
	}
	var names strings.Builder
	growthtest.Linear(t, "different names", 1<<13, func(n int) {
		names.Reset()
		for i := range n {
			names.WriteString(`"` + strings.Repeat("x", i%50) + string(rune(0x4E00+i%20000)) + `":1,`)
		}
		openai.DecodeChatRequest([]byte("{" + names.String() + `"model":"m"}`))
	})
}

// Looking for stop strings takes time in proportion to the answer, also where every character might begin one.
func TestSec_R09StopStringsAreLinear(t *testing.T) {
	long := strings.Repeat("a", 2000)
	for name, stops := range map[string][]string{"nested": {"aaab", "aab", "ab"}, "long": {long + "b", long + "c", "b" + long, long[:1000] + "d"}} {
		growthtest.Linear(t, name, 1<<14, func(n int) {
			f := newStopFilter(stops, false)
			for range n {
				f.push("a")
			}
			f.flush()
		})
	}
}
