package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"astro/model/gguf/gguftest"
)

// cutPlainly is SentencePiece's algorithm as it is told: join the two neighbours whose piece has the best score, the leftmost of equal ones.
func cutPlainly(scores map[string]float32, text string) []string {
	parts := strings.Split("▁"+strings.ReplaceAll(text, " ", "▁"), "")
	for {
		best, at := float32(0), -1
		for i := range len(parts) - 1 {
			if s, ok := scores[parts[i]+parts[i+1]]; ok && (at < 0 || s > best) {
				best, at = s, i
			}
		}
		if at < 0 {
			return parts
		}
		parts[at] += parts[at+1]
		parts = slices.Delete(parts, at+1, at+2)
	}
}

// randomPieces makes a vocabulary of words over a few letters. Scores are at random, or better for earlier words, or with several words of
// one score, or with one score for runs.
func randomPieces(rng *rand.Rand, letters string, kind int) (names []string, scores []float32, types []int32) {
	names, types = []string{"<unk>", "<s>"}, []int32{2, 3}
	for b := range 256 {
		names, types = append(names, fmt.Sprintf("<0x%02X>", b)), append(types, 6)
	}
	for n := range len(letters) + 3 + rng.IntN(60) {
		word := letters[min(n, len(letters)-1):][:1]
		if n >= len(letters) {
			word = randomText(rng, letters, 2+rng.IntN(7))
		}
		if word = strings.ReplaceAll(word, " ", "▁"); !slices.Contains(names, word) {
			names, types = append(names, word), append(types, 1)
		}
	}
	for id, n := range rng.Perm(len(names)) {
		score := []float32{float32(n), float32(-id), float32(n / 4), float32(n)}[kind]
		if run := strings.Trim(names[id], names[id][:1]) == "" || strings.Trim(names[id], "▁") == ""; kind == 3 && run {
			score = -1e9
		}
		scores = append(scores, score)
	}
	return names, scores, types
}

func randomText(rng *rand.Rand, letters string, n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = letters[rng.IntN(len(letters))]
	}
	return string(text)
}

// Whatever the vocabulary and its scores, texts are cut as the plain algorithm cuts them, or the file is refused.
func TestSentencePieceAgainstPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var taken, refused [4]int
	for i := range 200 {
		kind, letters := i%4, " abc"[:2+rng.IntN(3)]
		names, scores, types := randomPieces(rng, letters, kind)
		tok, err := LoadModel(writeGGUF(t, gguftest.File{Keys: map[string]any{"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": names,
			"tokenizer.ggml.token_type": types, "tokenizer.ggml.scores": scores, "tokenizer.ggml.bos_token_id": uint32(1)}}))
		if err != nil {
			refused[kind]++
			continue
		}
		taken[kind]++
		byName := map[string]float32{}
		for id, name := range names {
			if types[id] == 1 {
				byName[name] = scores[id]
			}
		}
		for range 40 {
			text := randomText(rng, letters, 1+rng.IntN(60))
			var got []string
			for _, id := range tok.Encode(text)[1:] {
				got = append(got, tok.name(id))
			}
			if want := cutPlainly(byName, text); !slices.Equal(got, want) {
				t.Errorf("kind %d, %q:\n got %q\nwant %q\nscores %v", kind, text, got, want, byName)
			}
		}
	}
	if refused[0]+refused[1] > 0 || refused[2] == 0 || taken[2] == 0 || taken[3] < 20 {
		t.Errorf("taken %v, refused %v; want all of different scores, and some of equal ones", taken, refused)
	}
}
