package countdown

// Steps is the tokens of moves played from a state, each with what is left after it.
func Steps(state []int, game []Move) []int32 {
	tokens, _ := appendGame(nil, state, game)
	return tokens
}

// Return is the tokens of a return to the state after so many steps (0: to the beginning), which is restated as a prompt is. There are
// words for up to two steps.
func Return(steps int, p Problem) []int32 {
	word := Restart
	if steps > 0 {
		word = GoBack1 + int32(steps) - 1
	}
	if word > GoBack2 {
		panic("BUG: got a return without a word; want at most two steps")
	}
	return restate([]int32{word}, p, Colon)
}
