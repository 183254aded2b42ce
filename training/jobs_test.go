package training

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"

	"astro/feedback"
	"astro/openai"
	"astro/training/reward"
	"astro/training/sft"
	"astro/training/trainer"
)

// echo grades the bandit: the item's answer is the last token.
type echo struct{}

// Grade implements reward.Grader.
func (echo) Grade(item reward.Item) (reward.Grade, error) {
	if item.Gold == item.Response {
		return reward.Grade{Score: 1, Reason: reward.ReasonCorrect}, nil
	}
	return reward.Grade{Reason: reward.ReasonWrong}, nil
}

// jobs makes a runner of jobs whose files ask the bandit's questions: a prompt is the question's number.
func (h *house) jobs() *Jobs {
	imitate := sft.Default()
	imitate.RowTokens, imitate.Epochs = 31, 50
	imitate.Optimizer.PeakLR = 1e-2
	return NewJobs(JobsConfig{Policies: h.policies, Device: h.device, Name: "m", Dir: filepath.Join(h.dir, "jobs"), Learn: lessons().Learn, Imitate: imitate, Context: 32, Log: slog.Default(),
		Tokens: func(e *openai.TuneExample) ([]int32, []int32, error) {
			n, err := strconv.Atoi(e.Prompt)
			var completion []int32
			if e.Completion != "" {
				completion = []int32{firstAnswer + 2*int32(n)}
			}
			return []int32{0, int32(n)}, completion, err
		},
		Text:   func(ids []int32) string { return fmt.Sprint(ids[len(ids)-1]) },
		Grader: func(json.RawMessage) (reward.Grader, error) { return echo{}, nil }})
}

// submit stores a file and a job of it, and gives the job to j.
func (h *house) submit(j *Jobs, id, method string, lines []map[string]string, metadata map[string]string) {
	h.t.Helper()
	ctx := context.Background()
	var file bytes.Buffer
	for _, l := range lines {
		if err := json.NewEncoder(&file).Encode(l); err != nil {
			h.t.Fatal(err)
		}
	}
	job := openai.FineTuneJob{ID: id, Model: "m", Status: openai.TuneValidating, TrainingFile: "file-" + id, Seed: 7, Metadata: metadata, Method: openai.TuneMethod{Type: method}}
	if method == openai.TuneSupervised {
		job.Method.Supervised = &openai.SupervisedMethod{}
	} else {
		job.Method.Reinforcement = &openai.ReinforcementMethod{Grader: json.RawMessage(`{}`)}
		job.Method.Reinforcement.Hyperparameters.NEpochs = openai.TuneValue(6)
	}
	body, err := json.Marshal(job)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, err := range []error{
		h.store.PutFile(ctx, feedback.File{ID: "file-" + id, Tenant: "t", Name: "f", Purpose: "fine-tune", Content: file.Bytes()}),
		h.store.PutJob(ctx, feedback.Job{ID: id, Tenant: "t", State: string(openai.TuneValidating), Body: body}),
		j.Create(ctx, openai.TuneJob{Tenant: "t", FineTuneJob: job}),
	} {
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// reinforcement are lines of the bandit with their answers.
func reinforcement() (lines []map[string]string) {
	for q := 1; q <= numQuestions; q++ {
		lines = append(lines, map[string]string{"prompt": fmt.Sprint(q), "answer": fmt.Sprint(firstAnswer + 2*q)})
	}
	return lines
}

// state is a job's.
func (h *house) state(id string) (openai.TuneState, openai.FineTuneJob) {
	h.t.Helper()
	row, err := h.store.Job(context.Background(), "t", id)
	var job openai.FineTuneJob
	if err == nil {
		err = json.Unmarshal(row.Body, &job)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return openai.TuneState(row.State), job
}

// until runs j until a job is in the state.
func (h *house) until(j *Jobs, id string, want func(openai.TuneState) bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	for ctx.Err() == nil {
		if state, _ := h.state(id); want(state) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
}

// weights is what the served policy's checkpoint holds.
func (h *house) weights() []byte {
	h.t.Helper()
	known, err := h.policies.find(context.Background(), h.policies.Serving())
	if err != nil {
		h.t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(known.Path, "model.safetensors"))
	if err != nil {
		h.t.Fatal(err)
	}
	return data
}

// A reinforcement job from a file teaches the bandit and publishes; its events and checkpoints are in the store.
func TestReinforcementJob(t *testing.T) {
	h := build(t)
	j := h.jobs()
	h.submit(j, "ftjob-1", openai.TuneReinforcement, reinforcement(), nil)
	h.until(j, "ftjob-1", openai.TuneState.Final)
	state, job := h.state("ftjob-1")
	if state != openai.TuneSucceeded || job.FineTunedModel == nil || *job.FineTunedModel != fmt.Sprintf("m@v%d", h.policies.Serving()) || job.FinishedAt == nil || *job.TrainedTokens == 0 {
		t.Fatalf("the job ended as %s: %+v, error %+v", state, job, job.Error)
	}
	events, err := h.store.Events(context.Background(), "job:ftjob-1", 0, 1000)
	kinds := map[string]int{}
	for _, e := range events {
		var n openai.TuneNote
		if err := json.Unmarshal(e.Data, &n); err != nil {
			t.Fatal(err)
		}
		kinds[n.Type]++
	}
	if err != nil || kinds[openai.TuneMetrics] != 6 || kinds[openai.TuneCheckpoint] == 0 {
		t.Errorf("events %v, %v; want 6 of metrics, and checkpoints", kinds, err)
	}
}

// A job that is interrupted and goes on after a restart ends with the very weights of one that was not.
func TestJobResumesBitForBit(t *testing.T) {
	t.Run("full", func(t *testing.T) { resumesBitForBit(t, map[string]string{"deterministic": "true"}) })
	t.Run("lora", func(t *testing.T) { resumesBitForBit(t, map[string]string{"deterministic": "true", "lora_rank": "4"}) })
}

func resumesBitForBit(t *testing.T, deterministic map[string]string) {
	whole := build(t)
	j := whole.jobs()
	whole.submit(j, "ftjob-1", openai.TuneReinforcement, reinforcement(), deterministic)
	whole.until(j, "ftjob-1", openai.TuneState.Final)
	want := whole.weights()

	cut := build(t)
	j = cut.jobs()
	cut.submit(j, "ftjob-1", openai.TuneReinforcement, reinforcement(), deterministic)
	for range 3 {
		before := cut.policies.Serving()
		cut.until(j, "ftjob-1", func(openai.TuneState) bool { return cut.policies.Serving() > before })
		cut.restart()
		j = cut.jobs()
	}
	if state, _ := cut.state("ftjob-1"); state != openai.TuneRunning {
		t.Fatalf("the job is %s after restarts; want running", state)
	}
	cut.until(j, "ftjob-1", openai.TuneState.Final)
	if state, job := cut.state("ftjob-1"); state != openai.TuneSucceeded {
		t.Fatalf("the job ended as %s: %+v", state, job.Error)
	}
	if known, err := cut.policies.find(context.Background(), cut.policies.Serving()); err != nil || exists(filepath.Join(known.Path, "adapter.safetensors")) != (deterministic["lora_rank"] != "") {
		t.Errorf("the served checkpoint has an adapter or not, %v; want one for LoRA alone", err)
	}
	if !bytes.Equal(cut.weights(), want) {
		t.Error("the weights differ from those of a job that was not interrupted")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A supervised job imitates its file.
func TestSupervisedJob(t *testing.T) {
	h := build(t)
	j := h.jobs()
	imitates(t, h, j, nil)
	if after := h.passRate(60); after < .8 {
		t.Errorf("the pass rate is %.2f; want above .8", after)
	}
}

// imitates runs a supervised job to its end.
func imitates(t *testing.T, h *house, j *Jobs, metadata map[string]string) {
	t.Helper()
	var lines []map[string]string
	for q := 1; q <= numQuestions; q++ {
		lines = append(lines, map[string]string{"prompt": fmt.Sprint(q), "completion": "x"})
	}
	h.submit(j, "ftjob-1", openai.TuneSupervised, lines, metadata)
	h.until(j, "ftjob-1", openai.TuneState.Final)
	if state, job := h.state("ftjob-1"); state != openai.TuneSucceeded {
		t.Fatalf("the job ended as %s: %+v", state, job.Error)
	}
}

// With LoRA in bf16 a supervised job publishes what its factors and its rounded weights make together: it answers after a restart as it did before.
func TestSupervisedJobWithLoRA(t *testing.T) {
	h := build(t)
	h.dtype = dtypes.BFloat16
	h.restart()
	j := h.jobs()
	j.config.Imitate.Optimizer.Compute = trainer.BF16
	imitates(t, h, j, map[string]string{"lora_rank": "4"})
	known, err := h.policies.find(t.Context(), h.policies.Serving())
	if err != nil || !exists(filepath.Join(known.Path, "adapter.safetensors")) {
		t.Errorf("%s has no adapter, %v", known.Path, err)
	}
	want, err := h.ask(1, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	h.restart()
	if got, err := h.ask(1, 0, 5); err != nil || !slices.Equal(got.Output, want.Output) || !slices.Equal(got.Logprobs, want.Logprobs) {
		t.Errorf("after a restart %+v is answered, %v; want %+v", got, err, want)
	}
}

// A file that cannot be used fails the job with the line and what to do; a job that is paused waits; one that is cancelled is over.
func TestJobsThatDoNotRun(t *testing.T) {
	h := build(t)
	j := h.jobs()
	h.submit(j, "ftjob-bad", openai.TuneReinforcement, []map[string]string{{"prompt": "1"}, {"prompt": "no number"}}, nil)
	h.until(j, "ftjob-bad", openai.TuneState.Final)
	if state, job := h.state("ftjob-bad"); state != openai.TuneFailed || job.Error == nil || *job.Error.Param != "training_file" {
		t.Errorf("%s: %+v; want a failure about the training file", state, job.Error)
	}
	h.submit(j, "ftjob-rank", openai.TuneReinforcement, reinforcement(), map[string]string{"lora_rank": "eight"})
	h.until(j, "ftjob-rank", openai.TuneState.Final)
	if state, job := h.state("ftjob-rank"); state != openai.TuneFailed || job.Error == nil || *job.Error.Param != "metadata" {
		t.Errorf("%s: %+v; want a failure about the metadata", state, job.Error)
	}
	j.config.Learn.Optimizer.LoRA.Rank = 4
	for _, rank := range []string{"0", "5"} {
		h.submit(j, "ftjob-planned-"+rank, openai.TuneReinforcement, reinforcement(), map[string]string{"lora_rank": rank})
		h.until(j, "ftjob-planned-"+rank, openai.TuneState.Final)
		if state, job := h.state("ftjob-planned-" + rank); state != openai.TuneFailed || job.Error == nil || !strings.Contains(job.Error.Message, "a rank of 1 to 4") {
			t.Errorf("%s: %+v; want a failure about the memory", state, job.Error)
		}
	}
	j.config.Learn.Optimizer.LoRA.Rank = 0
	h.submit(j, "ftjob-2", openai.TuneReinforcement, reinforcement(), nil)
	ctx := context.Background()
	if err := j.Pause(ctx, "ftjob-2"); err != nil {
		t.Fatal(err)
	}
	if row, err := j.next(ctx); row != nil || err != nil {
		t.Errorf("next is %+v, %v; want nothing while the job is paused", row, err)
	}
	if err := j.Resume(ctx, "ftjob-2"); err != nil {
		t.Fatal(err)
	}
	if row, err := j.next(ctx); row == nil || err != nil {
		t.Errorf("next is nothing, %v; want the job", err)
	}
	if err := j.Cancel(ctx, "ftjob-2"); err != nil {
		t.Fatal(err)
	}
	if state, job := h.state("ftjob-2"); state != openai.TuneCancelled || job.FinishedAt == nil {
		t.Errorf("%s, finished at %v", state, job.FinishedAt)
	}
	if err := j.Cancel(ctx, "ftjob-2"); err == nil {
		t.Error("a job was cancelled twice")
	}
}
