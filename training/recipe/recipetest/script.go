package recipetest

import (
	"context"
	"slices"

	"astro/model/tokenizer"
	"astro/training/recipe"
	"astro/training/search"
)

// Script is a Policy that goes on with one of the solutions that begin as the answer so far does. Which one follows from the Draw.
type Script struct {
	tokenizer *tokenizer.Tokenizer
	texts     map[string][][]int32 // solutions by the prompt, which is shown as a string
	prompts   [][]int32
}

// NewScript knows the solutions of sums.
func NewScript(text recipe.SearchText, sums []Sum) (*Script, error) {
	s := &Script{tokenizer: text.Tokenizer, texts: map[string][][]int32{}}
	for _, sum := range sums {
		p, err := text.Problem(sum.Problem(), sum.Problem(), "0")
		if err != nil {
			return nil, err
		}
		prompt := p.Domain.Prompt()
		s.prompts = append(s.prompts, prompt)
		for _, solution := range sum.Solutions() {
			s.texts[key(prompt)] = append(s.texts[key(prompt)], s.tokenizer.Encode(solution))
		}
	}
	return s, nil
}

func key(tokens []int32) string {
	runes := make([]rune, len(tokens))
	for i, id := range tokens {
		runes[i] = rune(id)
	}
	return string(runes)
}

// Sample implements search.Policy.
func (s *Script) Sample(ctx context.Context, draws []search.Draw) []search.Drawn {
	out := make([]search.Drawn, len(draws))
	for i, d := range draws {
		if out[i].Err = ctx.Err(); out[i].Err == nil {
			out[i].Samples = s.draw(d)
		}
	}
	return out
}

func (s *Script) draw(d search.Draw) (samples []search.Sample) {
	fitting := s.fitting(d.Prompt)
	for k := range d.N {
		tokens := []int32{}
		if len(fitting) > 0 {
			tokens = fitting[(d.Seed+uint64(k))%uint64(len(fitting))]
		}
		samples = append(samples, say(tokens, d.Limit))
	}
	return samples
}

// fitting are the rests of the solutions that begin as the answer so far does.
func (s *Script) fitting(tokens []int32) (rests [][]int32) {
	for _, prompt := range s.prompts {
		if len(tokens) < len(prompt) || !slices.Equal(tokens[:len(prompt)], prompt) {
			continue
		}
		so := tokens[len(prompt):]
		for _, text := range s.texts[key(prompt)] {
			if len(text) > len(so) && slices.Equal(text[:len(so)], so) {
				rests = append(rests, text[len(so):])
			}
		}
	}
	return rests
}

// say ends a text where the limit does.
func say(tokens []int32, limit search.Limit) search.Sample {
	for n := 1; n < len(tokens); n++ {
		if n == limit.MaxTokens {
			return search.Sample{Tokens: tokens[:n], Drawn: n, Logprob: -1, End: search.EndLength}
		}
		if limit.StepEnd != nil {
			if keep, ok := limit.StepEnd(tokens[:n]); ok {
				return search.Sample{Tokens: tokens[:keep], Drawn: n, Logprob: -1, End: search.EndStep}
			}
		}
	}
	return search.Sample{Tokens: tokens, Drawn: len(tokens), Logprob: -1, End: search.EndSequence}
}
