package math

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"astro/openai/client"
)

// Bounds of a run.
const (
	MaxSamples     = 1024
	MaxConcurrency = 4096
)

// Config is a run: which problems are asked, how, and where the answers are kept.
type Config struct {
	Set         Set
	Prompt      Prompt
	Client      *Client
	Samples     int // of each problem
	Temperature float64
	TopP        float64
	MaxTokens   int  // of an answer; 0 = the server's default
	Greedy      bool // one more answer to each problem, at temperature 0
	Seed        uint64
	Concurrency int    // requests in flight
	Dir         string // of the run
	Grader      Grader
	Phrases     Phrases
	Pass, Maj   []int                 // the k of pass@k and maj@k, each at most Samples
	Progress    func(done, total int) // samples; nil = nobody watches. Called by one goroutine
	Notify      func(string)          // tells a person of a repair; nil = nobody
}

// check tests what a caller can get wrong.
func (c *Config) check() error {
	switch {
	case c.Samples < 0 || c.Samples > MaxSamples || c.Samples == 0 && !c.Greedy:
		return fmt.Errorf("%d samples: want 1 to %d, or 0 with --greedy", c.Samples, MaxSamples)
	case c.Concurrency < 1 || c.Concurrency > MaxConcurrency:
		return fmt.Errorf("concurrency %d: want 1 to %d", c.Concurrency, MaxConcurrency)
	case c.Temperature < 0 || c.Temperature > 2 || c.Temperature != c.Temperature:
		return fmt.Errorf("temperature %g: want 0 to 2", c.Temperature)
	case !(c.TopP > 0 && c.TopP <= 1):
		return fmt.Errorf("top-p %g: want above 0, up to 1", c.TopP)
	case c.MaxTokens < 0:
		return fmt.Errorf("max-tokens %d: want at least 1, or 0 for the server's default", c.MaxTokens)
	case c.Client.Retry.Tries < 1:
		return fmt.Errorf("%d tries: want at least 1", c.Client.Retry.Tries)
	}
	if err := client.CheckURL(c.Client.URL); err != nil {
		return err
	}
	for name, list := range map[string][]int{"pass": c.Pass, "maj": c.Maj} {
		if i := slices.IndexFunc(list, func(k int) bool { return k < 1 || k > c.Samples }); i >= 0 {
			return fmt.Errorf("--%s %d with %d samples: want 1 to the number of samples", name, list[i], c.Samples)
		}
	}
	return nil
}

// Run asks what is not answered yet, keeps every answer as it comes, and at the end puts the samples in order and writes the
// summary in three forms. A run that ends early, by an error, a signal or a kill, goes on where it was when it is called
// again; the files that are then left are those of a run that was never stopped, as far as the server answers alike.
func Run(ctx context.Context, c Config) (Summary, error) {
	if err := c.check(); err != nil {
		return Summary{}, err
	}
	j, old, cut, err := openJournal(c.Dir)
	if err != nil {
		return Summary{}, err
	}
	defer j.close()
	if cut > 0 && c.Notify != nil {
		c.Notify(fmt.Sprintf("cut a torn line of %d bytes from %s: its sample is asked again", cut, j.path()))
	}
	if err := checkSettings(c.Dir, c.Set, c.settings()); err != nil {
		return Summary{}, err
	}
	r := newRun(&c, j)
	if err := r.take(old); err != nil {
		return Summary{}, err
	}
	if err := r.ask(ctx); err != nil {
		return Summary{}, fmt.Errorf("%w; %d of %d samples are kept in %s: run the same command to go on", err, len(r.done), len(r.plan), c.Dir)
	}
	samples := r.ordered()
	if err := j.finish(samples); err != nil {
		return Summary{}, err
	}
	s := summarize(&c, samples)
	return s, s.write(c.Dir)
}

// run is a Run at work.
type run struct {
	*Config
	journal  *journal
	problems map[string]Problem
	plan     []key // every sample, in the order of the finished file
	done     map[key]Sample
}

func newRun(c *Config, j *journal) *run {
	r := &run{Config: c, journal: j, problems: map[string]Problem{}, done: map[key]Sample{}}
	for _, p := range c.Set.Problems {
		r.problems[p.ID] = p
		if c.Greedy {
			r.plan = append(r.plan, key{p.ID, true, 0})
		}
		for i := range c.Samples {
			r.plan = append(r.plan, key{p.ID, false, i})
		}
	}
	return r
}

// take accepts the samples of an earlier start; they are graded anew.
func (r *run) take(old []Sample) error {
	planned := map[key]bool{}
	for _, k := range r.plan {
		planned[k] = true
	}
	for _, s := range old {
		if !planned[s.key()] || s.Seed != s.key().seed(r.Seed) {
			return fmt.Errorf("%s holds sample %d of %q, which this run does not ask for: choose another --out", r.journal.path(), s.Index, s.ID)
		}
		if _, twice := r.done[s.key()]; twice {
			return fmt.Errorf("%s holds sample %d of %q twice: delete one of the lines", r.journal.path(), s.Index, s.ID)
		}
		s.grade(r.Grader, r.problems[s.ID].Gold, r.Phrases)
		r.done[s.key()] = s
	}
	return nil
}

// outcome is one answer, or the failure that ends the run.
type outcome struct {
	sample Sample
	err    error
}

// ask sends what is missing with bounded concurrency. The first failure stops it; answers that are on their way by then are
// still kept.
func (r *run) ask(ctx context.Context) error {
	missing := slices.DeleteFunc(slices.Clone(r.plan), func(k key) bool { _, ok := r.done[k]; return ok })
	r.progress()
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	work, results := make(chan key), make(chan outcome)
	go feed(asking, work, missing)
	var workers sync.WaitGroup
	for range min(r.Concurrency, len(missing)) {
		workers.Go(func() {
			for k := range work {
				s, err := r.answer(asking, k)
				results <- outcome{s, err}
			}
		})
	}
	go func() {
		workers.Wait()
		close(results)
	}()
	var failure error
	for o := range results {
		err := o.err
		if err == nil {
			err = r.keep(o.sample)
		}
		if err != nil && failure == nil {
			failure = err
			cancel()
		}
	}
	if ctx.Err() != nil && len(r.done) < len(r.plan) {
		return errors.New("stopped")
	}
	return failure
}

// feed hands out work until it is done or the run has ended.
func feed(ctx context.Context, work chan<- key, missing []key) {
	defer close(work)
	for _, k := range missing {
		select {
		case work <- k:
		case <-ctx.Done():
			return
		}
	}
}

// answer asks for one sample.
func (r *run) answer(ctx context.Context, k key) (Sample, error) {
	q := client.Query{Prompt: r.Prompt.Ask(r.problems[k.problem].Text), Temperature: r.Temperature, TopP: r.TopP, MaxTokens: r.MaxTokens, Seed: k.seed(r.Seed)}
	if k.greedy {
		q.Temperature, q.TopP = 0, 1
	}
	reply, err := r.Client.Ask(ctx, q)
	return Sample{ID: k.problem, Greedy: k.greedy, Index: k.index, Seed: q.Seed, Text: reply.Text, Reasoning: reply.Reasoning,
		Finish: reply.Finish, PromptTokens: reply.PromptTokens, Tokens: reply.Tokens}, err
}

// keep grades and stores an answer.
func (r *run) keep(s Sample) error {
	s.grade(r.Grader, r.problems[s.ID].Gold, r.Phrases)
	if err := r.journal.append(&s); err != nil {
		return err
	}
	r.done[s.key()] = s
	r.progress()
	return nil
}

func (r *run) progress() {
	if r.Progress != nil {
		r.Progress(len(r.done), len(r.plan))
	}
}

// ordered is every sample as the finished file has them: problems as in the set, the greedy answer first.
func (r *run) ordered() []Sample {
	samples := make([]Sample, len(r.plan))
	for i, k := range r.plan {
		samples[i] = r.done[k]
	}
	return samples
}
