package training

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"astro/feedback"
	"astro/model"
	"astro/openai"
	"astro/training/checkpoint"
	"astro/training/grpo"
	"astro/training/reward"
	"astro/training/sft"
	"astro/training/trainer"
)

// tuning is a job that is ready to learn.
type tuning struct {
	examples int
	learn    func(ctx context.Context) (tuned, error)
}

// tuned is what a job gave.
type tuned struct {
	version int64
	tokens  int64
}

// prepare reads a job's files. The error is the owner's where it is an openai.Error.
func (j *Jobs) prepare(ctx context.Context, tenant string, job *openai.FineTuneJob) (*tuning, error) {
	training, err := j.read(ctx, tenant, job.TrainingFile, "training_file", job.Method.Type)
	if err != nil {
		return nil, err
	}
	var validation []openai.TuneExample
	if job.ValidationFile != nil && *job.ValidationFile != "" {
		if validation, err = j.read(ctx, tenant, *job.ValidationFile, "validation_file", job.Method.Type); err != nil {
			return nil, err
		}
	}
	if job.Method.Type == openai.TuneSupervised {
		return j.supervised(job, training)
	}
	return j.reinforcement(job, training, validation)
}

// read reads a file of a tenant.
func (j *Jobs) read(ctx context.Context, tenant, id, param, kind string) ([]openai.TuneExample, error) {
	f, err := j.store.File(ctx, tenant, id)
	if errors.Is(err, feedback.ErrUnknown) {
		return nil, openai.Invalid(param, "file_not_found", "The file '%s' is not there any more.", id)
	}
	if err != nil {
		return nil, err
	}
	all, refused := openai.ReadTuneFile(bytes.NewReader(f.Content), kind)
	if refused != nil {
		refused.Param = param
		return nil, refused
	}
	if len(all) == 0 {
		return nil, openai.Invalid(param, "empty_file", "The file '%s' has no examples.", id)
	}
	return all, nil
}

// maxJobUpdates bounds what a job may ask for.
const maxJobUpdates = 100_000

// autoUpdates is how many updates a job makes at least where it leaves the epochs to the server.
const autoUpdates = 20

// reinforcement is a job that learns from a grader's verdicts on sampled answers.
func (j *Jobs) reinforcement(job *openai.FineTuneJob, training, validation []openai.TuneExample) (*tuning, error) {
	m := job.Method.Reinforcement
	grader, err := j.config.Grader(m.Grader)
	if err != nil {
		return nil, openai.Invalid("method.reinforcement.grader", "invalid_grader", "The grader cannot be used: %s.", err)
	}
	judge := &judged{text: j.config.Text, grader: grader, items: map[string]openai.TuneExample{}}
	c := LoopConfig{Name: "job " + job.ID, Job: job.ID, Learn: j.config.Learn, EvalSamples: int(m.Hyperparameters.EvalSamples.Or(2)),
		EvalEvery: int(m.Hyperparameters.EvalInterval.Or(5)), LockStep: job.Metadata["deterministic"] == "true", Grade: judge.grade}
	if c.Problems, err = j.problems(judge, "t", training, "training_file"); err != nil {
		return nil, err
	}
	if c.EvalProblems, err = j.problems(judge, "v", validation, "validation_file"); err != nil {
		return nil, err
	}
	if err := setLoRA(&c.Learn.Optimizer.LoRA, job); err != nil {
		return nil, err
	}
	h := m.Hyperparameters
	c.Learn.Seed = uint64(job.Seed)
	c.Learn.Optimizer.PeakLR *= h.LearningRateMultiplier.Or(1)
	c.Learn.Prompts = int(h.BatchSize.Or(float64(min(len(c.Problems), c.Learn.Prompts))))
	c.Learn.Group = min(grpo.MaxGroup, max(2, int(float64(c.Learn.Group)*h.ComputeMultiplier.Or(1))))
	c.Learn.Mini = min(c.Learn.Mini, c.Learn.Prompts)
	perEpoch := (len(c.Problems) + c.Learn.Prompts - 1) / c.Learn.Prompts
	updates := perEpoch * int(h.NEpochs.Or(float64((autoUpdates+perEpoch-1)/perEpoch)))
	c.Learn.Steps = updates
	if updates > maxJobUpdates {
		return nil, openai.Invalid("method.reinforcement.hyperparameters.n_epochs", "invalid_value", "The job would make %d updates; %d is the most.", updates, maxJobUpdates)
	}
	return &tuning{len(training), func(ctx context.Context) (tuned, error) { return j.reinforce(ctx, job, c, updates) }}, nil
}

// setLoRA takes the rank of LoRA from a job's metadata, as in {"lora_rank": "8"}; "0" is full training, and without it the server decides. A
// server with LoRA has memory for factors of its rank, and for no gradient of the weights.
func setLoRA(l *trainer.LoRA, job *openai.FineTuneJob) error {
	text, ok := job.Metadata["lora_rank"]
	if !ok {
		return nil
	}
	rank, err := strconv.Atoi(text)
	if err != nil || rank < 0 {
		return openai.Invalid("metadata", "invalid_value", "lora_rank is %q; want a whole number, 0 for full training.", text)
	}
	if planned := l.Rank; planned > 0 && (rank == 0 || rank > planned) {
		return openai.Invalid("metadata", "invalid_value", "lora_rank is %d; this server has planned memory for a rank of 1 to %d.", rank, planned)
	}
	if *l = (trainer.LoRA{}); rank > 0 {
		*l = trainer.LoRA{Rank: rank, Seed: uint64(job.Seed)}
	}
	return nil
}

// problems are examples as the Learner takes them.
func (j *Jobs) problems(judge *judged, prefix string, examples []openai.TuneExample, param string) ([]grpo.Problem, error) {
	var all []grpo.Problem
	for i := range examples {
		prompt, _, err := j.config.Tokens(&examples[i])
		if err == nil && (len(prompt) == 0 || len(prompt)+j.config.Learn.MaxTokens > j.config.Context) {
			err = fmt.Errorf("a prompt of %d tokens, %d to answer: together at most %d", len(prompt), j.config.Learn.MaxTokens, j.config.Context)
		}
		if err != nil {
			return nil, openai.Invalid(param, "invalid_example", "Line %d of the file cannot be asked: %s.", examples[i].Line, err)
		}
		p := grpo.Problem{ID: fmt.Sprintf("%s%d", prefix, examples[i].Line), Prompt: prompt}
		judge.items[p.ID] = examples[i]
		all = append(all, p)
	}
	return all, nil
}

// judged grades answers to a job's examples.
type judged struct {
	text   func([]int32) string
	grader reward.Grader
	items  map[string]openai.TuneExample
}

// grade is a score of 0 to 1 as a reward of -1 to 1.
func (g *judged) grade(_ context.Context, p grpo.Problem, rollout []int32) (grpo.Grade, error) {
	item := g.items[p.ID]
	fields := openai.ItemFields(item.Item)
	gold, problem := fields["answer"], fields["problem"]
	if problem == "" {
		problem = item.Prompt
	}
	if n := len(item.Messages); problem == "" && n > 0 {
		problem = item.Messages[n-1].Content
	}
	grade, err := reward.WithFields(g.grader, fields).Grade(reward.Item{Problem: problem, Gold: gold, Response: g.text(rollout)})
	if err != nil {
		return grpo.Grade{}, err
	}
	return grpo.Grade{Reward: 2*grade.Score - 1, Correct: grade.Score == 1, Reason: string(grade.Reason)}, nil
}

// reinforce makes the updates that are left of a job.
func (j *Jobs) reinforce(ctx context.Context, job *openai.FineTuneJob, c LoopConfig, updates int) (tuned, error) {
	l, err := NewLoop(c, j.config.Policies, j.config.Device)
	if err != nil {
		return tuned{}, err
	}
	made, err := j.store.CountUpdates(ctx, job.ID)
	if err != nil {
		return tuned{}, err
	}
	out := tuned{version: j.config.Policies.Tip()}
	err = l.Make(ctx, updates-made, func(version int64, n Numbers) {
		made++
		out.tokens += int64(n.Learned)
		metrics := map[string]float64{"train_reward_mean": n.Reward, "train_pass_rate": n.PassRate, "train_mean_length": n.Length, "train_loss": n.Loss, "kl": n.KL, "entropy": n.Entropy}
		if n.Eval != nil {
			metrics["valid_pass_rate"] = n.Eval.PassRate
		}
		j.note(ctx, job.ID, fmt.Sprintf("Step %d/%d: reward=%.3f, pass rate=%.3f", made, updates, n.Reward, n.PassRate),
			openai.TuneNote{Type: openai.TuneMetrics, Step: int64(made), Metrics: metrics})
		if version != 0 {
			out.version = version
			j.note(ctx, job.ID, j.made(), openai.TuneNote{Type: openai.TuneCheckpoint, Step: int64(made),
				Model: fmt.Sprintf("%s@v%d", j.config.Name, version), Metrics: metrics})
		}
	})
	return out, err
}

// supervised is a job that imitates answers.
func (j *Jobs) supervised(job *openai.FineTuneJob, training []openai.TuneExample) (*tuning, error) {
	c, h := j.config.Imitate, job.Method.Supervised.Hyperparameters
	if err := setLoRA(&c.Optimizer.LoRA, job); err != nil {
		return nil, err
	}
	c.Seed = uint64(job.Seed)
	c.Epochs = int(h.NEpochs.Or(float64(c.Epochs)))
	c.Optimizer.PeakLR *= h.LearningRateMultiplier.Or(1)
	var examples []sft.Example
	for i := range training {
		prompt, completion, err := j.config.Tokens(&training[i])
		n := len(prompt) + len(completion)
		if err == nil && (len(completion) == 0 || n < 2 || n > min(j.config.Context, c.RowTokens+1)) {
			err = fmt.Errorf("%d tokens, %d of them the answer; want an answer, and at most %d together", n, len(completion), min(j.config.Context, c.RowTokens+1))
		}
		if err != nil {
			return nil, openai.Invalid("training_file", "invalid_example", "Line %d of the file cannot be learned: %s.", training[i].Line, err)
		}
		e := sft.Example{Tokens: append(append([]int32{}, prompt...), completion...), Weights: make([]float32, n)}
		for at := len(prompt); at < n; at++ {
			e.Weights[at] = 1
		}
		examples = append(examples, e)
	}
	fitBatch(&c, examples, int(h.BatchSize.Or(float64(max(1, min(autoBatch, len(examples)/8))))))
	return &tuning{len(examples), func(ctx context.Context) (tuned, error) { return j.imitate(ctx, job, c, examples) }}, nil
}

// autoBatch bounds how many examples an update has where a job leaves it to the server.
const autoBatch = 32

// fitBatch makes an update of about so many examples: rows are as short as the longest example allows, and there are no more of them at a
// time than memory was planned for.
func fitBatch(c *sft.Config, examples []sft.Example, size int) {
	tokens, longest := 0, 1
	for _, e := range examples {
		tokens, longest = tokens+len(e.Tokens)-1, max(longest, len(e.Tokens)-1)
	}
	perUpdate := max(1, size*tokens/len(examples))
	c.RowTokens = max(longest, min(c.RowTokens, perUpdate))
	rows := max(1, perUpdate/c.RowTokens)
	c.Rows = min(c.Rows, rows)
	c.Batches = max(1, rows/c.Rows)
}

// imitate trains on examples and publishes the end.
func (j *Jobs) imitate(ctx context.Context, job *openai.FineTuneJob, c sft.Config, examples []sft.Example) (tuned, error) {
	done, err := j.config.Policies.learn(ctx)
	if err != nil {
		return tuned{}, err
	}
	defer done()
	if before, err := j.published(ctx, job.ID); err != nil || before.version != 0 {
		return before, err
	}
	known, err := j.config.Policies.find(ctx, j.config.Policies.Tip())
	if err != nil {
		return tuned{}, err
	}
	work := sft.Work{Dir: filepath.Join(j.config.Dir, job.ID)}
	var last sft.Progress
	err = j.config.Device.InBackground(func() error {
		w, err := model.Load(known.Path, j.config.Device.Backend(), c.Optimizer.DType(), nil)
		if err != nil {
			return err
		}
		trained, err := sft.Train(ctx, j.config.Device, w, examples, c, work, func(p sft.Progress) {
			j.note(ctx, job.ID, fmt.Sprintf("Step %d/%d: training loss=%.3f", p.Step, p.Steps, p.Loss),
				openai.TuneNote{Type: openai.TuneMetrics, Step: int64(p.Step), Metrics: map[string]float64{"train_loss": p.Loss}})
		})
		if err == nil {
			trained.Weights.Free()
		}
		last = trained.Last
		return err
	})
	if err != nil {
		return tuned{}, err
	}
	version, err := j.publish(ctx, job, c.Schedule(c.Steps(examples)), work.Dir, last)
	return tuned{version, int64(last.Tokens)}, err
}

// published is what a supervised job has published; version 0 = nothing. A process that died before it could say so does not publish twice.
func (j *Jobs) published(ctx context.Context, job string) (tuned, error) {
	n, err := j.store.CountUpdates(ctx, job)
	for after := int64(0); err == nil && n > 0; {
		var page []feedback.Update
		if page, err = j.store.Updates(ctx, after, updatesPage); len(page) == 0 {
			break
		}
		for i := range page {
			if after = page[i].ID; page[i].Job == job && page[i].Policy != nil {
				var n Numbers
				err := json.Unmarshal(page[i].Report, &n)
				return tuned{page[i].Policy.Version, int64(n.Learned)}, err
			}
		}
	}
	return tuned{}, err
}

// made says what became of a version.
func (j *Jobs) made() string {
	if j.config.Policies.Manual() {
		return "A checkpoint was stored; it waits to be promoted."
	}
	return "A checkpoint was published."
}

// updatesPage is how many updates are read at one time.
const updatesPage = 500

// publish makes the newest checkpoint of a supervised job the served policy.
func (j *Jobs) publish(ctx context.Context, job *openai.FineTuneJob, schedule trainer.Config, dir string, last sft.Progress) (int64, error) {
	path, err := checkpoint.Newest(dir)
	if err != nil {
		return 0, err
	}
	p, d := j.config.Policies, j.config.Device
	var version int64
	err = d.InBackground(func() error {
		content, err := checkpoint.Load(path, d.Backend(), schedule.DType())
		if err != nil {
			return err
		}
		t, err := trainer.Resume(d, content, schedule)
		if err != nil {
			return err
		}
		defer t.Close()
		weights, err := t.SnapshotAs(p.wants(d))
		if err != nil {
			return err
		}
		c, err := p.Propose(weights, d)
		if err != nil {
			return err
		}
		report, err := json.Marshal(Numbers{Loss: last.Loss, LR: last.LR, GradNorm: last.GradNorm, Learned: last.Tokens})
		if err != nil {
			return err
		}
		version = c.Version
		return p.Publish(ctx, c, t.Content(content.Owner), feedback.Update{Job: job.ID, Report: report}, nil)
	})
	if err == nil {
		j.note(ctx, job.ID, j.made(), openai.TuneNote{Type: openai.TuneCheckpoint, Step: int64(last.Step),
			Model: fmt.Sprintf("%s@v%d", j.config.Name, version), Metrics: map[string]float64{"train_loss": last.Loss}})
	}
	return version, err
}
