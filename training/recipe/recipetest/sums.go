// Package recipetest gives tests a world in which the whole method can run in seconds: sums of two small numbers as problems, solutions of
// them in steps, right and wrong, a policy that writes those, and tiny Llamas: random ones, and one that was taught to write such solutions.
package recipetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"astro/model/chat"
	"astro/model/tokenizer"
	"astro/training/recipe"
)

// Sum is a problem.
type Sum struct{ A, B int }

// Problem is the sum as a user would ask for it.
func (s Sum) Problem() string { return fmt.Sprintf("What is %d + %d?", s.A, s.B) }

// Solutions are a right one, and two wrong ones of which the first begins as the right one does.
func (s Sum) Solutions() []string {
	c := s.A + s.B
	return []string{
		fmt.Sprintf("Add %d and %d.\n\nSo \\boxed{%d}.", s.A, s.B, c),
		fmt.Sprintf("Add %d and %d.\n\nSo \\boxed{%d}.", s.A, s.B, c+1),
		fmt.Sprintf("Count up.\n\nSo \\boxed{%d}.", c+2),
	}
}

// Sums are n different ones.
func Sums(n int) (list []Sum) {
	for i := range n {
		list = append(list, Sum{A: i%7 + 1, B: i/7 + 1})
	}
	return list
}

// Lines are sums as a file of problems has them.
func Lines(sums []Sum) (list []recipe.ProblemLine) {
	for i, s := range sums {
		list = append(list, recipe.ProblemLine{ID: fmt.Sprint("sum ", i), Problem: s.Problem(), Answer: fmt.Sprint(s.A + s.B), Line: i + 1})
	}
	return list
}

// File writes a file of problems and gives its path.
func File(t testing.TB, lines []recipe.ProblemLine) string {
	t.Helper()
	var text bytes.Buffer
	for _, l := range lines {
		if err := json.NewEncoder(&text).Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "problems.jsonl")
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Instruction is a short one, so that prompts are.
const Instruction = "{{problem}}"

// Text is how sums are asked of the model in a folder.
func Text(dir string) (recipe.SearchText, error) {
	tok, err := tokenizer.Load(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		return recipe.SearchText{}, err
	}
	template, err := chat.Load(dir)
	if err != nil {
		return recipe.SearchText{}, err
	}
	s := recipe.DefaultSearchText(tok, template, recipe.BlankLine)
	s.Instruction = Instruction
	return s, nil
}
