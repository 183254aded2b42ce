package openai

// Schemas of files and fine-tuning jobs.

// exactly is members that has no others, as readMembers reads it: one that is not known may be null at most, which means that it is not given.
func exactly(properties map[string]Object, needed ...string) Object {
	o := members(properties, needed...)
	o["additionalProperties"] = Object{"type": "null"}
	return o
}

// orAuto is a number or "auto".
func orAuto(schema Object) Object { return oneOf(words("auto"), schema) }

// hyperparameterSchemas describe what CommonHyperparameters read, reinforcementSchemas what is added.
var (
	hyperparameterSchemas = map[string]Object{"batch_size": orAuto(integer(1, MaxBatchExamples)), "n_epochs": orAuto(integer(1, MaxEpochs)),
		"learning_rate_multiplier": orAuto(number(minMultiplier, maxRateMultiplier))}
	reinforcementSchemas = map[string]Object{"eval_interval": orAuto(integer(1, maxEvalIntervalSteps)), "eval_samples": orAuto(integer(1, maxEvalSamplesPerItem)),
		"compute_multiplier": orAuto(number(minMultiplier, maxComputeMultiplier)), "reasoning_effort": words("default")}
)

// tuneSchemas are the fields of a TuneRequest; a test compares them with what is read.
func tuneSchemas() map[string]Object {
	common, fileID := exactly(hyperparameterSchemas), shortText(MaxModelBytes)
	supervised := exactly(map[string]Object{"type": words(TuneSupervised), TuneSupervised: exactly(map[string]Object{"hyperparameters": common})}, "type")
	reinforcement := exactly(map[string]Object{"type": words(TuneReinforcement), TuneReinforcement: exactly(map[string]Object{"grader": jobGraderSchema(),
		"hyperparameters": exactly(joined(hyperparameterSchemas, reinforcementSchemas))}, "grader")}, "type", TuneReinforcement)
	return map[string]Object{"model": optionSchemas["model"], "training_file": fileID, "validation_file": fileID, "seed": integer(0, maxTuneSeed),
		"suffix": {"type": "string", "maxLength": MaxSuffixBytes, "pattern": "^[A-Za-z0-9_.-]*$"}, "metadata": metadataSchema, "hyperparameters": common,
		"method": oneOf(supervised, reinforcement), "integrations": list(anything, 0, 0)}
}

// jobGraderSchema is a grader that is written out: jobs do not name one.
func jobGraderSchema() Object {
	var written []Object
	for _, kind := range graderSchema()["anyOf"].([]Object) {
		if kind["type"] == "object" {
			written = append(written, kind)
		}
	}
	return oneOf(written...)
}

// finetuneSchemas are the components of the routes of files and jobs.
func finetuneSchemas() map[string]Object {
	plain, sample := Object{"type": "string"}, text(MaxSampleBytes)
	part := func(of string) Object {
		return members(map[string]Object{"object": words("list"), "data": list(ref(of), 0, 1<<20), "has_more": boolean, "first_id": plain, "last_id": plain}, "object", "data", "has_more")
	}
	request := tuneSchemas()
	withMethod := joined(request)
	delete(withMethod, "hyperparameters")
	delete(request, "method")
	return map[string]Object{
		"FileUpload": {"type": "object", "required": []string{"file", "purpose"}, "additionalProperties": false,
			"properties": Object{"file": Object{"type": "string", "format": "binary"}, "purpose": words(purposes...)}},
		"File": members(map[string]Object{"id": plain, "object": words("file"), "bytes": countSchema, "created_at": timeSchema, "expires_at": timeSchema, "filename": plain,
			"purpose": words(purposes...), "status": words("processed")}, "id", "object", "bytes", "created_at", "filename", "purpose", "status"),
		"FileDeleted":              members(map[string]Object{"id": plain, "object": words("file"), "deleted": boolean}, "id", "object", "deleted"),
		"FileList":                 part("File"),
		"FineTuningJobRequest":     oneOf(exactly(withMethod, "model", "training_file"), exactly(request, "model", "training_file")),
		"FineTuningJob":            jobSchema(),
		"FineTuningJobList":        part("FineTuningJob"),
		"FineTuningEventList":      part("FineTuningEvent"),
		"FineTuningCheckpointList": part("FineTuningCheckpoint"),
		"FineTuningEvent": members(map[string]Object{"id": plain, "object": words("fine_tuning.job.event"), "created_at": timeSchema, "level": words("info", "warn", "error"),
			"message": plain, "type": words(TuneMessage, TuneMetrics), "data": anything}, "id", "object", "created_at", "level", "message", "type"),
		"FineTuningCheckpoint": members(map[string]Object{"id": plain, "object": words("fine_tuning.job.checkpoint"), "created_at": timeSchema, "fine_tuned_model_checkpoint": plain,
			"fine_tuning_job_id": plain, "step_number": countSchema, "metrics": anything}, "id", "object", "created_at", "fine_tuned_model_checkpoint", "fine_tuning_job_id", "step_number", "metrics"),
		"GraderRunRequest":      exactly(map[string]Object{"grader": jobGraderSchema(), "model_sample": sample, "item": anything}, "grader", "model_sample"),
		"GraderValidateRequest": exactly(map[string]Object{"grader": jobGraderSchema()}, "grader"),
		"GraderValid":           members(map[string]Object{"grader": anything}, "grader"),
		"GraderRun": members(map[string]Object{"reward": {"type": "number"}, "metadata": anything, "sub_rewards": anything, "model_grader_token_usage_per_model": anything},
			"reward", "metadata", "sub_rewards", "model_grader_token_usage_per_model"),
	}
}

// jobSchema is the answer; a test compares its properties with FineTuneJob.
func jobSchema() Object {
	plain, files := Object{"type": "string"}, list(Object{"type": "string"}, 0, 1<<10)
	var states []string
	for _, s := range []TuneState{TuneValidating, TuneQueued, TuneRunning, TunePaused, TuneSucceeded, TuneFailed, TuneCancelled} {
		states = append(states, string(s))
	}
	return members(map[string]Object{"id": plain, "object": words("fine_tuning.job"), "model": plain, "created_at": timeSchema, "finished_at": timeSchema, "estimated_finish": timeSchema,
		"fine_tuned_model": plain, "organization_id": plain, "result_files": files, "status": words(states...), "trained_tokens": countSchema, "training_file": plain,
		"validation_file": plain, "hyperparameters": members(hyperparameterSchemas), "integrations": list(anything, 0, 0), "seed": integer(0, maxTuneSeed), "method": anything,
		"metadata": metadataSchema, "user_provided_suffix": plain,
		"error": members(map[string]Object{"code": plain, "message": plain, "param": plain}, "code", "message")},
		"id", "object", "model", "created_at", "organization_id", "result_files", "status", "training_file", "hyperparameters", "integrations", "seed", "method")
}
