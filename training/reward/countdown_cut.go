package reward

// CountdownWords cuts a text into the words that Verify reads; the flag is false where only the first MaxCountdownWords are returned.
func CountdownWords(text string) (words []string, whole bool) {
	return countdownWords(text, MaxCountdownWords)
}
