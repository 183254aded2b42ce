package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"astro/feedback"
	"astro/openai"
	"astro/server/auth"
)

// scriptedTuner is a Tuner whose jobs go on when the test says so.
type scriptedTuner struct {
	store  *feedback.Store
	mu     sync.Mutex
	refuse error // of Create
	asked  []string
}

func (u *scriptedTuner) change(ctx context.Context, id string, change func(*openai.FineTuneJob)) error {
	all, err := u.store.Jobs(ctx, "")
	if err != nil {
		return err
	}
	for _, row := range all {
		if row.ID != id {
			continue
		}
		var job openai.FineTuneJob
		if err := json.Unmarshal(row.Body, &job); err != nil {
			return err
		}
		change(&job)
		row.State, row.Body = string(job.Status), openai.Encode(job)
		return u.store.PutJob(ctx, row)
	}
	return feedback.ErrUnknown
}

func (u *scriptedTuner) set(ctx context.Context, id string, state openai.TuneState) error {
	u.mu.Lock()
	u.asked = append(u.asked, fmt.Sprintf("%s %s", state, id))
	u.mu.Unlock()
	return u.change(ctx, id, func(job *openai.FineTuneJob) { job.Status = state })
}

// Create validates as the real one does: a job whose file is wrong fails later, and says why.
func (u *scriptedTuner) Create(ctx context.Context, job openai.TuneJob) error {
	if u.refuse != nil {
		return u.refuse
	}
	f, err := u.store.File(ctx, job.Tenant, job.TrainingFile)
	if err != nil {
		return err
	}
	if _, wrong := openai.ReadTuneFile(bytes.NewReader(f.Content), job.Method.Type); wrong != nil {
		return u.change(ctx, job.ID, func(j *openai.FineTuneJob) {
			j.Status, j.Error = openai.TuneFailed, openai.NewTuneFailure(wrong, "training_file")
		})
	}
	return u.set(ctx, job.ID, openai.TuneQueued)
}
func (u *scriptedTuner) Cancel(ctx context.Context, id string) error {
	return u.set(ctx, id, openai.TuneCancelled)
}
func (u *scriptedTuner) Pause(ctx context.Context, id string) error {
	return u.set(ctx, id, openai.TunePaused)
}
func (u *scriptedTuner) Resume(ctx context.Context, id string) error {
	return u.set(ctx, id, openai.TuneRunning)
}

// tuning runs a server with a store and a scripted Tuner.
func tuning(t *testing.T, with setup) (*harness, *scriptedTuner) {
	t.Helper()
	store, err := feedback.Open(filepath.Join(t.TempDir(), "state.db"), feedback.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tuner := &scriptedTuner{store: store}
	old := with.config
	with.config = func(c *Config) {
		if c.Store, c.Tuner = store, tuner; old != nil {
			old(c)
		}
	}
	t.Cleanup(func() { store.Close() }) // which is after the server's end
	return start(t, with), tuner
}

func (h *harness) sdk(key string) *sdk.Client {
	c := sdk.NewClient(option.WithBaseURL(h.url+"/v1/"), option.WithAPIKey(key), option.WithMaxRetries(0))
	return &c
}

const prompts = `{"prompt":"2+2=","answer":"4"}` + "\n" + `{"messages":[{"role":"user","content":"3+3="}],"answer":"6"}` + "\n"

// upload sends a file with the official client.
func upload(t *testing.T, c *sdk.Client, content string) *sdk.FileObject {
	t.Helper()
	f, err := c.Files.New(t.Context(), sdk.FileNewParams{Purpose: sdk.FilePurposeFineTune, File: sdk.File(strings.NewReader(content), "train.jsonl", "application/jsonl")})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// reinforced is a job that grades by a comparison.
func reinforced(file string) sdk.FineTuningJobNewParams {
	return sdk.FineTuningJobNewParams{Model: "fake", TrainingFile: file, Suffix: sdk.String("sums"), Metadata: map[string]string{"who": "me"}, Method: sdk.FineTuningJobNewParamsMethod{
		Type: "reinforcement", Reinforcement: sdk.ReinforcementMethodParam{
			Grader:          sdk.ReinforcementMethodGraderUnionParam{OfStringCheckGrader: sameAnswer},
			Hyperparameters: sdk.ReinforcementHyperparameters{BatchSize: sdk.ReinforcementHyperparametersBatchSizeUnion{OfInt: sdk.Int(4)}, NEpochs: sdk.ReinforcementHyperparametersNEpochsUnion{OfAuto: "auto"}}}}}
}

var sameAnswer = &sdk.StringCheckGraderParam{Name: "same", Operation: "eq", Input: "{{sample.output_text}}", Reference: "{{item.answer}}"}

func wantStatus(t *testing.T, got *sdk.FineTuningJob, err error, want string) {
	t.Helper()
	if err != nil || string(got.Status) != want {
		t.Fatalf("got %+v, %v; want a job that is %s", got, err, want)
	}
}

// The official client sends a file, begins a job, pauses it, lets it go on, follows it and sees its end.
func TestOfficialClientFineTunes(t *testing.T) {
	h, tuner := tuning(t, setup{})
	c, ctx := h.sdk("any"), t.Context()
	file := upload(t, c, prompts)
	job, err := c.FineTuning.Jobs.New(ctx, reinforced(file.ID))
	wantStatus(t, job, err, "queued")
	if m := job.Method.Reinforcement; job.TrainingFile != file.ID || m.Grader.Reference != "{{item.answer}}" || m.Hyperparameters.BatchSize.OfInt != 4 || m.Hyperparameters.NEpochs.OfAuto != "auto" ||
		job.CreatedAt == 0 || job.Metadata["who"] != "me" || job.Hyperparameters.BatchSize.OfInt != 4 || job.FinishedAt != 0 {
		t.Errorf("got %s", job.RawJSON())
	}
	jobs := &c.FineTuning.Jobs
	job, err = jobs.Pause(ctx, job.ID)
	wantStatus(t, job, err, "paused")
	job, err = jobs.Resume(ctx, job.ID)
	wantStatus(t, job, err, "running")
	tuner.note(t, job.ID, openai.TuneNote{Type: openai.TuneMetrics, Step: 1, Metrics: map[string]float64{"train_reward_mean": 0.25}})
	tuner.note(t, job.ID, openai.TuneNote{Type: openai.TuneCheckpoint, Step: 2, Model: "fake@v2", Metrics: map[string]float64{"train_loss": 0.5}})
	checkpoints, err := jobs.Checkpoints.List(ctx, job.ID, sdk.FineTuningJobCheckpointListParams{})
	if err != nil || len(checkpoints.Data) != 1 || checkpoints.Data[0].FineTunedModelCheckpoint != "fake@v2" || checkpoints.Data[0].StepNumber != 2 || checkpoints.Data[0].Metrics.TrainLoss != 0.5 || checkpoints.Data[0].Metrics.Step != 2 {
		t.Errorf("got %+v, %v", checkpoints, err)
	}
	end, model := int64(1_800_000_000), "fake@v2"
	err = tuner.change(ctx, job.ID, func(j *openai.FineTuneJob) {
		j.Status, j.FinishedAt, j.FineTunedModel, j.TrainedTokens = openai.TuneSucceeded, &end, &model, &end
	})
	if err != nil {
		t.Fatal(err)
	}
	job, err = jobs.Get(ctx, job.ID)
	wantStatus(t, job, err, "succeeded")
	if job.FineTunedModel != model || job.FinishedAt != end {
		t.Errorf("got %s", job.RawJSON())
	}
	if _, err := jobs.Cancel(ctx, job.ID); codeOf(err) != "409 invalid_job_state" {
		t.Errorf("cancelling a job that is over: %v", err)
	}
}

// note writes an event as the real Tuner does.
func (u *scriptedTuner) note(t *testing.T, id string, n openai.TuneNote) {
	t.Helper()
	if err := u.store.Log(t.Context(), feedback.Event{Subject: JobSubject(id), Level: "info", Message: fmt.Sprint("step ", n.Step), Data: openai.Encode(n)}); err != nil {
		t.Fatal(err)
	}
}

// codeOf is the status and code of an error of the official client.
func codeOf(err error) string {
	var e *sdk.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(e.StatusCode, " ", e.Code)
}

// Lists come in pages, newest first, each entry once.
func TestOfficialClientPages(t *testing.T) {
	h, tuner := tuning(t, setup{})
	c, ctx := h.sdk("any"), t.Context()
	file := upload(t, c, prompts)
	jobs := &c.FineTuning.Jobs
	made := map[string]int{}
	var job *sdk.FineTuningJob
	for i := range 5 {
		p := reinforced(file.ID)
		p.Metadata["number"] = fmt.Sprint(i % 2)
		var err error
		job, err = jobs.New(ctx, p)
		wantStatus(t, job, err, "queued")
		made[job.ID] = i % 2
	}
	seen := 0
	for all := jobs.ListAutoPaging(ctx, sdk.FineTuningJobListParams{Limit: sdk.Int(2), Metadata: map[string]string{"number": "0"}}); all.Next(); seen++ {
		if n, ok := made[all.Current().ID]; !ok || n != 0 {
			t.Errorf("listed %s, which is another or was listed before", all.Current().ID)
		}
		delete(made, all.Current().ID)
	}
	if seen != 3 {
		t.Errorf("%d jobs are listed; want 3", seen)
	}
	for step := range int64(7) {
		tuner.note(t, job.ID, openai.TuneNote{Type: openai.TuneMetrics, Step: step + 1, Metrics: map[string]float64{"train_loss": 1}})
	}
	var messages []string
	for all := jobs.ListEventsAutoPaging(ctx, job.ID, sdk.FineTuningJobListEventsParams{Limit: sdk.Int(3)}); all.Next(); {
		messages = append(messages, all.Current().Message)
	}
	if got, want := strings.Join(messages, ","), "step 7,step 6,step 5,step 4,step 3,step 2,step 1,Created fine-tuning job: "+job.ID; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}

// A job with more events than are read at one time shows its newest.
func TestJobWithManyEvents(t *testing.T) {
	h, tuner := tuning(t, setup{})
	c := h.sdk("any")
	job, err := c.FineTuning.Jobs.New(t.Context(), reinforced(upload(t, c, prompts).ID))
	wantStatus(t, job, err, "queued")
	var done sync.WaitGroup
	for range eventsAtOnce + 50 { // beside each other, so that they are stored in a few commits
		done.Go(func() {
			if err := tuner.store.Log(context.Background(), feedback.Event{Subject: JobSubject(job.ID), Level: "info", Message: "more"}); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	tuner.note(t, job.ID, openai.TuneNote{Type: openai.TuneCheckpoint, Step: 9, Model: "fake@v9"})
	events, err := c.FineTuning.Jobs.ListEvents(t.Context(), job.ID, sdk.FineTuningJobListEventsParams{Limit: sdk.Int(100)})
	if err != nil || len(events.Data) != 100 || events.Data[0].Message != "step 9" || events.Data[1].Message != "more" || !events.HasMore {
		t.Errorf("got %d events, %v", len(events.Data), err)
	}
	checkpoints, err := c.FineTuning.Jobs.Checkpoints.List(t.Context(), job.ID, sdk.FineTuningJobCheckpointListParams{})
	if err != nil || len(checkpoints.Data) != 1 || checkpoints.HasMore {
		t.Errorf("got %+v, %v", checkpoints, err)
	}
}

// What a file holds is checked by its job, which says the line.
func TestJobWithWrongFileFails(t *testing.T) {
	h, _ := tuning(t, setup{})
	c := h.sdk("any")
	job, err := c.FineTuning.Jobs.New(t.Context(), reinforced(upload(t, c, prompts+`{"answer":"7"}`).ID))
	wantStatus(t, job, err, "failed")
	if job.Error.Code != "invalid_file" || job.Error.Param != "training_file" || !strings.Contains(job.Error.Message, "line 3") {
		t.Errorf("got %+v", job.Error)
	}
	if _, err := c.FineTuning.Jobs.Resume(t.Context(), job.ID); codeOf(err) != "409 invalid_job_state" {
		t.Errorf("got %v", err)
	}
}

// A job that the Tuner does not take is failed, and the client learns why if it is for clients.
func TestTunerRefuses(t *testing.T) {
	h, tuner := tuning(t, setup{})
	c := h.sdk("any")
	file := upload(t, c, prompts)
	for i, refuse := range []error{openai.RateLimited("Too many jobs wait."), errors.New("/secret/path is missing")} {
		tuner.refuse = refuse
		_, err := c.FineTuning.Jobs.New(t.Context(), reinforced(file.ID))
		if want := []string{"429 rate_limit_exceeded", "500 internal_error"}[i]; codeOf(err) != want || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("got %v; want %s", err, want)
		}
		jobs, err := c.FineTuning.Jobs.List(t.Context(), sdk.FineTuningJobListParams{})
		if err != nil || len(jobs.Data) != i+1 || jobs.Data[0].Status != "failed" || jobs.Data[0].Error.Message == "" {
			t.Errorf("got %+v, %v", jobs, err)
		}
	}
}

func TestJobsRefuse(t *testing.T) {
	h, tuner := tuning(t, setup{})
	file := upload(t, h.sdk("any"), prompts).ID
	plain := decode[openai.FileObject](t, h.send(t, "POST", "/v1/files", formOf("user_data", "notes", "hi"), "Content-Type", formType)).ID
	body := func(training, method string) string {
		return `{"model":"fake","training_file":"` + training + `","method":` + method + `}`
	}
	graded := func(grader string) string {
		return body(file, `{"type":"reinforcement","reinforcement":{"grader":`+grader+`}}`)
	}
	const supervised, grader = `{"type":"supervised"}`, "method.reinforcement.grader"
	for _, c := range []struct {
		body, param, code string
		status            int
	}{
		{body("file-none", supervised), "training_file", "file_not_found", 404}, {body(plain, supervised), "training_file", "wrong_purpose", 400}, {body(file, `{"type":"dpo"}`), "method.type", "unsupported_parameter", 400},
		{`{"model":"fake","training_file":"` + file + `","validation_file":"` + plain + `"}`, "validation_file", "wrong_purpose", 400}, {`{"model":"fake","training_file":"` + file + `","validation_file":"x"}`, "validation_file", "file_not_found", 404},
		{`{"model":"fake@v1","training_file":"` + file + `"}`, "model", "model_not_found", 404}, {graded(`{"type":"python","source":"def grade(sample, item): return 1"}`), grader, "unsupported_grader", 400},
		{graded(`{"type":"http","url":"http://localhost/"}`), grader, "grader_url_refused", 400}, {graded(`{"type":"string_check"}`), grader, "invalid_grader", 400}, {graded(`{}`), grader, "invalid_grader", 400},
		{graded(`{"type":"score_model","model":"x"}`), grader, "unsupported_grader", 400},
	} {
		got := h.send(t, "POST", "/v1/fine_tuning/jobs", c.body)
		got.wantError(t, c.status, c.code)
		if !strings.Contains(string(got.body), `"param":"`+c.param+`"`) {
			t.Errorf("%s: got %s; want it to be about %s", c.body, got.body, c.param)
		}
	}
	if len(tuner.asked) != 0 {
		t.Errorf("the tuner was asked for %v", tuner.asked)
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "after=ftjob-none"} {
		h.send(t, "GET", "/v1/fine_tuning/jobs?"+query, "").wantError(t, 400, "invalid_value")
	}
	for id, want := range map[string]string{"ftevent-12": "job_not_found", "ftevent-0": "invalid_value", "ftevent-+1": "invalid_value", "ftckpt_1": "invalid_value",
		"ftevent-01": "invalid_value", "ftevent-1234567890123456789": "invalid_value"} {
		h.send(t, "GET", "/v1/fine_tuning/jobs/ftjob-none/events?after="+url.QueryEscape(id), "").wantError(t, map[bool]int{true: 404, false: 400}[want == "job_not_found"], want)
	}
	for _, call := range []string{"GET ", "GET /events", "GET /checkpoints", "POST /cancel", "POST /pause", "POST /resume"} {
		method, rest, _ := strings.Cut(call, " ")
		h.send(t, method, "/v1/fine_tuning/jobs/ftjob-none"+rest, "").wantError(t, 404, "job_not_found")
	}
}

// Another tenant sees nothing of files and jobs, and each right needs its scope.
func TestFilesAndJobsStayWithTheirTenant(t *testing.T) {
	keys, secrets := map[string]auth.Key{}, map[string]string{}
	for name, k := range map[string]auth.Key{"mine": {Tenant: "a", Scopes: auth.Feedback | auth.Admin}, "reader": {Tenant: "a", Scopes: auth.Feedback}, "admin": {Tenant: "a", Scopes: auth.Admin}, "other": {Tenant: "b", Scopes: auth.AllScopes}} {
		keys[name], secrets[name] = newKey(t, k)
	}
	h, _ := tuning(t, setup{config: func(c *Config) {
		c.Access.Keys = []auth.Key{keys["mine"], keys["reader"], keys["admin"], keys["other"]}
	}})
	mine, other, reader, admin, ctx := h.sdk(secrets["mine"]), h.sdk(secrets["other"]), h.sdk(secrets["reader"]), h.sdk(secrets["admin"]), t.Context()
	file := upload(t, mine, prompts)
	job, err := mine.FineTuning.Jobs.New(ctx, reinforced(file.ID))
	wantStatus(t, job, err, "queued")
	first := func(_ any, err error) string { return codeOf(err) }
	for what, got := range map[string]string{
		"file": first(other.Files.Get(ctx, file.ID)), "content": first(other.Files.Content(ctx, file.ID)), "delete": first(other.Files.Delete(ctx, file.ID)), "new": first(other.FineTuning.Jobs.New(ctx, reinforced(file.ID))),
	} {
		if got != "404 file_not_found" {
			t.Errorf("%s: got %s", what, got)
		}
	}
	for what, got := range map[string]string{
		"get": first(other.FineTuning.Jobs.Get(ctx, job.ID)), "cancel": first(other.FineTuning.Jobs.Cancel(ctx, job.ID)), "pause": first(other.FineTuning.Jobs.Pause(ctx, job.ID)),
		"events": first(other.FineTuning.Jobs.ListEvents(ctx, job.ID, sdk.FineTuningJobListEventsParams{})), "checkpoints": first(other.FineTuning.Jobs.Checkpoints.List(ctx, job.ID, sdk.FineTuningJobCheckpointListParams{})),
	} {
		if got != "404 job_not_found" {
			t.Errorf("%s: got %s", what, got)
		}
	}
	files, err := other.Files.List(ctx, sdk.FileListParams{})
	jobs, bad := other.FineTuning.Jobs.List(ctx, sdk.FineTuningJobListParams{})
	if err != nil || bad != nil || len(files.Data)+len(jobs.Data) != 0 {
		t.Errorf("another tenant sees %v and %v; %v, %v", files, jobs, err, bad)
	}
	for what, got := range map[string]string{"new": first(reader.FineTuning.Jobs.New(ctx, reinforced(file.ID))), "cancel": first(reader.FineTuning.Jobs.Cancel(ctx, job.ID)), "files": first(admin.Files.List(ctx, sdk.FileListParams{}))} {
		if got != "403 insufficient_scope" {
			t.Errorf("%s: got %s", what, got)
		}
	}
	got, err := reader.FineTuning.Jobs.Get(ctx, job.ID)
	wantStatus(t, got, err, "queued")
}

// Without a store, or without a Tuner, the routes say what is missing.
func TestTuningIsOff(t *testing.T) {
	const job = `{"model":"fake","training_file":"file-1"}`
	h := start(t, setup{})
	h.send(t, "POST", "/v1/fine_tuning/jobs", job).wantError(t, 404, "fine_tuning_off")
	h.send(t, "GET", "/v1/fine_tuning/jobs", "").wantError(t, 404, "fine_tuning_off")
	h.send(t, "POST", "/v1/fine_tuning/jobs/x/cancel", "").wantError(t, 404, "fine_tuning_off")
	h.send(t, "POST", "/v1/files", formOf("fine-tune", "a", "{}"), "Content-Type", formType).wantError(t, 404, "files_off")
	for _, path := range []string{"/v1/files", "/v1/files/x", "/v1/files/x/content"} {
		h.send(t, "GET", path, "").wantError(t, 404, "files_off")
	}
	reading, _ := tuning(t, setup{config: func(c *Config) { c.Tuner = nil }})
	reading.send(t, "POST", "/v1/fine_tuning/jobs", job).wantError(t, 404, "fine_tuning_off")
	if got := reading.send(t, "GET", "/v1/fine_tuning/jobs", ""); got.status != 200 || string(got.body) != `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// A grader can be tried before a job is made of it.
func TestOfficialClientTriesGraders(t *testing.T) {
	c, ctx := start(t, setup{}).sdk("any"), t.Context()
	try := func(sample, reference string) *sdk.FineTuningAlphaGraderRunResponse {
		grader := *sameAnswer
		grader.Reference = reference
		got, err := c.FineTuning.Alpha.Graders.Run(ctx, sdk.FineTuningAlphaGraderRunParams{Grader: sdk.FineTuningAlphaGraderRunParamsGraderUnion{OfStringCheck: &grader}, ModelSample: sample,
			Item: map[string]any{"answer": 4, "about": map[string]any{"unit": "m"}}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for sample, want := range map[string]float64{"4": 1, "5": 0} {
		if got := try(sample, "{{item.answer}}"); got.Reward != want || got.Metadata.Name != "same" || got.Metadata.Type != "string_check" || got.Metadata.Errors.OtherError || got.Metadata.Scores["same"] != want {
			t.Errorf("%s: got %s", sample, got.RawJSON())
		}
	}
	if got := try("4 m", "{{item.answer}} {{ item.about.unit }}"); got.Reward != 1 {
		t.Errorf("an answer of two fields: got %s", got.RawJSON())
	}
	if got := try("4", "{{item.label}}"); got.Reward != 0 || !got.Metadata.Errors.OtherError || !strings.Contains(got.RawJSON(), `"other_error_details":"the item has no field`) {
		t.Errorf("a field that there is not: got %s", got.RawJSON())
	}
	valid, err := c.FineTuning.Alpha.Graders.Validate(ctx, sdk.FineTuningAlphaGraderValidateParams{Grader: sdk.FineTuningAlphaGraderValidateParamsGraderUnion{OfStringCheckGrader: sameAnswer}})
	if err != nil || valid.Grader.Operation != "eq" {
		t.Errorf("got %+v, %v", valid, err)
	}
	python := &sdk.PythonGraderParam{Name: "p", Source: "def grade(sample, item): return 1"}
	if _, err := c.FineTuning.Alpha.Graders.Validate(ctx, sdk.FineTuningAlphaGraderValidateParams{Grader: sdk.FineTuningAlphaGraderValidateParamsGraderUnion{OfPythonGrader: python}}); codeOf(err) != "400 unsupported_grader" {
		t.Errorf("got %v", err)
	}
}

// readAll reads a body.
func readAll(t *testing.T, body io.ReadCloser) string {
	t.Helper()
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
