package linearize

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"astro/training/random"
	"astro/training/tree"
)

// Limits of what a model may say.
const (
	maxStepBytes   = 8 << 10
	maxReturnBytes = 400
)

// checkStep makes a step of a reply. It must say what the original says as far as that can be seen: the same box or none, and no
// sentence that is counted as reflection or return.
func checkStep(original, reply string) (string, error) {
	var kept []string // without blank lines, which part steps
	for line := range strings.Lines(reply) {
		if line = strings.TrimSpace(line); line != "" {
			kept = append(kept, line)
		}
	}
	text := strings.ToValidUTF8(strings.Join(kept, "\n"), "\uFFFD")
	switch {
	case text == "":
		return "", errors.New("the reply is empty")
	case len(text) > maxStepBytes:
		return "", fmt.Errorf("the reply has %d bytes; want at most %d", len(text), maxStepBytes)
	case reflects(text):
		return "", errors.New("the reply reflects or returns by itself")
	case LastBox(text) != LastBox(original):
		return "", fmt.Errorf("the reply states the answer %q where the step states %q", LastBox(text), LastBox(original))
	}
	return text, nil
}

// checkReturn makes the sentence of a return of a reply: its first line, which must begin as it is counted.
func checkReturn(reply, begin string) (string, error) {
	text, _, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(reply, "\u2019", "'")), "\n")
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	switch {
	case !strings.HasPrefix(text, begin):
		return "", fmt.Errorf("the reply begins with %.40q; want %q", text, begin)
	case len(text) > maxReturnBytes:
		return "", fmt.Errorf("the sentence has %d bytes; want at most %d", len(text), maxReturnBytes)
	case CountReturns(text).Total() != 1 || CountReflections(text) > 0 || strings.Contains(text, `\boxed`):
		return "", errors.New("the sentence says more than the return")
	}
	return text, nil
}

// reflects says that a text holds one of the sentences that are counted.
func reflects(text string) bool {
	lower := plain(text)
	return CountReturns(text).Total() > 0 || strings.Contains(lower, plain(Reflect)) || strings.Contains(lower, plain(NotSure)) || strings.Contains(lower, plain(LooksOK))
}

// LastBox is what stands in the last \boxed{...} of a text, without spaces at its ends; "" = there is none that is closed.
func LastBox(text string) string {
	const open = `\boxed{`
	at := strings.LastIndex(text, open)
	if at < 0 {
		return ""
	}
	text, depth := text[at+len(open):], 1
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return strings.TrimSpace(text[:i])
		}
	}
	return ""
}

// SelfEvaluation is the paper's quality filter: a solution is good if so many judgements of the model, each drawn anew, all say yes.
// A judgement without a verdict is a no. It asks again each time that it is called.
func SelfEvaluation(model Completer, judgements int, seed uint64) Filter {
	return func(ctx context.Context, t *tree.Tree, terminal int) (bool, error) {
		var steps []string
		for _, i := range t.Path(terminal) {
			steps = append(steps, strings.TrimSpace(t.Nodes[i].Text))
		}
		ask := prompt("evaluate", t.Problem, strings.Join(steps, "\n\n"), "")
		for i := range judgements {
			r := Request{ask, 1, random.Named(seed, t.ID, uint64(terminal), uint64(i)).Uint64(), 1024}
			reply, err := model.Complete(ctx, r)
			if err != nil {
				return false, fmt.Errorf("self-evaluation: %w", err)
			}
			if !saysYes(reply) {
				return false, nil
			}
		}
		return true, nil
	}
}

// saysYes reads the verdict in the last line.
func saysYes(judgement string) bool {
	lines := strings.Split(strings.TrimSpace(judgement), "\n")
	last := strings.Trim(strings.ToLower(strings.TrimSpace(lines[len(lines)-1])), "*. ")
	return last == "verdict: yes"
}
