package openai

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// TuneState is the status of a fine-tuning job.
type TuneState string

// The states. A job begins with its files being validated and ends in one of the last three.
const (
	TuneValidating TuneState = "validating_files"
	TuneQueued     TuneState = "queued"
	TuneRunning    TuneState = "running"
	TunePaused     TuneState = "paused"
	TuneSucceeded  TuneState = "succeeded"
	TuneFailed     TuneState = "failed"
	TuneCancelled  TuneState = "cancelled"
)

// Final says that nothing happens to the job any more.
func (s TuneState) Final() bool { return s == TuneSucceeded || s == TuneFailed || s == TuneCancelled }

// What a client may do to a job.
const (
	TuneCancel = "cancel"
	TunePause  = "pause"
	TuneResume = "resume"
)

// tuneMoves are the states in which each action is allowed.
var tuneMoves = map[string][]TuneState{
	TuneCancel: {TuneValidating, TuneQueued, TuneRunning, TunePaused},
	TunePause:  {TuneValidating, TuneQueued, TuneRunning},
	TuneResume: {TunePaused},
}

// Allows says whether a job in this state can be cancelled, paused or resumed.
func (s TuneState) Allows(action string) bool { return slices.Contains(tuneMoves[action], s) }

// Kinds of fine-tuning.
const (
	TuneSupervised    = "supervised"
	TuneReinforcement = "reinforcement"
)

// FineTuneJob is the object of the API, and the body of a job in the store: whoever runs the job updates it there. Status, id and
// creation of an answer are those of the store's row.
type FineTuneJob struct {
	ID              string                `json:"id"`
	Object          string                `json:"object"` // "fine_tuning.job"
	Model           string                `json:"model"`
	CreatedAt       int64                 `json:"created_at"`       // Unix seconds, like the others
	FinishedAt      *int64                `json:"finished_at"`      // null until Status is final
	EstimatedFinish *int64                `json:"estimated_finish"` // null = not known
	FineTunedModel  *string               `json:"fine_tuned_model"` // "name@v12"; null until it succeeded
	OrganizationID  string                `json:"organization_id"`  // the tenant
	ResultFiles     []string              `json:"result_files"`     // ids
	Status          TuneState             `json:"status"`
	TrainedTokens   *int64                `json:"trained_tokens"`
	TrainingFile    string                `json:"training_file"`
	ValidationFile  *string               `json:"validation_file"`
	Hyperparameters CommonHyperparameters `json:"hyperparameters"` // of Method, in the older place
	Integrations    []struct{}            `json:"integrations"`    // none
	Seed            int64                 `json:"seed"`
	Method          TuneMethod            `json:"method"`
	Metadata        map[string]string     `json:"metadata"`
	Suffix          *string               `json:"user_provided_suffix"`
	Error           *TuneFailure          `json:"error"` // null unless it failed
}

// TuneJob is a job on its way to whoever runs it.
type TuneJob struct {
	Tenant string // whose files it uses
	FineTuneJob
}

// TuneFailure says why a job failed.
type TuneFailure struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"` // "training_file" or "validation_file", where it is about a file
}

// NewTuneFailure is that of an Error; param names what it is about, "" = nothing of the request.
func NewTuneFailure(err *Error, param string) *TuneFailure {
	return &TuneFailure{Code: err.Code, Message: err.Message, Param: orNull(param)}
}

// TuneMethod says how a job learns. One of the two is there.
type TuneMethod struct {
	Type          string               `json:"type"` // TuneSupervised or TuneReinforcement
	Supervised    *SupervisedMethod    `json:"supervised,omitempty"`
	Reinforcement *ReinforcementMethod `json:"reinforcement,omitempty"`
}

// SupervisedMethod imitates answers.
type SupervisedMethod struct {
	Hyperparameters CommonHyperparameters `json:"hyperparameters"`
}

// ReinforcementMethod learns from what a grader says of sampled answers.
type ReinforcementMethod struct {
	Grader          json.RawMessage              `json:"grader"` // as it was sent
	Hyperparameters ReinforcementHyperparameters `json:"hyperparameters"`
}

// CommonHyperparameters are those of every method.
type CommonHyperparameters struct {
	BatchSize              TuneNumber `json:"batch_size"`               // examples of an update
	LearningRateMultiplier TuneNumber `json:"learning_rate_multiplier"` // of the server's own rate
	NEpochs                TuneNumber `json:"n_epochs"`                 // times that the file is gone through
}

// ReinforcementHyperparameters are those of reinforcement.
type ReinforcementHyperparameters struct {
	CommonHyperparameters
	EvalInterval      TuneNumber `json:"eval_interval"`      // updates between two evaluations
	EvalSamples       TuneNumber `json:"eval_samples"`       // answers to each example of the validation file
	ComputeMultiplier TuneNumber `json:"compute_multiplier"` // of the answers that are sampled for each example
	ReasoningEffort   string     `json:"reasoning_effort"`   // "default"
}

// Common are the hyperparameters that the job's method has whatever it is.
func (m *TuneMethod) Common() CommonHyperparameters {
	if m.Type == TuneReinforcement {
		return m.Reinforcement.Hyperparameters.CommonHyperparameters
	}
	return m.Supervised.Hyperparameters
}

// TuneNumber is a number, or "auto": whoever runs the job chooses. The zero value is auto.
type TuneNumber struct {
	given bool
	value float64
}

// TuneValue is a given number.
func TuneValue(v float64) TuneNumber { return TuneNumber{true, v} }

// Or is the number, or what stands for auto.
func (n TuneNumber) Or(auto float64) float64 {
	if n.given {
		return n.value
	}
	return auto
}

// MarshalJSON writes the number or "auto".
func (n TuneNumber) MarshalJSON() ([]byte, error) {
	if n.given {
		return json.Marshal(n.value)
	}
	return []byte(`"auto"`), nil
}

// UnmarshalJSON reads both, and null as auto.
func (n *TuneNumber) UnmarshalJSON(data []byte) error {
	*n = TuneNumber{}
	if text := string(data); text == `"auto"` || text == "null" {
		return nil
	}
	if err := json.Unmarshal(data, &n.value); err != nil {
		return fmt.Errorf("openai: read a hyperparameter %.40q: want a number or \"auto\"", data)
	}
	n.given = true
	return nil
}

// Kinds of what happens to a job.
const (
	TuneMessage    = "message"
	TuneMetrics    = "metrics"
	TuneCheckpoint = "checkpoint"
)

// TuneNote is the data of a job's event in the store; that the event is about a job, its message and its level are the store's.
type TuneNote struct {
	Type    string             `json:"type"`                                  // TuneMessage, TuneMetrics or TuneCheckpoint
	Step    int64              `json:"step_number,omitempty"`                 // updates so far; of metrics and checkpoints
	Model   string             `json:"fine_tuned_model_checkpoint,omitempty"` // "name@v12"; of checkpoints
	Metrics map[string]float64 `json:"metrics,omitempty"`                     // finite; of metrics and checkpoints: train_loss, valid_loss, train_reward_mean, ...
}

// FineTuneEvent is an entry of a job's /events.
type FineTuneEvent struct {
	ID        string `json:"id"`
	Object    string `json:"object"` // "fine_tuning.job.event"
	CreatedAt int64  `json:"created_at"`
	Level     string `json:"level"` // info, warn or error
	Message   string `json:"message"`
	Type      string `json:"type"` // TuneMessage or TuneMetrics
	Data      any    `json:"data"` // the metrics with their step; null = none
}

// FineTuneCheckpoint is an entry of a job's /checkpoints.
type FineTuneCheckpoint struct {
	ID        string             `json:"id"`
	Object    string             `json:"object"` // "fine_tuning.job.checkpoint"
	CreatedAt int64              `json:"created_at"`
	Model     string             `json:"fine_tuned_model_checkpoint"`
	JobID     string             `json:"fine_tuning_job_id"`
	Step      int64              `json:"step_number"`
	Metrics   map[string]float64 `json:"metrics"` // and "step"
}

// EventData is what an event shows of a note.
func (n *TuneNote) EventData() any {
	if n.Type == TuneMessage {
		return nil
	}
	return n.WithStep()
}

// WithStep are the metrics with their step among them.
func (n *TuneNote) WithStep() map[string]float64 {
	all := map[string]float64{"step": float64(n.Step)}
	maps.Copy(all, n.Metrics)
	return all
}
