package openai

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const graderJSON = `{"type":"string_check","name":"same","operation":"eq","input":"{{sample.output_text}}","reference":"{{item.answer}}"}`

// tuneBody is a good request with members added.
func tuneBody(extra string) string { return `{"model":"m","training_file":"file-1"` + extra + `}` }

func tuneRequest(t *testing.T, extra string) *TuneRequest {
	t.Helper()
	q, err := DecodeTuneRequest([]byte(tuneBody(extra)))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// A request becomes a job that says everything that was asked for, and comes back from its JSON as it was.
func TestTuneRequestBecomesJob(t *testing.T) {
	q := tuneRequest(t, `,"validation_file":"file-2","suffix":"my.run","seed":7,"metadata":{"who":"me"},"integrations":[],"method":{"type":"reinforcement","dpo":null,"reinforcement":{"grader":`+graderJSON+
		`,"hyperparameters":{"batch_size":8,"n_epochs":"auto","learning_rate_multiplier":0.5,"eval_interval":10,"eval_samples":2,"compute_multiplier":2.5,"reasoning_effort":"default"}}}`)
	job := q.Job("ftjob-1", "acme", 99)
	h := job.Method.Reinforcement.Hyperparameters
	if job.Seed != 7 || *job.ValidationFile != "file-2" || *job.Suffix != "my.run" || job.Metadata["who"] != "me" || job.Status != TuneValidating || string(job.Method.Reinforcement.Grader) != graderJSON ||
		h.BatchSize.Or(1) != 8 || h.NEpochs.Or(3) != 3 || h.LearningRateMultiplier.Or(1) != 0.5 || h.EvalInterval.Or(1) != 10 || h.EvalSamples.Or(1) != 2 || h.ComputeMultiplier.Or(1) != 2.5 {
		t.Errorf("got %+v", job)
	}
	text := Encode(job)
	var again FineTuneJob
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(job, again) {
		t.Errorf("%s became %+v, %v", text, again, err)
	}
	for _, want := range []string{`"object":"fine_tuning.job"`, `"hyperparameters":{"batch_size":8,"learning_rate_multiplier":0.5,"n_epochs":"auto"}`, `"result_files":[]`, `"error":null`, `"finished_at":null`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

// Without a method a job is supervised, and takes hyperparameters where they stood before there were methods.
func TestOlderTuneRequest(t *testing.T) {
	q := tuneRequest(t, `,"hyperparameters":{"n_epochs":3,"batch_size":"auto"}`)
	if q.Method.Type != TuneSupervised || q.Method.Common().NEpochs.Or(0) != 3 || q.Method.Common().BatchSize.Or(5) != 5 {
		t.Errorf("got %+v", q.Method)
	}
	if job := tuneRequest(t, "").Job("ftjob-1", "acme", 99); job.Seed != 99 || job.ValidationFile != nil || job.Method.Supervised == nil {
		t.Errorf("got %+v", job)
	}
}

func TestTuneRequestRefuses(t *testing.T) {
	reinforced := func(inside string) string {
		return tuneBody(`,"method":{"type":"reinforcement","reinforcement":{` + inside + `}}`)
	}
	hyper := func(member string) string {
		return reinforced(`"grader":` + graderJSON + `,"hyperparameters":{` + member + `}`)
	}
	const at = "method.reinforcement.hyperparameters."
	for _, c := range []struct{ body, param, code string }{
		{`[]`, "", "invalid_type"}, {`{"model":"m"}`, "training_file", "missing_required_parameter"}, {`{"training_file":"f"}`, "model", "missing_required_parameter"},
		{tuneBody(`,"model":"n"`), "model", "duplicate_parameter"}, {tuneBody(`,"n_epochs":3`), "n_epochs", "unknown_parameter"}, {tuneBody(`,"seed":-1`), "seed", "integer_below_min_value"},
		{tuneBody(`,"suffix":"a/b"`), "suffix", "invalid_value"}, {tuneBody(`,"suffix":"` + strings.Repeat("s", 65) + `"`), "suffix", "string_above_max_length"},
		{tuneBody(`,"integrations":[{"type":"wandb"}]`), "integrations", "unsupported_parameter"}, {tuneBody(`,"method":{}`), "", ""},
		{tuneBody(`,"method":{"type":"dpo"}`), "method.type", "unsupported_parameter"}, {tuneBody(`,"method":{"type":"magic"}`), "method.type", "invalid_value"},
		{tuneBody(`,"method":{"type":"dpo","dpo":{}}`), "method.type", "unsupported_parameter"}, {tuneBody(`,"method":{"dpo":{}}`), "method.dpo", "unsupported_parameter"},
		{tuneBody(`,"method":{"supervised":{}}`), "method.type", "missing_required_parameter"},
		{tuneBody(`,"method":{"type":"reinforcement"}`), "method.reinforcement.grader", "missing_required_parameter"}, {reinforced(``), "method.reinforcement.grader", "missing_required_parameter"},
		{reinforced(`"grader":"math"`), "method.reinforcement.grader", "invalid_type"}, {reinforced(`"grader":{"x":"` + strings.Repeat("x", MaxGraderBytes) + `"}`), "method.reinforcement.grader", "object_above_max_length"},
		{tuneBody(`,"method":{"type":"supervised","reinforcement":{}}`), "method", "invalid_value"},
		{tuneBody(`,"hyperparameters":{},"method":{"type":"supervised","supervised":{}}`), "hyperparameters", "invalid_value"},
		{hyper(`"batch_size":0`), at + "batch_size", "integer_below_min_value"}, {hyper(`"batch_size":257`), at + "batch_size", "integer_above_max_value"}, {hyper(`"batch_size":1.5`), at + "batch_size", "invalid_type"},
		{hyper(`"n_epochs":"many"`), at + "n_epochs", "invalid_value"}, {hyper(`"n_epochs":51`), at + "n_epochs", "integer_above_max_value"}, {hyper(`"learning_rate_multiplier":0`), at + "learning_rate_multiplier", "decimal_below_min_value"},
		{hyper(`"compute_multiplier":11`), at + "compute_multiplier", "decimal_above_max_value"}, {hyper(`"eval_interval":0`), at + "eval_interval", "integer_below_min_value"},
		{hyper(`"eval_samples":true`), at + "eval_samples", "invalid_type"}, {hyper(`"reasoning_effort":"high"`), at + "reasoning_effort", "unsupported_parameter"}, {hyper(`"beta":1`), at + "beta", "unknown_parameter"},
	} {
		q, err := DecodeTuneRequest([]byte(c.body))
		switch {
		case c.code == "" && (err != nil || q.Method.Type != TuneSupervised):
			t.Errorf("%s: got %v", c.body, err)
		case c.code != "" && (err == nil || err.Param != c.param || err.Code != c.code):
			t.Errorf("%.200s: got %+v; want %s about %s", c.body, err, c.code, c.param)
		}
	}
}

// Every parameter that is read has a schema, and the answer has the properties of its schema.
func TestTuneSchemas(t *testing.T) {
	for name := range tuneSchemas() {
		if _, err := DecodeTuneRequest([]byte(`{"` + name + `":3.5}`)); err == nil || !strings.HasPrefix(err.Param, name) {
			t.Errorf("a request does not read %s: %v", name, err)
		}
	}
	for name := range joined(hyperparameterSchemas, reinforcementSchemas) {
		body := tuneBody(`,"method":{"type":"reinforcement","reinforcement":{"grader":{},"hyperparameters":{"` + name + `":[]}}}`)
		if _, err := DecodeTuneRequest([]byte(body)); err == nil || !strings.HasSuffix(err.Param, name) || err.Code == "unknown_parameter" {
			t.Errorf("a method does not read %s: %v", name, err)
		}
	}
	var job map[string]any
	if err := json.Unmarshal(Encode(FineTuneJob{}), &job); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(jobSchema()["properties"].(Object))), slices.Sorted(maps.Keys(job)); !slices.Equal(got, want) {
		t.Errorf("the schema has\n%v; want\n%v", got, want)
	}
}

// What a client may do to a job, by its state.
func TestTuneStates(t *testing.T) {
	for state, want := range map[TuneState]string{TuneValidating: "cancel pause", TuneQueued: "cancel pause", TuneRunning: "cancel pause", TunePaused: "cancel resume", TuneSucceeded: "", TuneFailed: "", TuneCancelled: ""} {
		var can []string
		for _, action := range []string{TuneCancel, TunePause, TuneResume} {
			if state.Allows(action) {
				can = append(can, action)
			}
		}
		if got := strings.Join(can, " "); got != want || state.Final() != (want == "") {
			t.Errorf("%s: may %q, final %t; want %q", state, got, state.Final(), want)
		}
	}
}

func TestTuneNumberRefuses(t *testing.T) {
	for _, text := range []string{`"many"`, `[]`, `true`, `{}`} {
		if err := json.Unmarshal([]byte(text), new(TuneNumber)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestGraderRequests(t *testing.T) {
	q, err := DecodeGraderRun([]byte(`{"grader":` + graderJSON + `,"model_sample":"","item":{"answer":"4"}}`))
	if err != nil || string(q.Grader) != graderJSON || string(q.Item) != `{"answer":"4"}` {
		t.Errorf("got %+v, %v", q, err)
	}
	for _, c := range []struct{ body, param, code string }{
		{`{"grader":{}}`, "model_sample", "missing_required_parameter"}, {`{"model_sample":"x"}`, "grader", "missing_required_parameter"}, {`{"grader":{},"model_sample":7}`, "model_sample", "invalid_type"},
		{`{"grader":{},"model_sample":"x","item":[]}`, "item", "invalid_type"}, {`{"grader":{},"model_sample":"x","reference_answer":"y"}`, "reference_answer", "unknown_parameter"},
	} {
		if _, err := DecodeGraderRun([]byte(c.body)); err == nil || err.Param != c.param || err.Code != c.code {
			t.Errorf("%s: got %+v; want %s about %s", c.body, err, c.code, c.param)
		}
	}
	if _, err := DecodeGraderValidate([]byte(`{"grader":{},"model_sample":"x"}`)); err == nil || err.Code != "unknown_parameter" {
		t.Errorf("got %v", err)
	}
}
