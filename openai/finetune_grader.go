package openai

import "encoding/json"

// GraderRequest is a decoded body of POST /v1/fine_tuning/alpha/graders/run or /validate. The grader is an object and not checked further.
type GraderRequest struct {
	Grader json.RawMessage
	Sample string          // that is graded
	Item   json.RawMessage // an object; nil = not given
}

// DecodeGraderRun reads and validates a body that has a sample.
func DecodeGraderRun(body []byte) (*GraderRequest, *Error) {
	q, sampled := &GraderRequest{}, false
	err := readStrict(body, func(r *reader, key string) bool {
		switch key {
		case "grader":
			q.Grader = readTuneGrader(r)
		case "model_sample":
			q.Sample, sampled = r.text(MaxSampleBytes), true
		case "item":
			q.Item = readWhole(r, MaxSampleBytes)
		default:
			return false
		}
		return true
	})
	if err == nil && !sampled {
		err = missing("model_sample")
	}
	return q.orMissing(err)
}

// DecodeGraderValidate reads a body that has a grader alone.
func DecodeGraderValidate(body []byte) (*GraderRequest, *Error) {
	q := &GraderRequest{}
	err := readStrict(body, func(r *reader, key string) bool {
		if key != "grader" {
			return false
		}
		q.Grader = readTuneGrader(r)
		return true
	})
	return q.orMissing(err)
}

func (q *GraderRequest) orMissing(err *Error) (*GraderRequest, *Error) {
	if err == nil && q.Grader == nil {
		err = missing("grader")
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// GraderValid is the answer to /validate.
type GraderValid struct {
	Grader json.RawMessage `json:"grader"`
}

// GraderRun is the answer to /run.
type GraderRun struct {
	Reward     float64            `json:"reward"`
	Metadata   GraderRunDetails   `json:"metadata"`
	SubRewards map[string]float64 `json:"sub_rewards"`
	Usage      map[string]any     `json:"model_grader_token_usage_per_model"` // empty: no grader here is a model
}

// NewGraderRun is the answer of a grader that ran.
func NewGraderRun(grader json.RawMessage, reward, seconds float64) GraderRun {
	var named struct{ Name, Type string }
	_ = json.Unmarshal(grader, &named) // it was decoded before; a name of another kind stays empty
	scores := map[string]float64{}
	if named.Name != "" {
		scores[named.Name] = reward
	}
	return GraderRun{Reward: reward, SubRewards: map[string]float64{}, Usage: map[string]any{},
		Metadata: GraderRunDetails{Name: named.Name, Type: named.Type, ExecutionTime: seconds, Scores: scores}}
}

// Fail makes it the answer of a grader that gave no score, and says why.
func (r *GraderRun) Fail(why string) {
	r.Reward, r.Metadata.Scores = 0, map[string]float64{}
	r.Metadata.Errors.Other, r.Metadata.Errors.OtherDetails = true, &why
}

// GraderRunDetails say how a grader ran.
type GraderRunDetails struct {
	Name          string             `json:"name"`
	Type          string             `json:"type"`
	Errors        GraderErrors       `json:"errors"`
	ExecutionTime float64            `json:"execution_time"` // seconds
	Scores        map[string]float64 `json:"scores"`
	TokenUsage    *int64             `json:"token_usage"`
	SampledModel  *string            `json:"sampled_model_name"`
}

// GraderErrors are the kinds of failure that the OpenAI API knows. Here a grader that is wrong is refused before it runs, so that
// one is left.
type GraderErrors struct {
	FormulaParse             bool    `json:"formula_parse_error"`
	SampleParse              bool    `json:"sample_parse_error"`
	TruncatedObservation     bool    `json:"truncated_observation_error"`
	UnresponsiveReward       bool    `json:"unresponsive_reward_error"`
	InvalidVariable          bool    `json:"invalid_variable_error"`
	Other                    bool    `json:"other_error"`
	OtherDetails             *string `json:"other_error_details"` // not OpenAI's: why
	PythonServer             bool    `json:"python_grader_server_error"`
	PythonServerType         *string `json:"python_grader_server_error_type"`
	PythonRuntime            bool    `json:"python_grader_runtime_error"`
	PythonRuntimeDetails     *string `json:"python_grader_runtime_error_details"`
	ModelGraderServer        bool    `json:"model_grader_server_error"`
	ModelGraderRefusal       bool    `json:"model_grader_refusal_error"`
	ModelGraderParse         bool    `json:"model_grader_parse_error"`
	ModelGraderServerDetails *string `json:"model_grader_server_error_details"`
}
