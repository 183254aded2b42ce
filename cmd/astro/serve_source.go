package main

import (
	"errors"
	"fmt"

	"astro/internal/device"
	"astro/server"
	"astro/training"
	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/random"
	"astro/training/recipe"
	"astro/training/trainer"
)

// What a server that learns countdown draws its problems with. Streams keep them apart from those that recipes test on.
const (
	learnProblems = 4000
	evalProblems  = 96
	evalSamples   = 2
	streamLearn   = 101
	streamEval    = 102
)

// smallModel is how many parameters a model has that learns with a high rate.
const smallModel = 10_000_000

// source says what to learn from.
func (l *learning) source(b *backend, o serveOptions) (training.LoopConfig, error) {
	c := training.LoopConfig{Name: l.flags.learn, Learn: l.flags.settings(b), Every: l.flags.every, EvalEvery: l.flags.evalEvery,
		Served: training.Served{Learn: true, Completions: l.flags.served, MaxStaleness: l.flags.staleness, MaxKeyShare: l.flags.keyShare, MaxRaterShare: l.flags.raterShare}}
	switch l.flags.learn {
	case "feedback":
	case "countdown":
		return c, countdownSource(&c, b)
	default:
		lines, err := recipe.ReadProblems(l.flags.learn)
		if err != nil {
			return c, fmt.Errorf("--learn %s: want countdown, feedback, jobs or a JSONL file of problems: %w", l.flags.learn, err)
		}
		if b.template == nil {
			return c, fmt.Errorf("--learn %s: the model has no chat template to ask problems with", l.flags.learn)
		}
		r := recipe.TextRewards(recipe.DefaultSearchText(b.tokenizer, b.template, recipe.BlankLine), lines, nil)
		fit, err := l.fitting(r, c.Learn.MaxTokens, b.context)
		if err != nil {
			return c, fmt.Errorf("--learn %s: no problem can be asked: %w", l.flags.learn, err)
		}
		hold := len(fit) / 10 // every tenth is held out
		c.Problems, c.EvalProblems, c.EvalSamples, c.Grade = fit[hold:], fit[:hold], evalSamples, r.Grade
	}
	return c, nil
}

// fitting are the problems that leave room for an answer; one that does not would stop learning. The error says why there are none.
func (l *learning) fitting(r *recipe.RewardProblems, answerTokens, contextTokens int) (fit []grpo.Problem, err error) {
	skipped := r.Skipped
	for i := range r.Problems {
		p := &r.Problems[i]
		if n := len(p.Prompt); n+answerTokens > contextTokens {
			skipped = append(skipped, fmt.Errorf("problem %q: %d tokens, and %d to answer; together at most %d, as --context or the model says", p.ID, n, answerTokens, contextTokens))
			continue
		}
		fit = append(fit, *p)
	}
	switch {
	case len(fit) == 0 && len(skipped) == 0:
		return nil, errors.New("there is none")
	case len(fit) == 0:
		return nil, skipped[0]
	case len(skipped) > 0:
		l.log.Warn("problems are left out of learning", "problems", len(skipped), "the first", skipped[0])
	}
	return fit, nil
}

// settings are those of the recipe, for rollouts that a clipped weight may still be learned from when another version learns.
func (l *learnFlags) settings(b *backend) grpo.Config { return l.settingsOn(b, b.device.Kind()) }

// settingsOn are settings on a device of some kind.
func (l *learnFlags) settingsOn(b *backend, kind device.Kind) grpo.Config {
	c := grpo.Default()
	c.Prompts, c.MaxRounds, c.Mini, c.Objective.Staleness.TIS = l.prompts, 1, 2, 2
	c.RowTokens = b.context - 1
	c.MaxTokens = max(1, min(b.context/2, 200))
	if b.config.Params() >= smallModel {
		c.Optimizer.PeakLR, c.MaxTokens = 1e-6, b.context/2
	}
	c.Optimizer.LayerCheckpoints = l.checkpoints
	if l.loraRank > 0 {
		c.Optimizer.LoRA = trainer.LoRA{Rank: l.loraRank, Seed: c.Seed}
	}
	if l.lr > 0 {
		c.Optimizer.PeakLR = l.lr
	}
	c.Rows = max(1, 2048/c.RowTokens)
	compute, err := trainer.ParseCompute(l.compute, kind)
	if err != nil {
		panic("BUG: openStore has checked it: " + err.Error())
	}
	if c.Optimizer.Compute = compute; compute != trainer.F32 || b.rounds() {
		return c.Rounded()
	}
	return c
}

// countdownSource has problems of the numbers game: for learning those of the training numbers, for evaluation of the validation
// numbers, so that no recipe's test problem is ever learned from.
func countdownSource(c *training.LoopConfig, b *backend) error {
	d := countdown.CD4
	if d.VocabSize() != b.config.Vocab {
		return fmt.Errorf("--learn countdown: the model has %d token ids, a model of the numbers game has %d", b.config.Vocab, d.VocabSize())
	}
	lines := func(multisets [][]int, n int, stream uint64) (all []recipe.ProblemLine) {
		for i, p := range d.Sample(multisets, n, random.New(1, stream)) {
			all = append(all, recipe.ProblemLine{ID: p.String(), Problem: p.String(), Line: i + 1})
		}
		return all
	}
	learn := recipe.CountdownRewards(d, append(lines(d.Split().Train, learnProblems, streamLearn), lines(d.Split().Val, evalProblems, streamEval)...))
	if len(learn.Skipped) > 0 {
		return learn.Skipped[0]
	}
	n := len(learn.Problems) - evalProblems
	c.Problems, c.EvalProblems, c.EvalSamples, c.Grade = learn.Problems[:n], learn.Problems[n:], evalSamples, learn.Grade
	c.Returns = recipe.CountdownReturns
	return nil
}

// policyList is what the server shows of all policies.
func policyList(name string, all []training.Known, serving, canary int64, percent int) server.PolicyList {
	list := server.PolicyList{Object: "list", Serving: serving}
	if canary != 0 {
		list.Canary = &server.Canary{Version: canary, Percent: percent}
	}
	for i := range all {
		p := &all[i]
		info := server.PolicyInfo{Version: p.Version, Parent: p.Parent, State: policyState(p), Waiting: p.Waiting, Created: p.Created.Unix(), Reason: p.Reason}
		if e, ok := training.EvaluatedOf(&p.Policy); ok {
			info.Eval = &server.PolicyEval{PassRate: e.PassRate, Error: e.Error}
		}
		list.Data = append(list.Data, info)
	}
	return list
}

// policyState is the one word for a policy.
func policyState(p *training.Known) string {
	switch {
	case p.Serving:
		return server.PolicyServing
	case p.State == "bad" || p.State == "rejected":
		return string(p.State)
	case p.Loaded:
		return server.PolicyLoaded
	case p.Path == "":
		return "removed"
	}
	return "stored"
}
