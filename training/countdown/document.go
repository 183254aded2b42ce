package countdown

// Document is one training text. Its first Prompt tokens are given, the rest is what a model learns to say.
type Document struct {
	Tokens []int32
	Prompt int
}

// Prompt is the tokens of a problem as the chat template renders it: <bos> 3 7 2 9 -> 27 :
func Prompt(p Problem) []int32 { return restate([]int32{BOS}, p, Colon) }

// restate appends `3 7 2 9 -> 27` and a mark.
func restate(dst []int32, p Problem, mark int32) []int32 {
	dst = appendNumbers(dst, p.Numbers)
	return append(dst, Arrow, Number(p.Target), mark)
}

func appendNumbers(dst []int32, numbers []int) []int32 {
	for _, n := range numbers {
		dst = append(dst, Number(n))
	}
	return dst
}

// appendStep appends `a op b = c` and what is left after it: `| rest`, or `;` at the end.
func appendStep(dst []int32, m Move, after []int) []int32 {
	dst = append(dst, Number(m.A), operator(m.Op), Number(m.B), Equals, Number(m.C))
	if len(after) == 1 {
		return append(dst, End)
	}
	return appendNumbers(append(dst, Bar), after)
}

// appendGame appends the steps of a game and returns the states that it passes, the first one included.
func appendGame(dst []int32, state []int, game []Move) ([]int32, [][]int) {
	states := [][]int{state}
	for _, m := range game {
		state = Next(state, m)
		states = append(states, state)
		dst = appendStep(dst, m, state)
	}
	return dst, states
}

// Direct is a game written as an answer: its steps, one truthful verdict, and the value that it reaches.
// It is right only if that value is the target.
func Direct(p Problem, game []Move) Document {
	prompt := Prompt(p)
	tokens, states := appendGame(prompt, p.Numbers, game)
	value, verdict := states[len(game)][0], NotSure
	if value == p.Target {
		verdict = LooksOK
	}
	tokens = append(tokens, ButWait, verdict, Answer, Number(value), EOS)
	return Document{Tokens: tokens, Prompt: len(prompt)}
}
