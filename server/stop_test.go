package server

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// naiveStop is the plain truth: look at every end of the whole text for the longest stop string there.
func naiveStop(text string, stops []string, include bool) (out, hit string) {
	for end := 1; end <= len(text); end++ {
		for _, stop := range stops {
			if strings.HasSuffix(text[:end], stop) && len(stop) > len(hit) {
				hit = stop
			}
		}
		if hit != "" && include {
			return text[:end], hit
		}
		if hit != "" {
			return text[:end-len(hit)], hit
		}
	}
	return text, ""
}

// filterPieces runs the filter over a text cut into pieces.
func filterPieces(pieces, stops []string, include bool) (out, hit string) {
	f := newStopFilter(stops, include)
	for _, piece := range pieces {
		var more string
		if more, hit = f.push(piece); hit != "" {
			return out + more, hit
		}
		out += more
	}
	return out + f.flush(), ""
}

func TestStopAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("ab"[rng.IntN(2)])
		}
		return b.String()
	}
	for range 20000 {
		text := word(rng.IntN(24))
		var stops []string
		for range rng.IntN(5) {
			stops = append(stops, word(1+rng.IntN(5)))
		}
		var pieces []string
		for rest := text; rest != ""; {
			n := 1 + rng.IntN(min(4, len(rest)))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		include := rng.IntN(2) == 0
		out, hit := filterPieces(pieces, stops, include)
		if wantOut, wantHit := naiveStop(text, stops, include); out != wantOut || hit != wantHit {
			t.Fatalf("%q in pieces %q with stops %q: got %q, %q; want %q, %q", text, pieces, stops, out, hit, wantOut, wantHit)
		}
	}
}

// Only bytes that may still become a stop string are held back.
func TestStopHoldsBackLittle(t *testing.T) {
	f := newStopFilter([]string{"END", "NDX"}, false)
	for _, step := range []struct{ in, out string }{{"abE", "ab"}, {"N", ""}, {"D", ""}} {
		out, hit := f.push(step.in)
		if step.in == "D" {
			if hit != "END" {
				t.Errorf("got hit %q; want END", hit)
			}
			break
		}
		if out != step.out || hit != "" {
			t.Errorf("push %q: got %q, %q; want %q", step.in, out, hit, step.out)
		}
	}
	f = newStopFilter([]string{"END", "NDX"}, false)
	f.push("EN")
	if out, _ := f.push("Q"); out != "ENQ" || f.held != "" {
		t.Errorf("got %q with %q held; want ENQ and nothing", out, f.held)
	}
}

func FuzzStop(f *testing.F) {
	f.Add("hello END world", "END", "wor", uint8(3))
	f.Add("ééé", "é", "\xa9", uint8(1))
	f.Fuzz(func(t *testing.T, text, a, b string, size uint8) {
		var stops []string
		for _, s := range []string{a, b} {
			if s != "" {
				stops = append(stops, s)
			}
		}
		var pieces []string
		for rest, n := text, int(size)+1; rest != ""; {
			n = min(n, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		out, hit := filterPieces(pieces, stops, false)
		if wantOut, wantHit := naiveStop(text, stops, false); out != wantOut || hit != wantHit {
			t.Errorf("got %q, %q; want %q, %q", out, hit, wantOut, wantHit)
		}
	})
}
