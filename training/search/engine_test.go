package search

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/sampler"
	"astro/training/tree"
)

const vocab = 24

// chatter is a domain for the engine's fake model, which says anything: a step ends with a token of 1 to 7, or after 5 tokens; an
// answer is whatever was said, and right where its tokens sum to an even number.
type chatter struct{ prompt []int32 }

func (c chatter) Prompt() []int32 { return c.prompt }
func (c chatter) Step([]int32) Limit {
	return Limit{MaxTokens: 5, StopTokens: []int32{1, 2, 3, 4, 5, 6, 7}}
}
func (c chatter) Rollout([]int32) Limit      { return Limit{MaxTokens: 8} }
func (c chatter) Text(tokens []int32) string { return game{}.Text(tokens) }

func (c chatter) Judge(answer []int32, at int, end End) (Verdict, error) {
	if end == EndLength {
		return Verdict{Terminal: true, Reason: "unfinished"}, nil
	}
	return Verdict{}, nil
}

func (c chatter) Grade(answer []int32) (Verdict, error) {
	sum := int32(0)
	for _, id := range answer {
		sum += id
	}
	if sum%2 == 1 {
		return Verdict{Answer: "odd"}, nil
	}
	return Verdict{Correct: true, Score: 1, Answer: "even"}, nil
}

func conversations(n int) []Problem {
	problems := tossed(n)
	for i := range problems {
		problems[i].Domain = chatter{[]int32{8, 9, 10, 11, 12, int32(8 + i%8)}}
	}
	return problems
}

// The engine draws the same trees for one tree at a time and for many, and in lock step without its goroutine.
func TestEngineDraws(t *testing.T) {
	problems := conversations(7)
	o := enginetest.Options(vocab)
	p := NewEnginePolicy(enginetest.Start(t, o, nil), sampler.Default())
	want, _ := searched(t, small, p, problems, 1)
	sizes := map[int]bool{}
	for i, w := range want {
		if w == nil {
			t.Fatalf("problem %d has no tree", i)
		}
		sizes[len(w.Nodes)] = true
		if w.Version != 1 || w.Tokens < len(w.Nodes) {
			t.Errorf("problem %d: version %d, %d tokens for %d nodes", i, w.Version, w.Tokens, len(w.Nodes))
		}
	}
	if len(sizes) < 2 {
		t.Error("all trees have one shape")
	}
	if got, _ := searched(t, small, p, problems, 8); !reflect.DeepEqual(got, want) {
		t.Error("other trees with 8 in parallel")
	}
	runner := enginetest.New(o.Config)
	var locked []*tree.Tree
	begin := func() Policy { return NewStepper(runner, o.Config, 1, sampler.Default()) }
	err := Blocks(context.Background(), small, "test", begin, problems, 5, func(o Outcome) error {
		locked = append(locked, o.Tree)
		return nil
	})
	if err != nil || !reflect.DeepEqual(locked, want) {
		t.Errorf("other trees in lock step (%v)", err)
	}
	for _, v := range runner.Violations() {
		t.Error(v)
	}
}

// A queue that holds less than one turn is filled again as it empties.
func TestShortQueue(t *testing.T) {
	problems := conversations(4)
	o := enginetest.Options(vocab)
	o.Config.MaxQueuedRequests = 2
	want, _ := searched(t, small, NewEnginePolicy(enginetest.Start(t, enginetest.Options(vocab), nil), sampler.Default()), problems, 1)
	got, failures := searched(t, small, NewEnginePolicy(enginetest.Start(t, o, nil), sampler.Default()), problems, 4)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("other trees, failures %v", failures)
	}
	runner := enginetest.New(o.Config)
	var locked []*tree.Tree
	begin := func() Policy { return NewStepper(runner, o.Config, 1, sampler.Default()) }
	err := Blocks(context.Background(), small, "test", begin, problems, 4, func(o Outcome) error {
		locked = append(locked, o.Tree)
		return nil
	})
	if err != nil || !reflect.DeepEqual(locked, want) {
		t.Errorf("other trees in lock step (%v)", err)
	}
}

// How a sample ended, and which tokens are its own: a stop token and the end of sequence belong to it, StepEnd may cut.
func TestHowSamplesEnd(t *testing.T) {
	script := []int32{9, 10, 11, 5, 12, 0} // then the end of sequence, 0
	e := enginetest.Start(t, enginetest.Options(vocab), func(r *enginetest.Runner) {
		r.Reply = func(row *sampler.Row) int32 { return script[min(len(row.Output), len(script)-1)] }
	})
	cut := func(tokens []int32) (int, bool) { return 2, len(tokens) == 4 }
	never := func([]int32) (int, bool) { return 0, false }
	for name, test := range map[string]struct {
		limit Limit
		want  Sample
	}{
		"stop":     {Limit{MaxTokens: 9, StopTokens: []int32{5}}, Sample{Tokens: script[:4], Drawn: 4, End: EndStep}},
		"sequence": {Limit{MaxTokens: 9, StepEnd: never}, Sample{Tokens: script, Drawn: 6, End: EndSequence}},
		"length":   {Limit{MaxTokens: 3, StopTokens: []int32{5}}, Sample{Tokens: script[:3], Drawn: 3, End: EndLength}},
		"cut":      {Limit{MaxTokens: 9, StepEnd: cut}, Sample{Tokens: script[:2], Drawn: 4, End: EndStep}},
	} {
		for _, p := range []Policy{NewEnginePolicy(e, sampler.Default()), stepper(script)} {
			got := p.Sample(context.Background(), []Draw{{Prompt: []int32{8}, N: 3, Limit: test.limit, Seed: 1}})
			if got[0].Err != nil || len(got[0].Samples) != 3 {
				t.Fatalf("%s: got %+v", name, got)
			}
			for _, s := range got[0].Samples {
				if s.Logprob >= 0 {
					t.Errorf("%s: got log-probability %g", name, s.Logprob)
				}
				if s.Logprob = 0; !reflect.DeepEqual(s, test.want) {
					t.Errorf("%s with %T: got %+v; want %+v", name, p, s, test.want)
				}
			}
		}
	}
}

func stepper(script []int32) *Stepper {
	o := enginetest.Options(vocab)
	r := enginetest.New(o.Config)
	r.Reply = func(row *sampler.Row) int32 { return script[min(len(row.Output), len(script)-1)] }
	return NewStepper(r, o.Config, 1, sampler.Default())
}

// A row that the device cannot compute costs its own tree; a prompt that does not fit has a reason of its own; both are counted, and
// the other trees are what they are without them.
func TestEngineErrorsCostOneTree(t *testing.T) {
	problems := conversations(6)
	problems[4].Domain = chatter{make([]int32, 300)}
	problems[2].Domain = chatter{[]int32{8, 23, 8}}
	broken := func(row *engine.Row) error {
		if row.Sample != nil && len(row.Sample.Prompt) > 3 && row.Sample.Prompt[1] == 23 {
			return errors.New("logits are not finite")
		}
		return nil
	}
	want, _ := searched(t, small, NewEnginePolicy(enginetest.Start(t, enginetest.Options(vocab), nil), sampler.Default()), problems, 1)
	e := enginetest.Start(t, enginetest.Options(vocab), func(r *enginetest.Runner) { r.OnRow = broken })
	trees, failures := searched(t, small, NewEnginePolicy(e, sampler.Default()), problems, 3)
	for i := range problems {
		switch reason := map[int]string{2: FailedPolicy, 4: FailedPrompt}[i]; {
		case reason != "" && (failures[i] == nil || failures[i].Reason != reason):
			t.Errorf("problem %d: got %v; want %s", i, failures[i], reason)
		case reason == "" && !reflect.DeepEqual(trees[i], want[i]):
			t.Errorf("problem %d: another tree (%v)", i, failures[i])
		}
	}
}

// A closed engine ends the search at once; a step that fails in lock step is a failure and not the end.
func TestEngineIsGone(t *testing.T) {
	r := enginetest.New(enginetest.Options(vocab).Config)
	e, err := engine.New(r, enginetest.Options(vocab))
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	err = Run(context.Background(), small, "", NewEnginePolicy(e, sampler.Default()), conversations(9), 2, func(o Outcome) error {
		t.Errorf("got an outcome %+v", o)
		return nil
	})
	if !errors.Is(err, ErrStopped) || !errors.Is(err, engine.ErrClosed) {
		t.Errorf("got %v; want that the engine is closed", err)
	}
	s := stepper([]int32{9})
	s.runner.(*enginetest.Runner).OnRun = func(int, *engine.Plan) error { return errors.New("device lost") }
	got := s.Sample(context.Background(), []Draw{{Prompt: []int32{8}, N: 2, Limit: Limit{MaxTokens: 2}}})
	if got[0].Err == nil {
		t.Errorf("got %+v; want an error", got)
	}
}

// A ctx that ends cancels what the engine has under way, and nothing of it stays.
func TestEngineCancel(t *testing.T) {
	e := enginetest.Start(t, enginetest.Options(vocab), func(r *enginetest.Runner) {
		r.OnRun = func(int, *engine.Plan) error { time.Sleep(time.Millisecond); return nil }
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	err := Run(ctx, small, "", NewEnginePolicy(e, sampler.Default()), conversations(500), 8, func(Outcome) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	got := stepper([]int32{9}).Sample(ctx, []Draw{{Prompt: []int32{8}, N: 2, Limit: Limit{MaxTokens: 2}}})
	if got[0].Err == nil {
		t.Errorf("got %+v; want an error", got)
	}
}
