package reward

import (
	"strings"
	"testing"
)

// short writes a response with the sentences abbreviated, so that a scenario fits on a line.
var short = strings.NewReplacer("BUTWAIT", WordButWait, "NOTSURE", WordNotSure, "LOOKSOK", WordLooksOK, "ANS", WordAnswer,
	"RESTART", WordRestart, "GB1", WordGoBack1, "GB2", WordGoBack2)

const (
	good  = "9 + 2 = 11 | 3 7 11 7 - 3 = 4 | 11 4 11 - 4 = 7 ; "
	wrong = "9 - 2 = 7 | 3 7 7 7 * 7 = 49 | 3 49 49 - 3 = 46 ; "
	again = "3 7 2 9 -> 7 : "
)

func verify(t *testing.T, response string) CountdownResult {
	t.Helper()
	p, err := ParseCountdown("3 7 2 9 -> 7 :")
	if err != nil {
		t.Fatal(err)
	}
	return Countdown{MaxValue: 50}.Verify(p, short.Replace(response))
}

func TestCountdownReasons(t *testing.T) {
	f := func(response string, want Reason) {
		t.Helper()
		if got := verify(t, response); got.Reason != want || got.Correct != (want == ReasonCorrect) {
			t.Errorf("%s\ngot %q (correct %v); want %q", response, got.Reason, got.Correct, want)
		}
	}
	f(good+"BUTWAIT LOOKSOK ANS 7", ReasonCorrect)
	f("9+2=11|3 7 11 7-3=4|4 11 11-4=7;BUTWAIT LOOKSOK ANS 7", ReasonCorrect) // spaces and order of restated numbers do not matter
	f(good+"BUTWAIT NOTSURE ANS 7", ReasonCorrect)                            // a wrong verdict is counted, the answer stands
	f(good+"BUTWAIT LOOKSOK ANS 8", ReasonWrongStatement)
	f(good+"BUTWAIT LOOKSOK ANS 7 7", ReasonMalformed)
	f(good+"BUTWAIT LOOKSOK", ReasonNoAnswer)
	f(good+"ANS 7", ReasonMalformed)
	f(good, ReasonNoAnswer)
	f("", ReasonNoAnswer)
	f("BUTWAIT LOOKSOK ANS 7", ReasonMalformed)
	f(wrong+"BUTWAIT LOOKSOK ANS 7", ReasonWrong)
	f(wrong+"BUTWAIT NOTSURE ANS 46", ReasonWrong)
	f(wrong+"BUTWAIT NOTSURE RESTART "+again+good+"BUTWAIT LOOKSOK ANS 7", ReasonCorrect)
	f(wrong+"BUTWAIT NOTSURE RESTART 3 7 2 8 -> 7 : "+good+"BUTWAIT LOOKSOK ANS 7", ReasonBadRestatement)
	f(wrong+"BUTWAIT NOTSURE RESTART 3 7 2 9 -> 8 : "+good+"BUTWAIT LOOKSOK ANS 7", ReasonBadRestatement)
	f("9 - 2 = 7 | 3 7 7 7 + 3 = 10 | 7 10 10 + 7 = 17 ; BUTWAIT NOTSURE GB1 3 7 7 -> 7 : "+
		"7 - 3 = 4 | 7 4 7 + 4 = 11 ; BUTWAIT NOTSURE GB2 7 4 -> 7 : 7 - 4 = 3 ; BUTWAIT NOTSURE ANS 3", ReasonWrong)
	f("9 - 2 = 7 | 3 7 7 7 - 7 = 0 | 3 0 BUTWAIT NOTSURE RESTART "+again+good+"BUTWAIT LOOKSOK ANS 7", ReasonCorrect)
	f("9 - 2 = 7 | 3 7 7 GB2 3 7 -> 7 : ", ReasonBadReturn)
	f("9 + 2 = 12 | 3 7 12 ", ReasonIllegalStep)
	f("9 + 9 = 18 | 3 7 2 18", ReasonIllegalStep)
	f("9 + 2 = 11 | 3 7 12 7 - 3 = 4 | 11 4 11 - 4 = 7 ; BUTWAIT LOOKSOK ANS 7", ReasonBadRestatement)
	f("7 * 9 = 63 | 3 2 63", ReasonIllegalStep) // above MaxValue
	f("2 + 9 = 11 | 3 7 11", ReasonIllegalStep) // the larger number comes first
	f("ignore the numbers, 7 it is", ReasonMalformed)
	f(strings.Repeat("7 ", MaxCountdownWords+1), ReasonTooLong)
}

func TestCountdownCounts(t *testing.T) {
	got := verify(t, wrong+"BUTWAIT NOTSURE RESTART "+again+wrong+"BUTWAIT LOOKSOK RESTART "+again+
		"9 + 2 = 12 | 3 7 12 RESTART 3 7 2 9 -> 9 : RESTART "+again+good+"BUTWAIT LOOKSOK ANS 7")
	want := CountdownResult{Correct: true, Reason: ReasonCorrect, Extracted: "7", Steps: 10, LegalSteps: 9,
		Verdicts: 3, RightVerdicts: 2, Returns: 4, RightReturns: 3, Attempts: 3, Distinct: 2}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A response that is cut off at any word is never correct, and the cut itself is not counted as a mistake.
func TestCountdownCutOff(t *testing.T) {
	p, _ := ParseCountdown("3 7 2 9 -> 7")
	words, _ := countdownWords(short.Replace(wrong+"BUTWAIT NOTSURE RESTART "+again+good+"BUTWAIT LOOKSOK ANS 7"), 100)
	for n := range words {
		got := Countdown{MaxValue: 50}.VerifyWords(p, words[:n])
		if got.Reason != ReasonNoAnswer || got.LegalSteps != got.Steps || got.RightReturns != got.Returns {
			t.Errorf("%d words: got %+v", n, got)
		}
	}
}

// Whatever single word of a right answer is exchanged, it is no longer right, but for two cases that keep the meaning: another
// operator with the same result (2 + 2 and 2 * 2), and the verdict, which is judged apart.
func TestCountdownMutations(t *testing.T) {
	p := CountdownProblem{Numbers: []int{4, 2, 2, 9}, Target: 36}
	words, _ := countdownWords(short.Replace("4 - 2 = 2 | 2 9 2 2 * 2 = 4 | 9 4 9 * 4 = 36 ; BUTWAIT LOOKSOK ANS 36"), 100)
	rules := Countdown{MaxValue: 50}
	if !rules.VerifyWords(p, words).Correct {
		t.Fatal("the unchanged answer is refused")
	}
	allowed := map[string]bool{"- to /": true, "* to +": true, WordLooksOK + " to " + WordNotSure: true}
	accepted := 0
	for i, old := range words {
		for _, new := range vocabularyForTest() {
			if new == old {
				continue
			}
			mutated := append(append(append([]string{}, words[:i]...), new), words[i+1:]...)
			if !rules.VerifyWords(p, mutated).Correct {
				continue
			}
			accepted++
			if !allowed[old+" to "+new] {
				t.Errorf("word %d, %q to %q: accepted", i, old, new)
			}
		}
	}
	if accepted != len(allowed) {
		t.Errorf("got %d accepted mutations; want %d", accepted, len(allowed))
	}
}

func vocabularyForTest() []string {
	v := append(strings.Fields("-> : | ; = + - * / 0 51 99 007"), CountdownSentences[:]...)
	for n := 1; n <= 50; n++ {
		v = append(v, strings.TrimSpace(strings.Join(strings.Fields(CountdownProblem{Numbers: []int{n}}.String())[:1], "")))
	}
	return v
}

func TestParseCountdown(t *testing.T) {
	for _, bad := range []string{"", "3 7 2 9", "-> 27", "3 x -> 27", "3 7 -> ", "3 7 -> 27 28", "0 1 -> 2", "3 7 -> 1000"} {
		if p, err := ParseCountdown(bad); err == nil {
			t.Errorf("%q: got %v; want an error", bad, p)
		}
	}
}

func FuzzCountdown(f *testing.F) {
	f.Add(short.Replace(good + "BUTWAIT LOOKSOK ANS 7"))
	f.Add(short.Replace(wrong + "BUTWAIT NOTSURE GB1 3 7 7 -> 7 :"))
	f.Fuzz(func(t *testing.T, response string) {
		p := CountdownProblem{Numbers: []int{3, 7, 2, 9}, Target: 7}
		r := Countdown{MaxValue: 50}.Verify(p, response)
		if r.Correct && r.Distinct == 0 || r.LegalSteps > r.Steps || r.RightVerdicts > r.Verdicts || r.Distinct > r.Attempts {
			t.Errorf("%q: got %+v", response, r)
		}
	})
}
