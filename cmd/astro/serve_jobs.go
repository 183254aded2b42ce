package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"astro/openai"
	"astro/server"
	"astro/training"
	"astro/training/countdown"
	"astro/training/grpo"
	"astro/training/linearize/reasoning"
	"astro/training/recipe"
	"astro/training/reward"
	"astro/training/sft"
)

// newJobs makes the runner of fine-tuning jobs. It asks the server how requests become tokens, which it learns of in serve.
func (l *learning) newJobs(b *backend, name string) (*training.Jobs, error) {
	d, err := b.device.OpenBackground()
	if err != nil {
		return nil, err
	}
	learn := l.flags.settings(b)
	imitate := imitation(learn)
	return training.NewJobs(training.JobsConfig{Policies: l.policies, Device: d, Name: name, Dir: filepath.Join(l.flags.store, "jobs"), Learn: learn, Imitate: imitate,
		Context: b.context, Log: l.log,
		Tokens: func(e *openai.TuneExample) (prompt, completion []int32, err error) {
			return l.server.Load().TuneTokens(e)
		},
		Text:   func(ids []int32) string { return l.server.Load().PlainText(ids) },
		Grader: func(spec json.RawMessage) (reward.Grader, error) { return l.server.Load().Grader(spec) }}), nil
}

// imitation is how supervised jobs learn: with the memory that was planned for learning from rewards.
func imitation(learn grpo.Config) sft.Config {
	c := sft.Default()
	c.RowTokens, c.Rows = learn.RowTokens, learn.Rows
	o, from := &c.Optimizer, learn.Optimizer
	o.PeakLR, o.LoRA, o.LayerCheckpoints, o.Compute = from.PeakLR, from.LoRA, from.LayerCheckpoints, from.Compute
	return c
}

// serve starts what needs the server.
func (l *learning) serve(s *server.Server) {
	if l == nil || l.jobs == nil {
		return
	}
	l.server.Store(s)
	l.work.Go(func() {
		if err := l.jobs.Run(l.life); err != nil && l.life.Err() == nil {
			l.log.Error("fine-tuning jobs are not run any more", "error", err)
		}
	})
}

// serverOf is the server, once it is there.
type serverOf = atomic.Pointer[server.Server]

// What a verdict may take: at least minGraderTimeout, and graderGrace more than its service, which is given up first, since that says more.
const (
	minGraderTimeout = 10 * time.Second
	graderGrace      = time.Second
)

// graders are the services that the operator named, as NAME=URL.
func (l *learnFlags) graders() (map[string]reward.Grader, error) {
	if l.graderTimeout < time.Millisecond || l.graderTimeout > reward.MaxRemoteDeadlineMillis*time.Millisecond {
		return nil, fmt.Errorf("--grader-timeout %v: want 1ms to %v", l.graderTimeout, reward.MaxRemoteDeadlineMillis*time.Millisecond)
	}
	all := map[string]reward.Grader{}
	for _, one := range l.graderURLs {
		name, url, found := strings.Cut(one, "=")
		if !found || name == "" || !strings.HasPrefix(url, "http") {
			return nil, fmt.Errorf("--grader %q: want NAME=URL", one)
		}
		all[name] = reward.Remote{URL: url, DeadlineMillis: int(l.graderTimeout.Milliseconds()), Client: recipe.NewHTTPPoster()}
	}
	return all, nil
}

// graph draws the reasoning in an answer; steps of the numbers game are judged where the problem is one.
func graph(problem, text string) (any, string, error) {
	if len(text) > reasoning.MaxTextBytes {
		return nil, "", fmt.Errorf("it has more than %d bytes", reasoning.MaxTextBytes)
	}
	g := reasoning.Text(problem, text)
	if p, err := reward.ParseCountdown(problem); err == nil {
		g = countdownGraph(countdown.CD4.MaxValue, p, text)
	}
	var asJSON, dot bytes.Buffer
	if err := g.WriteJSON(&asJSON); err != nil {
		return nil, "", err
	}
	if err := g.WriteDOT(&dot); err != nil {
		return nil, "", err
	}
	return json.RawMessage(asJSON.Bytes()), dot.String(), nil
}
