package countdown

import (
	"fmt"
	"slices"
	"strconv"

	"astro/training/reward"
)

// Token ids. One word is one token; numbers follow from Number(1) on.
const (
	Unknown int32 = iota // any word outside the vocabulary
	BOS
	EOS
	Pad
	Arrow
	Colon
	Bar
	End
	Equals
	Plus
	Minus
	Times
	Over
	ButWait
	NotSure
	LooksOK
	Answer
	Restart
	GoBack1
	GoBack2
	firstNumber
)

// words[id] is the text of a token that is no number.
var words = [firstNumber]string{"<unk>", "<bos>", "<eos>", "<pad>", reward.WordArrow, reward.WordColon, reward.WordBar,
	reward.WordEnd, reward.WordEquals, "+", "-", "*", "/", reward.WordButWait, reward.WordNotSure, reward.WordLooksOK,
	reward.WordAnswer, reward.WordRestart, reward.WordGoBack1, reward.WordGoBack2}

// VocabSize is the number of token ids of the domain's tokenizer.
func (d Domain) VocabSize() int { return int(firstNumber) + d.MaxValue }

// Number is the token of n, which must be at least 1.
func Number(n int) int32 {
	if n < 1 || n > maxValue {
		panic(fmt.Sprintf("BUG: no token for the number %d", n))
	}
	return firstNumber + int32(n) - 1
}

// Text is the word of a token, without a leading space.
func Text(id int32) string {
	if id < firstNumber {
		return words[id]
	}
	return strconv.Itoa(int(id-firstNumber) + 1)
}

// operator is the token of a Move's Op.
func operator(op byte) int32 { return Plus + int32(slices.Index([]byte("+-*/"), op)) }

// Verify grades a completion by its tokens; what follows the end of sequence is ignored.
func (d Domain) Verify(p Problem, completion []int32) reward.CountdownResult {
	if end := slices.Index(completion, EOS); end >= 0 {
		completion = completion[:end]
	}
	text := make([]string, len(completion))
	for i, id := range completion {
		text[i] = Text(id)
	}
	return d.Rules().VerifyWords(p, text)
}
