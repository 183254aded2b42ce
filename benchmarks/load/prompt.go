package load

import (
	"math"
	"math/rand/v2"
	"strings"
)

// prompts makes the prompts of a run. Each is its own function of the seed, the level and the number of the request, so that the
// same run asks the same, and no two requests begin alike beyond the shared prefix.
type prompts struct {
	seed   uint64
	tokens int     // of a prompt
	shared int     // of them the same in all
	pool   []int32 // ids to draw from; nil = text

	wordTokens float64 // of a word of text
	overhead   float64 // tokens of an empty prompt: beginning of text, chat template
}

// words are short and common, so that most tokenizers have a token for each, with the space before it.
var words = strings.Fields("the of and to in is it you that he was for on are with as his they be at one have this from or had by hot but " +
	"some what there we can out other were all your when up use word how said an each she which do their time if will way about many " +
	"then them would write like so these her long make thing see him two has look more day could go come did my sound no most number " +
	"who over know water than call first people may down side been now find any new work part take get place made live where after back " +
	"little only round man year came show every good me give our under name very through just form great think say help low line before " +
	"turn cause same mean differ move right boy old too does tell sentence set three want air well also play small end put home read " +
	"hand port large spell add even land here must big high such follow act why ask men change went light kind off need house picture " +
	"try us again animal point mother world near build self earth father 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25")

// warmupStream and sharedStream are streams of random numbers beside those of the levels.
const (
	warmupStream = 1 << 40
	sharedStream = 1 << 41
)

// random is the generator of one request of a level, or of the shared prefix.
func (p *prompts) random(stream, number uint64) *rand.Rand {
	return rand.New(rand.NewPCG(p.seed, stream<<20+number))
}

// ids is a prompt of exactly tokens ids.
func (p *prompts) ids(stream, number uint64) []int32 {
	prompt := make([]int32, p.tokens)
	draw := func(part []int32, r *rand.Rand) {
		for i := range part {
			part[i] = p.pool[r.IntN(len(p.pool))]
		}
	}
	draw(prompt[:p.shared], p.random(sharedStream, 0))
	draw(prompt[p.shared:], p.random(stream, number))
	return prompt
}

// text is a prompt of about so many tokens as the server counts them.
func (p *prompts) text(stream, number uint64) string {
	shared := p.words(float64(p.shared))
	all := max(shared+1, p.words(float64(p.tokens)-p.overhead))
	return strings.Join(append(draw(shared, p.random(sharedStream, 0)), draw(all-shared, p.random(stream, number))...), " ")
}

// words is how many words have so many tokens.
func (p *prompts) words(tokens float64) int {
	return max(0, int(math.Round(tokens/p.wordTokens)))
}

func draw(n int, r *rand.Rand) []string {
	some := make([]string, n)
	for i := range some {
		some[i] = words[r.IntN(len(words))]
	}
	return some
}

// fit learns from how many tokens two texts of few and many words had. What makes no sense leaves a token a word.
func (p *prompts) fit(few, many int, fewTokens, manyTokens int) {
	p.wordTokens, p.overhead = 1, 0
	if slope := float64(manyTokens-fewTokens) / float64(many-few); fewTokens > 0 && slope > 0 {
		p.wordTokens = slope
		p.overhead = max(0, float64(fewTokens)-slope*float64(few))
	}
}
