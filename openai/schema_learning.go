package openai

// Schemas of what is kept of answers and learned from them.
var (
	rewardSchema   = number(-1, 1)
	countSchema    = integer(0, 1<<53)
	versionSchema  = integer(0, 1<<53)
	timeSchema     = integer(0, 1<<40)
	sessionKeyText = Object{"type": "string", "minLength": MinSessionKeyBytes, "maxLength": MaxSessionKeyBytes, "pattern": "^[!-~]*$"}
)

// shortText is a text that is not empty. A limit in bytes is one in characters, too: a text of more characters is refused in any case.
func shortText(maxBytes int) Object {
	return Object{"type": "string", "minLength": 1, "maxLength": maxBytes}
}

// graderSchema is a grader by its type; training/reward reads it, and a test of package server compares them.
func graderSchema() Object {
	single := singleGraderSchemas()
	parts := Object{"type": "object", "minProperties": 1, "maxProperties": 16, "additionalProperties": oneOf(single...)}
	multi := exactly(map[string]Object{"type": words("multi"), "name": text(maxGraderNameBytes), "graders": parts,
		"calculate_output": {"type": "string", "minLength": 1, "maxLength": maxExpressionBytes, "description": "A formula over the scores of the graders, by their names."}},
		"type", "graders", "calculate_output")
	return oneOf(append(append([]Object{{"type": "string", "description": "The name of a grader."}}, single...), multi)...)
}

// Limits of what a grader holds.
const (
	maxGraderNameBytes = 64
	maxTemplateBytes   = 4 << 10
	maxExpressionBytes = 1000
	largestTolerance   = 0.999999999999 // tolerances are read with twelve digits, and are below 1
)

// singleGraderSchemas are the graders that a multi may consist of.
func singleGraderSchemas() []Object {
	template := Object{"type": "string", "maxLength": maxTemplateBytes, "description": "{{sample.output_text}} stands for the answer, {{item.X}} for a field of the item.",
		"pattern": `^(\{?[^{]|\{\{ *(sample\.output_text|item\.[A-Za-z0-9_.-]{1,64}) *\}\})*\{?$`}
	of := func(kind string, own map[string]Object, needed ...string) Object {
		all := joined(map[string]Object{"type": words(kind), "name": text(maxGraderNameBytes), "input": template, "reference": template}, own)
		return exactly(all, append([]string{"type"}, needed...)...)
	}
	expression := Object{"type": "string", "minLength": 1, "maxLength": maxExpressionBytes, "description": "A regular expression as RE2 has them."}
	return []Object{of("string_check", map[string]Object{"operation": words("eq", "ne", "like", "ilike")}, "operation"), of("math", nil),
		of("numeric", map[string]Object{"tolerance": oneOf(number(0, largestTolerance), Object{"type": "string", "pattern": `^0(\.[0-9]{1,90})?$`})}),
		of("countdown", map[string]Object{"max_value": integer(1, 999)}), of("pattern", map[string]Object{"expression": expression}, "expression"),
		of("http", nil, "name")}
}

// learningSchemas are the components of the routes of feedback, policies, learning and sessions.
func learningSchemas() map[string]Object {
	plain, nothing := Object{"type": "string"}, Object{"type": "null"}
	eval := oneOf(members(map[string]Object{"pass_rate": {"type": "number"}, "error": {"type": "number"}}, "pass_rate", "error"), nothing)
	policy := map[string]Object{"id": plain, "version": versionSchema, "parent": versionSchema, "created": timeSchema, "eval": eval, "reason": plain,
		"state": words("serving", "loaded", "stored", "rejected", "bad")}
	given := map[string]Object{"completion_id": shortText(MaxCompletionIDBytes), "choice": integer(0, MaxChoices-1), "answer": shortText(MaxAnswerBytes),
		"rater": shortText(MaxRaterBytes), "idempotency_key": shortText(MaxRaterBytes), "supersede": boolean, "metadata": metadataSchema}
	with := func(name string, schema Object) Object {
		all := joined(given, map[string]Object{name: schema})
		if name != "grader" {
			delete(all, "answer")
		}
		return exactly(all, "completion_id", name)
	}
	said := map[string]Object{"id": plain, "object": words("feedback"), "completion_id": plain, "choice": countSchema, "reward": rewardSchema, "rater": plain,
		"source": words("app", "verifier", "session"), "grader": plain, "evidence": plain, "metadata": anything, "superseded": boolean, "created": timeSchema, "duplicate": boolean}
	choice := map[string]Object{"index": countSchema, "finish_reason": oneOf(plain, nothing), "prompt_token_ids": tokenIDs, "token_ids": tokenIDs,
		"logprobs": list(Object{"type": "number"}, 0, 1<<20), "prompt_text": plain, "output_text": plain,
		"versions": list(members(map[string]Object{"version": versionSchema, "start": countSchema, "end": countSchema}, "version", "start", "end"), 0, 1<<20)}
	return map[string]Object{
		"FeedbackRequest": oneOf(with("reward", rewardSchema), with("verdict", words("correct", "incorrect")), with("grader", graderSchema())),
		"Feedback":        members(said, "id", "object", "completion_id", "choice", "reward", "rater", "source", "created", "duplicate"),
		"StoredCompletion": members(map[string]Object{"id": plain, "object": words("stored_completion"), "created": timeSchema, "model": plain, "metadata": anything,
			"state": words("complete", "aborted"), "choices": list(members(choice, "index", "prompt_token_ids", "token_ids", "logprobs", "versions"), 1, MaxChoices),
			"feedback": list(ref("Feedback"), 0, 1<<20)}, "id", "object", "choices", "feedback"),
		"Policy":        members(policy, "id", "version", "parent", "state", "created"),
		"PolicyList":    members(map[string]Object{"object": words("list"), "serving": versionSchema, "data": list(ref("Policy"), 0, 1<<20), "canary": oneOf(members(map[string]Object{"version": versionSchema, "percent": integer(0, 100)}, "version", "percent"), nothing)}, "object", "serving", "data"),
		"CanaryRequest": exactly(map[string]Object{"percent": integer(0, 100)}, "percent"),
		"Learning": members(map[string]Object{"state": words("off", "running", "paused", "failed"), "source": plain, "step": countSchema, "phase": plain,
			"phase_seconds": {"type": "number"}, "serving": versionSchema, "reason": plain, "feedback": members(map[string]Object{"stored": countSchema, "used": countSchema,
				"waiting": countSchema}, "stored", "used", "waiting")}, "state", "source", "step", "phase", "serving", "feedback"),
		"ObjectList":     members(map[string]Object{"object": words("list"), "data": list(anything, 0, 1<<20)}, "object", "data"),
		"GraphRequest":   exactly(map[string]Object{"text": shortText(MaxGraphTextBytes), "problem": text(MaxGraphProblemBytes), "format": words("json", "dot")}, "text"),
		"SessionRequest": exactly(map[string]Object{"task_id": shortText(MaxTaskBytes), "api_key": sessionKeyText}, "task_id"),
		"Session":        members(map[string]Object{"session_id": plain, "api_key": plain, "expires_at": timeSchema, "ended": boolean}, "session_id"),
		"RewardRequest":  exactly(map[string]Object{"reward": rewardSchema, "interaction_id": shortText(MaxCompletionIDBytes)}, "reward"),
	}
}
