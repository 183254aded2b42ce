package sampler

import "slices"

// forbidden is the logit of a token that must not be drawn. Any logit up to allowedFrom counts as forbidden.
const (
	forbidden   = -1e30
	allowedFrom = -1e29
)

// edit changes the logit of one token before a draw: bias is added, the sum is multiplied by up if it is positive and by down
// otherwise, and after is added. What is forbidden stays so.
type edit struct {
	token                 int32
	bias, up, down, after float32
}

func (e edit) apply(logit float32) float32 {
	if !(logit > allowedFrom) {
		return forbidden
	}
	v := logit + e.bias
	if v > 0 {
		return v*e.up + e.after
	}
	return v*e.down + e.after
}

// edited says whether a draw for r changes any logit.
func (r *Row) edited() bool {
	p := &r.Params
	return len(p.LogitBias) > 0 || len(r.Banned) > 0 || p.RepetitionPenalty != 1 || p.PresencePenalty != 0 || p.FrequencyPenalty != 0
}

// edits lists the changes that bias, bans and penalties make for r, one per token, by ascending id; ids outside of the vocabulary
// are left out. The penalties are those of Keskar et al. (arXiv 1909.05858) and of the OpenAI API.
func (r *Row) edits(vocab int) []edit {
	if !r.edited() {
		return nil
	}
	byToken := map[int32]*edit{}
	at := func(token int32) *edit {
		e := byToken[token]
		if e == nil {
			e = &edit{token: token, up: 1, down: 1}
			byToken[token] = e
		}
		return e
	}
	for token, bias := range r.Params.LogitBias {
		at(token).bias = bias
	}
	r.penalize(at)
	for _, token := range r.Banned {
		*at(token) = edit{token: token, after: forbidden}
	}
	list := make([]edit, 0, len(byToken))
	for token, e := range byToken {
		if token >= 0 && int(token) < vocab {
			list = append(list, *e)
		}
	}
	slices.SortFunc(list, func(a, b edit) int { return int(a.token) - int(b.token) })
	return list
}

func (r *Row) penalize(at func(int32) *edit) {
	p := &r.Params
	if p.RepetitionPenalty != 1 {
		for _, tokens := range [][]int32{r.Prompt, r.Output} {
			for _, token := range tokens {
				e := at(token)
				e.up, e.down = 1/p.RepetitionPenalty, p.RepetitionPenalty
			}
		}
	}
	if p.PresencePenalty == 0 && p.FrequencyPenalty == 0 {
		return
	}
	counts := map[int32]int{}
	for _, token := range r.Output {
		counts[token]++
	}
	for token, n := range counts {
		at(token).after = -(p.PresencePenalty + p.FrequencyPenalty*float32(n))
	}
}
