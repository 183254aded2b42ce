package report

import (
	"astro/training/eval"
	"astro/training/recipe/stages"
)

// Answer is one graded answer.
type Answer struct {
	Correct  bool   `json:"correct"`
	Reason   string `json:"reason"`
	Stated   string `json:"stated,omitempty"` // the answer that it states
	First    bool   `json:"first,omitempty"`  // its first finished attempt is right
	Cut      bool   `json:"cut,omitempty"`    // at the longest length
	Tokens   int    `json:"tokens"`
	Returns  int    `json:"returns"`
	Copied   int    `json:"copied"`   // returns that restate their problem exactly
	Distinct int    `json:"distinct"` // different finished legal attempts
	Text     string `json:"text,omitempty"`
}

// Answered is a problem with its answers.
type Answered struct {
	Problem string   `json:"problem"`
	Set     string   `json:"set"` // its numbers in order, by which answers are alike
	Answers []Answer `json:"answers"`
}

// Row is one model's figures.
type Row struct {
	Arm       stages.Name   `json:"arm"`
	Pass1     eval.Estimate `json:"pass1"`     // standard error over problems
	Clustered eval.Estimate `json:"clustered"` // the same with a standard error over sets of numbers
	Samples   int           `json:"samples"`   // of each problem
	PassN     float64       `json:"pass_n"`    // share of problems with a right one among them
	Vote      float64       `json:"vote"`      // share of problems whose most frequent answer is right
	First     float64       `json:"first"`     // share of answers whose first attempt is right
	Cut       float64       `json:"cut"`       // share that are cut at the longest length
	Tokens    float64       `json:"tokens"`    // per answer
	Returns   float64       `json:"returns"`   // per answer, as their sentences are counted
	Distinct  float64       `json:"distinct"`  // finished legal attempts per answer, different ones
	Copied    float64       `json:"copied"`    // share of returns that restate their problem exactly; 0 of none
}

// Measure computes a model's figures from its answers.
func Measure(arm stages.Name, all []Answered) Row {
	r := Row{Arm: arm, Pass1: eval.AvgAtK(correctOf(all)), Clustered: eval.Clustered(bySet(all))}
	answers, returns, copied := 0, 0, 0
	for _, a := range all {
		votes := Votes(a.Answers)
		r.Samples = len(a.Answers)
		r.PassN += eval.PassAtK(r.Samples, votes.Correct, r.Samples)
		r.Vote += eval.MajAtK(votes, r.Samples)
		for _, x := range a.Answers {
			answers, returns, copied = answers+1, returns+x.Returns, copied+x.Copied
			r.First, r.Cut = r.First+number(x.First), r.Cut+number(x.Cut)
			r.Tokens, r.Distinct = r.Tokens+float64(x.Tokens), r.Distinct+float64(x.Distinct)
		}
	}
	problems, n := float64(max(1, len(all))), float64(max(1, answers))
	r.PassN, r.Vote, r.First, r.Cut = r.PassN/problems, r.Vote/problems, r.First/n, r.Cut/n
	r.Tokens, r.Distinct, r.Returns = r.Tokens/n, r.Distinct/n, float64(returns)/n
	r.Copied = float64(copied) / float64(max(1, returns))
	return r
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func correctOf(all []Answered) [][]bool {
	correct := make([][]bool, len(all))
	for i, a := range all {
		for _, x := range a.Answers {
			correct[i] = append(correct[i], x.Correct)
		}
	}
	return correct
}

// bySet is the scores of answers, those to problems of one set of numbers together.
func bySet(all []Answered) [][]float64 {
	at := map[string]int{}
	var clusters [][]float64
	for _, a := range all {
		i, known := at[a.Set]
		if !known {
			i = len(clusters)
			at[a.Set], clusters = i, append(clusters, nil)
		}
		for _, x := range a.Answers {
			clusters[i] = append(clusters[i], number(x.Correct))
		}
	}
	return clusters
}

// Votes counts answers by what they state. Where the target is stated without a right derivation, that is a wrong answer of its own.
func Votes(answers []Answer) eval.Answers {
	var v eval.Answers
	at := map[string]int{}
	for _, a := range answers {
		switch i, known := at[a.Stated]; {
		case a.Correct:
			v.Correct++
		case a.Stated == "":
			v.None++
		case known:
			v.Wrong[i]++
		default:
			at[a.Stated], v.Wrong = len(v.Wrong), append(v.Wrong, 1)
		}
	}
	return v
}

// Scores is each problem's share of right answers.
func Scores(all []Answered) []float64 {
	s := make([]float64, len(all))
	for i, a := range all {
		s[i] = Mean(a.Answers, func(x Answer) float64 { return number(x.Correct) })
	}
	return s
}

// Mean is a mean over the answers of a problem.
func Mean(answers []Answer, of func(Answer) float64) float64 {
	sum := 0.0
	for _, a := range answers {
		sum += of(a)
	}
	return sum / float64(max(1, len(answers)))
}
