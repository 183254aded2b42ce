package openai

import "encoding/json"

// Limits of feedback.
const (
	MaxCompletionIDBytes = 128
	MaxRaterBytes        = 128      // and of an idempotency key
	MaxAnswerBytes       = 64 << 10 // a known answer
	MaxTaskBytes         = 256      // the name of an RL task
	MinSessionKeyBytes   = 16       // a key that a client brings for a session
	MaxSessionKeyBytes   = 256
	MaxGraphTextBytes    = 256 << 10
	MaxGraphProblemBytes = 16 << 10
)

// FeedbackRequest is a decoded and validated body of POST /v1/feedback.
type FeedbackRequest struct {
	CompletionID string
	Choice       int
	Reward       *float64        // -1 to 1, a verdict's too; nil = Grader says
	Grader       json.RawMessage // an object or a name; nil = Reward says
	Answer       string          // for a grader; "" = none
	Rater        string          // "" = the key
	Idempotency  string          // "" = none
	Supersede    bool
	Metadata     map[string]string // nil = none
}

// DecodeFeedbackRequest reads and validates a body; an unknown parameter is an error, since a misspelt one would be lost.
func DecodeFeedbackRequest(body []byte) (*FeedbackRequest, *Error) {
	q := &FeedbackRequest{}
	verdicts := 0 // how many of reward, verdict and grader are there
	err := readStrict(body, anyOf(map[string]func(r *reader){
		"completion_id": func(r *reader) { q.CompletionID = readName(r, MaxCompletionIDBytes) },
		"choice":        func(r *reader) { q.Choice = int(r.integer(0, MaxChoices-1)) },
		"reward":        func(r *reader) { q.Reward, verdicts = readReward(r), verdicts+1 },
		"verdict": func(r *reader) {
			value := -1.0
			if readWord(r, "correct", "incorrect") == "correct" {
				value = 1
			}
			q.Reward, verdicts = &value, verdicts+1
		},
		"grader":          func(r *reader) { q.Grader, verdicts = readGraderOrName(r), verdicts+1 },
		"answer":          func(r *reader) { q.Answer = r.text(MaxAnswerBytes) },
		"rater":           func(r *reader) { q.Rater = readName(r, MaxRaterBytes) },
		"idempotency_key": func(r *reader) { q.Idempotency = readName(r, MaxRaterBytes) },
		"supersede":       func(r *reader) { q.Supersede = r.boolean() },
		"metadata":        func(r *reader) { q.Metadata = readMetadata(r) },
	}))
	switch {
	case err != nil:
	case q.CompletionID == "":
		err = missing("completion_id")
	case verdicts == 0:
		err = missing("reward")
	case verdicts > 1:
		err = Invalid("reward", "invalid_value", "Send exactly one of 'reward', 'verdict' and 'grader'.")
	case q.Answer != "" && q.Grader == nil:
		err = Invalid("answer", "invalid_value", "Invalid 'answer': it is only allowed with 'grader'.")
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// anyOf reads one of some members.
func anyOf(members map[string]func(r *reader)) func(r *reader, key string) bool {
	return func(r *reader, key string) bool {
		read, known := members[key]
		if known {
			read(r)
		}
		return known
	}
}

func readReward(r *reader) *float64 {
	v := r.decimal(-1, 1)
	return &v
}

// readName reads a string that is not empty.
func readName(r *reader, maxBytes int) string {
	s := r.text(maxBytes)
	if s == "" {
		r.fail("string_below_min_length", "Invalid '%s': it cannot be empty.", r.param())
	}
	return s
}

// readGraderOrName takes an object or a name as it is: training/reward knows graders.
func readGraderOrName(r *reader) json.RawMessage {
	if k := r.kind(); k != '{' && k != '"' {
		r.wrongType("an object or a name")
		return nil
	}
	text := r.raw()
	if len(text) > MaxGraderBytes {
		r.fail("string_above_max_length", "Invalid '%s': it has more than %d bytes.", r.param(), MaxGraderBytes)
	}
	return json.RawMessage(text)
}

// FeedbackAnswer is what is stored of a feedback.
type FeedbackAnswer struct {
	ID           string          `json:"id"`
	Object       string          `json:"object"` // "feedback"
	CompletionID string          `json:"completion_id"`
	Choice       int             `json:"choice"`
	Reward       float64         `json:"reward"`
	Rater        string          `json:"rater"`
	Source       string          `json:"source"` // app, verifier or session
	Grader       string          `json:"grader,omitempty"`
	Evidence     string          `json:"evidence,omitempty"` // the grader's reason
	Metadata     json.RawMessage `json:"metadata,omitempty"`
	Superseded   bool            `json:"superseded,omitempty"`
	Created      int64           `json:"created"` // Unix seconds
	Duplicate    bool            `json:"duplicate"`
}

// StoredCompletion is the body of GET /v1/completions/{id}.
type StoredCompletion struct {
	ID       string           `json:"id"`
	Object   string           `json:"object"` // "stored_completion"
	Created  int64            `json:"created"`
	Model    string           `json:"model"`
	State    string           `json:"state"` // complete, or aborted if any choice is
	Metadata json.RawMessage  `json:"metadata,omitempty"`
	Choices  []StoredChoice   `json:"choices"`
	Feedback []FeedbackAnswer `json:"feedback"`
}

// StoredChoice is one choice of a StoredCompletion.
type StoredChoice struct {
	Index          int           `json:"index"`
	FinishReason   *string       `json:"finish_reason"` // null of one that was aborted
	PromptTokenIDs []int32       `json:"prompt_token_ids"`
	TokenIDs       []int32       `json:"token_ids"`
	Logprobs       []Logprob     `json:"logprobs"` // under the raw logits
	Versions       []VersionSpan `json:"versions"`
	PromptText     *string       `json:"prompt_text,omitempty"`
	OutputText     *string       `json:"output_text,omitempty"`
}

// ObjectList is a list of any objects.
type ObjectList struct {
	Object string `json:"object"` // "list"
	Data   []any  `json:"data"`
}

// DecodeCanaryRequest reads {"percent": 0 to 100}.
func DecodeCanaryRequest(body []byte) (percent int, err *Error) {
	given := false
	err = readStrict(body, anyOf(map[string]func(r *reader){"percent": func(r *reader) { percent, given = int(r.integer(0, 100)), true }}))
	if err == nil && !given {
		err = missing("percent")
	}
	return percent, err
}

// GraphRequest is a decoded body of POST /reasoning/graph.
type GraphRequest struct {
	Text    string
	Problem string // that it answers; "" = not given
	DOT     bool
}

// DecodeGraphRequest reads {"text": "...", "problem": "...", "format": "json" | "dot"}.
func DecodeGraphRequest(body []byte) (q GraphRequest, err *Error) {
	err = readStrict(body, anyOf(map[string]func(r *reader){
		"text":    func(r *reader) { q.Text = readName(r, MaxGraphTextBytes) },
		"problem": func(r *reader) { q.Problem = r.text(MaxGraphProblemBytes) },
		"format":  func(r *reader) { q.DOT = readWord(r, "json", "dot") == "dot" },
	}))
	if err == nil && q.Text == "" {
		err = missing("text")
	}
	return q, err
}

// SessionRequest is a decoded body of POST /rl/start_session.
type SessionRequest struct {
	TaskID string
	APIKey string // that the client brings; "" = the server makes one
}

// DecodeSessionRequest reads {"task_id": "...", "api_key": "..."}.
func DecodeSessionRequest(body []byte) (q SessionRequest, err *Error) {
	err = readStrict(body, anyOf(map[string]func(r *reader){
		"task_id": func(r *reader) { q.TaskID = readName(r, MaxTaskBytes) },
		"api_key": func(r *reader) {
			if q.APIKey = r.text(MaxSessionKeyBytes); !validSessionKey(q.APIKey) {
				r.fail("invalid_value", "Invalid 'api_key': expected %d to %d letters, digits and other printable characters without spaces.",
					MinSessionKeyBytes, MaxSessionKeyBytes)
			}
		},
	}))
	if err == nil && q.TaskID == "" {
		err = missing("task_id")
	}
	return q, err
}

// validSessionKey says whether a text can stand in a header as a key.
func validSessionKey(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return len(key) >= MinSessionKeyBytes
}

// SessionAnswer is the answer to a SessionRequest, and to the end of a session.
type SessionAnswer struct {
	SessionID string `json:"session_id"`
	APIKey    string `json:"api_key,omitempty"`
	ExpiresAt int64  `json:"expires_at,omitempty"` // Unix seconds
	Ended     bool   `json:"ended,omitempty"`
}

// RewardRequest is a decoded body of POST /rl/set_reward.
type RewardRequest struct {
	Reward      float64
	Interaction string // id of a completion; "" = the session's last one
}

// DecodeRewardRequest reads {"reward": -1 to 1, "interaction_id": "..."}.
func DecodeRewardRequest(body []byte) (q RewardRequest, err *Error) {
	given := false
	err = readStrict(body, anyOf(map[string]func(r *reader){
		"reward":         func(r *reader) { q.Reward, given = r.decimal(-1, 1), true },
		"interaction_id": func(r *reader) { q.Interaction = readName(r, MaxCompletionIDBytes) },
	}))
	if err == nil && !given {
		err = missing("reward")
	}
	return q, err
}
