package openai

import "encoding/json"

// Limits of fine-tuning requests, beside those of the OpenAI API.
const (
	MaxGraderBytes        = 16 << 10
	MaxSampleBytes        = 1 << 20 // of an answer that a grader is tried on
	MaxSuffixBytes        = 64
	MaxBatchExamples      = 256
	MaxEpochs             = 50
	maxRateMultiplier     = 1000
	maxComputeMultiplier  = 10
	minMultiplier         = 0.00001
	maxEvalIntervalSteps  = 1 << 20
	maxEvalSamplesPerItem = 1 << 10
	maxTuneSeed           = 1<<31 - 1
)

// TuneRequest is a decoded and validated body of POST /v1/fine_tuning/jobs.
type TuneRequest struct {
	Model          string
	TrainingFile   string // ids of files, not yet looked up
	ValidationFile string // "" = none
	Suffix         string
	Seed           *int64 // nil = the server draws one
	Metadata       map[string]string
	Method         TuneMethod // its grader is an object and not checked further
}

// DecodeTuneRequest reads and validates a body. A job is expensive, so that what is not known is refused.
func DecodeTuneRequest(body []byte) (*TuneRequest, *Error) {
	q := &TuneRequest{}
	var older *CommonHyperparameters
	err := readStrict(body, func(r *reader, key string) bool {
		switch key {
		case "model":
			q.Model = r.text(MaxModelBytes)
		case "training_file":
			q.TrainingFile = r.text(MaxModelBytes)
		case "validation_file":
			q.ValidationFile = r.text(MaxModelBytes)
		case "suffix":
			q.Suffix = readSuffix(r)
		case "seed":
			seed := r.integer(0, maxTuneSeed)
			q.Seed = &seed
		case "metadata":
			q.Metadata = readMetadata(r)
		case "hyperparameters":
			older = &CommonHyperparameters{}
			readMembers(r, older.read)
		case "method":
			readMembers(r, q.Method.read)
		case "integrations":
			readUnsupported(r, "[]")
		default:
			return false
		}
		return true
	})
	if err == nil {
		err = q.finish(older)
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// readStrict walks the top-level object of a request whose every member must be known.
func readStrict(body []byte, own func(r *reader, key string) bool) *Error {
	r := newReader(body)
	if k := r.kind(); r.err == nil && k != '{' {
		r.fail("invalid_type", "Invalid type for the request body: expected an object, but got %s instead.", r.kindName())
	}
	readMembers(r, own)
	r.end()
	return r.err
}

// readMembers walks an object; a null is as if it were not there, what own does not know is refused.
func readMembers(r *reader, own func(r *reader, key string) bool) {
	r.object(func(key string) {
		if !r.null() && !own(r, key) && r.err == nil {
			r.err = UnknownParameter(r.param())
		}
	})
}

// read reads a member of a method.
func (m *TuneMethod) read(r *reader, key string) bool {
	switch key {
	case "type":
		if m.Type = r.text(MaxModelBytes); m.Type == "dpo" {
			r.fail("unsupported_parameter", "Unsupported value for 'method.type': this server has 'supervised' and 'reinforcement'; preferences (dpo) it has not.")
		} else if r.err == nil && m.Type != TuneSupervised && m.Type != TuneReinforcement {
			r.fail("invalid_value", "Invalid value for 'method.type': supported values are 'supervised' and 'reinforcement'.")
		}
	case TuneSupervised:
		m.Supervised = &SupervisedMethod{}
		readMembers(r, m.Supervised.read)
	case TuneReinforcement:
		m.Reinforcement = &ReinforcementMethod{Hyperparameters: ReinforcementHyperparameters{ReasoningEffort: "default"}}
		readMembers(r, m.Reinforcement.read)
	case "dpo":
		readUnsupported(r)
	default:
		return false
	}
	return true
}

func (m *SupervisedMethod) read(r *reader, key string) bool {
	if key != "hyperparameters" {
		return false
	}
	readMembers(r, m.Hyperparameters.read)
	return true
}

func (m *ReinforcementMethod) read(r *reader, key string) bool {
	switch key {
	case "grader":
		m.Grader = readTuneGrader(r)
	case "hyperparameters":
		readMembers(r, m.Hyperparameters.read)
	default:
		return false
	}
	return true
}

// readTuneGrader reads an object; training/reward knows what it may hold.
func readTuneGrader(r *reader) json.RawMessage { return readWhole(r, MaxGraderBytes) }

// readWhole reads any object of at most maxBytes as it stands.
func readWhole(r *reader, maxBytes int) json.RawMessage {
	if r.kind() != '{' {
		r.wrongType("an object")
		return nil
	}
	text := r.raw()
	if len(text) > maxBytes {
		r.fail("object_above_max_length", "Invalid '%s': the object is too long. Expected at most %d bytes, but got %d instead.", r.param(), maxBytes, len(text))
	}
	return json.RawMessage(text)
}

func (h *CommonHyperparameters) read(r *reader, key string) bool {
	switch key {
	case "batch_size":
		h.BatchSize = readCount(r, MaxBatchExamples)
	case "learning_rate_multiplier":
		h.LearningRateMultiplier = readMultiplier(r, maxRateMultiplier)
	case "n_epochs":
		h.NEpochs = readCount(r, MaxEpochs)
	default:
		return false
	}
	return true
}

func (h *ReinforcementHyperparameters) read(r *reader, key string) bool {
	switch key {
	case "eval_interval":
		h.EvalInterval = readCount(r, maxEvalIntervalSteps)
	case "eval_samples":
		h.EvalSamples = readCount(r, maxEvalSamplesPerItem)
	case "compute_multiplier":
		h.ComputeMultiplier = readMultiplier(r, maxComputeMultiplier)
	case "reasoning_effort":
		readUnsupported(r, `"default"`) // the models know no other
	default:
		return h.CommonHyperparameters.read(r, key)
	}
	return true
}

// readCount reads a whole number from 1, or "auto".
func readCount(r *reader, max int64) TuneNumber {
	if readAuto(r) {
		return TuneNumber{}
	}
	return TuneValue(float64(r.integer(1, max)))
}

// readMultiplier reads a positive number, or "auto".
func readMultiplier(r *reader, max float64) TuneNumber {
	if readAuto(r) {
		return TuneNumber{}
	}
	return TuneValue(r.decimal(minMultiplier, max))
}

func readAuto(r *reader) bool {
	if r.kind() != '"' {
		return false
	}
	if word := r.text(MaxModelBytes); r.err == nil && word != "auto" {
		r.fail("invalid_value", "Invalid value for '%s': expected a number or 'auto'.", r.param())
	}
	return true
}

// readSuffix reads a part of a name.
func readSuffix(r *reader) string {
	suffix := r.text(MaxSuffixBytes)
	for i := range len(suffix) {
		if c := suffix[i]; !isWord(c) && c != '.' {
			r.fail("invalid_value", "Invalid '%s': expected letters, digits, '.', '_' and '-'.", r.param())
		}
	}
	return suffix
}

// finish checks what must be there and brings the older form of hyperparameters to its place.
func (q *TuneRequest) finish(older *CommonHyperparameters) *Error {
	m := &q.Method
	if m.Type == "" && m.Supervised == nil && m.Reinforcement == nil {
		m.Type = TuneSupervised // as it was before there were methods
	}
	switch {
	case q.Model == "":
		return missing("model")
	case q.TrainingFile == "":
		return missing("training_file")
	case m.Type == "":
		return missing("method.type")
	case m.Type == TuneSupervised && m.Reinforcement != nil || m.Type == TuneReinforcement && m.Supervised != nil:
		return Invalid("method", "invalid_value", "Invalid 'method': its type is '%s', and it has settings of another one.", m.Type)
	case m.Type == TuneReinforcement && (m.Reinforcement == nil || m.Reinforcement.Grader == nil):
		return missing("method.reinforcement.grader")
	case older != nil && (m.Reinforcement != nil || m.Supervised != nil):
		return Invalid("hyperparameters", "invalid_value", "Invalid 'hyperparameters': put them into 'method' alone.")
	}
	if m.Type == TuneSupervised && m.Supervised == nil {
		m.Supervised = &SupervisedMethod{}
		if older != nil {
			m.Supervised.Hyperparameters = *older
		}
	}
	return nil
}

// Job is the object that a request begins with.
func (q *TuneRequest) Job(id, tenant string, seed int64) FineTuneJob {
	if q.Seed != nil {
		seed = *q.Seed
	}
	return FineTuneJob{ID: id, Object: "fine_tuning.job", Model: q.Model, OrganizationID: tenant, ResultFiles: []string{}, Status: TuneValidating,
		TrainingFile: q.TrainingFile, ValidationFile: orNull(q.ValidationFile), Hyperparameters: q.Method.Common(), Integrations: []struct{}{},
		Seed: seed, Method: q.Method, Metadata: q.Metadata, Suffix: orNull(q.Suffix)}
}
