package openai

// Schemas of what is kept of answers and learned from them.
var (
	rewardSchema   = number(-1, 1)
	countSchema    = integer(0, 1<<53)
	versionSchema  = integer(0, 1<<53)
	timeSchema     = integer(0, 1<<40)
	sessionKeyText = Object{"type": "string", "minLength": MinSessionKeyBytes, "maxLength": MaxSessionKeyBytes, "pattern": "^[!-~]*$"}
)

// shortText is a text that is not empty, within a limit in bytes, of which a character has up to four.
func shortText(maxBytes int) Object {
	return Object{"type": "string", "minLength": 1, "maxLength": maxBytes / 4}
}

// graderSchema is a grader by its type; training/reward reads it.
func graderSchema() Object {
	template := Object{"type": "string", "maxLength": 4096}
	of := func(kind string, own map[string]Object, needed ...string) Object {
		all := joined(map[string]Object{"type": words(kind), "name": {"type": "string", "maxLength": 64}, "input": template, "reference": template}, own)
		return members(all, append([]string{"type"}, needed...)...)
	}
	return oneOf(Object{"type": "string", "description": "The name of a grader."},
		of("string_check", map[string]Object{"operation": words("eq", "ne", "like", "ilike")}, "operation", "input", "reference"),
		of("math", nil), of("numeric", map[string]Object{"tolerance": oneOf(number(0, 0.999), Object{"type": "string"})}),
		of("countdown", map[string]Object{"max_value": integer(1, 999)}), of("pattern", map[string]Object{"expression": {"type": "string"}}, "expression"),
		of("http", nil, "name"), members(map[string]Object{"type": words("multi"), "name": {"type": "string"}, "graders": anything,
			"calculate_output": {"type": "string"}}, "type", "graders", "calculate_output"))
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
		o := members(all, "completion_id", name)
		o["additionalProperties"] = false
		return o
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
		"CanaryRequest": members(map[string]Object{"percent": integer(0, 100)}, "percent"),
		"Learning": members(map[string]Object{"state": words("off", "running", "paused", "failed"), "source": plain, "step": countSchema, "phase": plain,
			"phase_seconds": {"type": "number"}, "serving": versionSchema, "reason": plain, "feedback": members(map[string]Object{"stored": countSchema, "used": countSchema,
				"waiting": countSchema}, "stored", "used", "waiting")}, "state", "source", "step", "phase", "serving", "feedback"),
		"ObjectList":     members(map[string]Object{"object": words("list"), "data": list(anything, 0, 1<<20)}, "object", "data"),
		"GraphRequest":   members(map[string]Object{"text": shortText(MaxGraphTextBytes), "problem": {"type": "string", "maxLength": MaxGraphProblemBytes / 4}, "format": words("json", "dot")}, "text"),
		"SessionRequest": members(map[string]Object{"task_id": shortText(MaxTaskBytes), "api_key": sessionKeyText}, "task_id"),
		"Session":        members(map[string]Object{"session_id": plain, "api_key": plain, "expires_at": timeSchema, "ended": boolean}, "session_id"),
		"RewardRequest":  members(map[string]Object{"reward": rewardSchema, "interaction_id": shortText(MaxCompletionIDBytes)}, "reward"),
	}
}
