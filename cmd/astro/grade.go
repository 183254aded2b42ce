package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"astro/training/reward"
	"astro/training/reward/latex"
)

// gradeFlags are the flags of astro grade.
type gradeFlags struct {
	gold, answer, response, jsonl, mode string
	options                             reward.Options
}

func newGradeCommand() *cobra.Command {
	g := gradeFlags{mode: "strict"}
	c := &cobra.Command{
		Use:   "grade",
		Short: "Say whether an answer to a mathematical problem is right, and why",
		Long: "Say whether an answer is right: --gold and --answer (a bare answer) or --response (a text that states one), for people;\n" +
			"--jsonl FILE for programs: a line {\"gold\": ..., \"answer\" or \"response\": ...} comes out with correct, extracted, rule,\n" +
			"equality, reason and cost added, in order, none missing; - reads the standard input.",
		Example: "  astro grade --gold '\\frac{1}{2}' --answer 0.5\n  astro grade --jsonl answers.jsonl --mode lenient",
		Args:    cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&g.gold, "gold", "", "the right answer")
	f.StringVar(&g.answer, "answer", "", "a bare answer; dollar signs, one box, padding and a final full stop are taken off")
	f.StringVar(&g.response, "response", "", "a text that states an answer")
	f.StringVar(&g.jsonl, "jsonl", "", "file of lines to grade; - = the standard input")
	f.StringVar(&g.mode, "mode", g.mode, "where a response's answer is looked for: strict (its last box) or lenient (else other places)")
	f.BoolVar(&g.options.Think, "think", false, "a response without </think> has no answer")
	f.BoolVar(&g.options.IntegerOnly, "integer-only", false, "accept nothing but an integer")
	f.BoolVar(&g.options.SolvedInequality, "solved-inequality", false, "accept a < x <= b where an interval is asked for")
	f.BoolVar(&g.options.RoundedGold, "rounded-gold", false, "decimals among the right answers are rounded: accept the exact value")
	c.RunE = func(c *cobra.Command, _ []string) error {
		changed := func(name string) bool { return c.Flags().Changed(name) }
		return g.run(c.Context(), changed, c.InOrStdin(), c.OutOrStdout())
	}
	return c
}

func (g *gradeFlags) run(ctx context.Context, given func(flag string) bool, in io.Reader, out io.Writer) error {
	switch g.mode {
	case "strict":
		g.options.Mode = reward.Strict
	case "lenient":
		g.options.Mode = reward.Lenient
	default:
		return fmt.Errorf("unknown --mode %q: want strict or lenient", g.mode)
	}
	switch {
	case given("jsonl") && !given("gold") && !given("answer") && !given("response"):
		return g.file(ctx, in, out)
	case !given("jsonl") && given("gold") && given("answer") != given("response"):
		return g.one(given("response"), out)
	}
	return errors.New("want --gold with --answer or --response, or --jsonl FILE")
}

// one grades one answer for a person.
func (g *gradeFlags) one(response bool, out io.Writer) error {
	grade := gradeAnswer(g.gold, g.answer, g.options)
	if response {
		grade = gradeResponse(g.gold, g.response, g.options)
	}
	verdict := "wrong"
	if grade.Correct {
		verdict = "correct"
	}
	fmt.Fprintf(out, "verdict    %s\nreason     %s\n", verdict, grade.Reason)
	if response {
		fmt.Fprintf(out, "extracted  %s (rule %s)\n", orNothing(grade.Extracted), orNothing(grade.Rule))
	}
	fmt.Fprintf(out, "equality   %s\n", orNothing(grade.Equality))
	fmt.Fprintf(out, "gold       %s (%s)\n", canonical(g.gold), orNothing(grade.goldType))
	fmt.Fprintf(out, "answer     %s\n", canonical(grade.Extracted))
	_, err := fmt.Fprintf(out, "cost       %d of at most %d\n", grade.Cost, reward.MaxCost)
	return err
}

// canonical is the form in which an answer is compared.
func canonical(answer string) string { return orNothing(latex.Source(latex.Clean(answer))) }

func orNothing(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// file grades lines for a program.
func (g *gradeFlags) file(ctx context.Context, in io.Reader, out io.Writer) error {
	if g.jsonl != "-" {
		f, err := os.Open(g.jsonl)
		if err != nil {
			return fmt.Errorf("open the answers: %w", err)
		}
		defer f.Close()
		in = f
	}
	return gradeLines(ctx, in, out, g.options)
}

// grade is a verdict as it is printed. Rule says how a response's answer was found, or how a bare answer was found to be equal.
type grade struct {
	Correct   bool   `json:"correct"`
	Extracted string `json:"extracted"`
	Rule      string `json:"rule"`
	Equality  string `json:"equality"`
	Reason    string `json:"reason"`
	Cost      int    `json:"cost"`

	goldType string
}

func gradeAnswer(gold, answer string, o reward.Options) grade {
	v := reward.Equal(gold, answer, o)
	return grade{v.Equal, latex.Clean(answer), string(v.Rule), string(v.Rule), string(v.Reason), v.Cost, v.GoldType}
}

func gradeResponse(gold, response string, o reward.Options) grade {
	r := reward.Verify(gold, response, o)
	return grade{r.Correct, r.Extracted, string(r.Rule), string(r.How), string(r.Reason), r.Cost, r.GoldType}
}
