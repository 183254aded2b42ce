package math

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"astro/training/eval"
)

// Summary is the result of a run. Shares are in [0, 1]; standard errors are over problems.
type Summary struct {
	Settings
	Avg         eval.Estimate    `json:"avg_at_k"`       // chance that a sample is right
	AvgBoxed    eval.Estimate    `json:"avg_at_k_boxed"` // the same, by the box alone
	GreedyScore *eval.Estimate   `json:"greedy_score"`   // null without a greedy pass
	Pass        []AtK            `json:"pass_at_k"`
	Maj         []AtK            `json:"maj_at_k"`
	Truncated   eval.Estimate    `json:"truncated"`         // share of samples cut off at the token limit
	Refused     int              `json:"refused"`           // samples whose prompt did not fit the model
	Tokens      eval.Estimate    `json:"tokens_per_answer"` // generated
	Backtracks  eval.Estimate    `json:"backtracks_per_answer"`
	Correlation eval.Correlation `json:"backtracks_with_correctness"` // over samples
	Rules       map[string]int   `json:"rules"`                       // samples by the rule that found their answer
	Reasons     map[string]int   `json:"reasons"`                     // samples by the reason of their verdict
	Subjects    []Group          `json:"subjects"`
	Levels      []Group          `json:"levels"`
	Scores      []Score          `json:"scores"` // of each problem
}

// AtK is a metric of k samples.
type AtK struct {
	K int `json:"k"`
	eval.Estimate
}

// Group is what problems of one subject or level have in common.
type Group struct {
	Name      string        `json:"name"`
	Avg       eval.Estimate `json:"avg_at_k"`
	Truncated float64       `json:"truncated"`
	Tokens    float64       `json:"tokens_per_answer"`
}

// Score is one problem.
type Score struct {
	ID         string   `json:"id"`
	Subject    string   `json:"subject,omitempty"`
	Level      string   `json:"level,omitempty"`
	Avg        float64  `json:"avg"`
	Boxed      float64  `json:"avg_boxed"`
	Greedy     *float64 `json:"greedy,omitempty"`
	Truncated  float64  `json:"truncated"`
	Tokens     float64  `json:"tokens"`
	Backtracks float64  `json:"backtracks"`

	Pass map[int]float64 `json:"pass,omitempty"` // by k
	Maj  map[int]float64 `json:"maj,omitempty"`
}

// summarize computes everything from the samples, which are in the order of the finished file.
func summarize(c *Config, samples []Sample) Summary {
	s := Summary{Settings: c.settings(), Rules: map[string]int{}, Reasons: map[string]int{}, Pass: []AtK{}, Maj: []AtK{}}
	byProblem := map[string][]Sample{}
	var greedy []float64
	var correct, backtracks []float64
	for _, sample := range samples {
		if sample.Greedy {
			greedy = append(greedy, number(sample.Correct))
			continue
		}
		byProblem[sample.ID] = append(byProblem[sample.ID], sample)
		s.Rules[sample.Rule]++
		s.Reasons[sample.Reason]++
		correct, backtracks = append(correct, number(sample.Correct)), append(backtracks, float64(sample.Backtracks))
		if sample.Finish == FinishRefused {
			s.Refused++
		}
	}
	if c.Greedy {
		estimate := eval.Mean(greedy)
		s.GreedyScore = &estimate
	}
	s.Correlation = eval.Pearson(backtracks, correct)
	s.count(c, byProblem, greedy)
	return s
}

// count fills in the means over problems.
func (s *Summary) count(c *Config, byProblem map[string][]Sample, greedy []float64) {
	for i, p := range c.Set.Problems {
		score := newScore(p, byProblem[p.ID])
		score.atK(c, byProblem[p.ID])
		if c.Greedy {
			score.Greedy = &greedy[i]
		}
		s.Scores = append(s.Scores, score)
	}
	if c.Samples == 0 {
		return
	}
	s.Avg = over(s.Scores, func(p Score) float64 { return p.Avg })
	s.AvgBoxed = over(s.Scores, func(p Score) float64 { return p.Boxed })
	s.Truncated = over(s.Scores, func(p Score) float64 { return p.Truncated })
	s.Tokens = over(s.Scores, func(p Score) float64 { return p.Tokens })
	s.Backtracks = over(s.Scores, func(p Score) float64 { return p.Backtracks })
	for _, k := range c.Pass {
		s.Pass = append(s.Pass, AtK{k, over(s.Scores, func(p Score) float64 { return p.Pass[k] })})
	}
	for _, k := range c.Maj {
		s.Maj = append(s.Maj, AtK{k, over(s.Scores, func(p Score) float64 { return p.Maj[k] })})
	}
	s.Subjects = groups(s.Scores, func(p Score) string { return p.Subject })
	s.Levels = groups(s.Scores, func(p Score) string { return p.Level })
}

// atK fills in pass@k and maj@k of one problem.
func (s *Score) atK(c *Config, samples []Sample) {
	s.Pass, s.Maj = map[int]float64{}, map[int]float64{}
	for _, k := range c.Pass {
		s.Pass[k] = eval.PassAtK(len(samples), correctOf(samples), k)
	}
	if len(c.Maj) == 0 {
		return
	}
	answers := votes(samples, c.Grader.Equal)
	for _, k := range c.Maj {
		s.Maj[k] = eval.MajAtK(answers, k)
	}
}

func newScore(p Problem, samples []Sample) Score {
	s := Score{ID: p.ID, Subject: p.Subject, Level: p.Level}
	n := float64(max(1, len(samples)))
	for _, sample := range samples {
		s.Avg += number(sample.Correct) / n
		s.Boxed += number(sample.Boxed) / n
		s.Truncated += number(sample.Finish == FinishLength) / n
		s.Tokens += float64(sample.Tokens) / n
		s.Backtracks += float64(sample.Backtracks) / n
	}
	return s
}

func correctOf(samples []Sample) int {
	n := 0
	for _, s := range samples {
		if s.Correct {
			n++
		}
	}
	return n
}

// votes groups a problem's samples by answer. An answer that is right belongs to the right group, whatever it looks like; a
// wrong one joins the first group whose first answer it equals.
func votes(samples []Sample, equal func(a, b string) bool) eval.Answers {
	var a eval.Answers
	var first []string // of each wrong group
	known := map[string]int{}
	for _, s := range samples {
		switch {
		case s.Correct:
			a.Correct++
			continue
		case s.Extracted == "":
			a.None++
			continue
		}
		i, ok := known[s.Extracted]
		if !ok {
			i = slices.IndexFunc(first, func(other string) bool { return equal(other, s.Extracted) })
			if i < 0 {
				i = len(first)
				first, a.Wrong = append(first, s.Extracted), append(a.Wrong, 0)
			}
			known[s.Extracted] = i
		}
		a.Wrong[i]++
	}
	return a
}

func over(scores []Score, value func(Score) float64) eval.Estimate {
	values := make([]float64, len(scores))
	for i, s := range scores {
		values[i] = value(s)
	}
	return eval.Mean(values)
}

// groups puts problems together by name: numbers in their order, then words in theirs. Problems without one are left out.
func groups(scores []Score, name func(Score) string) []Group {
	members := map[string][]Score{}
	for _, s := range scores {
		if name(s) != "" {
			members[name(s)] = append(members[name(s)], s)
		}
	}
	all := []Group{}
	for group, of := range members {
		all = append(all, Group{Name: group, Avg: over(of, func(s Score) float64 { return s.Avg }),
			Truncated: over(of, func(s Score) float64 { return s.Truncated }).Mean,
			Tokens:    over(of, func(s Score) float64 { return s.Tokens }).Mean})
	}
	slices.SortFunc(all, func(a, b Group) int { return compareNames(a.Name, b.Name) })
	return all
}

func compareNames(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX == nil && errY == nil && x != y {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a, b)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// percent writes a share with its standard error.
func percent(e eval.Estimate) string { return fmt.Sprintf("%.2f ± %.2f %%", 100*e.Mean, 100*e.SE) }
