package server

import (
	"astro/openai"
	"astro/server/auth"
)

// tuneRoutes are the lines of files and fine-tuning jobs. Which scope each needs, and why, stands in files.go and finetune.go.
func tuneRoutes() []route {
	const files, file, jobs, job, graders = "/v1/files", "/v1/files/{id}", "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/{id}", "/v1/fine_tuning/alpha/graders/"
	missing, steered, created := []int{404, 503}, []int{404, 409, 503}, []int{404, 409}
	order := map[string]openai.Object{"purpose": {"type": "string"}, "order": {"type": "string", "enum": []string{"asc", "desc"}}}
	return []route{
		{method: "POST", path: files, scope: auth.Feedback, work: true, upload: true, handle: (*Server).uploadFile,
			page: page{summary: "Upload a file", request: "FileUpload", answer: "File", statuses: created}},
		{method: "GET", path: files, scope: auth.Feedback, handle: (*Server).files,
			page: page{summary: "Uploaded files", answer: "FileList", statuses: missing, query: listQuery(maxFilesListed, order)}},
		{method: "GET", path: file, scope: auth.Feedback, handle: (*Server).file, page: page{summary: "One uploaded file", answer: "File", statuses: missing}},
		{method: "DELETE", path: file, scope: auth.Feedback, handle: (*Server).deleteFile, page: page{summary: "Delete a file", answer: "FileDeleted", statuses: missing}},
		{method: "GET", path: file + "/content", scope: auth.Feedback, handle: (*Server).fileContent, page: page{summary: "What a file holds", text: true, statuses: missing}},

		{method: "POST", path: jobs, scope: auth.Admin, work: true, handle: (*Server).createJob,
			page: page{summary: "Begin a fine-tuning job", request: "FineTuningJobRequest", answer: "FineTuningJob", statuses: created}},
		{method: "GET", path: jobs, scope: auth.Feedback, handle: (*Server).jobs,
			page: page{summary: "Fine-tuning jobs", answer: "FineTuningJobList", statuses: missing, query: listQuery(maxListed, nil)}},
		{method: "GET", path: job, scope: auth.Feedback, handle: (*Server).job, page: page{summary: "One fine-tuning job", answer: "FineTuningJob", statuses: missing}},
		{method: "GET", path: job + "/events", scope: auth.Feedback, handle: (*Server).jobEvents,
			page: page{summary: "What happened to a job, newest first", answer: "FineTuningEventList", statuses: missing, query: noteQuery(eventPrefix)}},
		{method: "GET", path: job + "/checkpoints", scope: auth.Feedback, handle: (*Server).jobCheckpoints,
			page: page{summary: "A job's checkpoints, newest first", answer: "FineTuningCheckpointList", statuses: missing, query: noteQuery(checkpointPrefix)}},
		{method: "POST", path: job + "/cancel", scope: auth.Admin, handle: (*Server).cancelJob, page: page{summary: "End a job", answer: "FineTuningJob", statuses: steered}},
		{method: "POST", path: job + "/pause", scope: auth.Admin, handle: (*Server).pauseJob, page: page{summary: "Pause a job", answer: "FineTuningJob", statuses: steered}},
		{method: "POST", path: job + "/resume", scope: auth.Admin, handle: (*Server).resumeJob, page: page{summary: "Let a paused job go on", answer: "FineTuningJob", statuses: steered}},

		{method: "POST", path: graders + "run", scope: auth.Feedback, work: true, handle: (*Server).runGrader,
			page: page{summary: "Try a grader on a sample", request: "GraderRunRequest", answer: "GraderRun"}},
		{method: "POST", path: graders + "validate", scope: auth.Feedback, work: true, handle: (*Server).validateGrader,
			page: page{summary: "Check a grader", request: "GraderValidateRequest", answer: "GraderValid"}},
	}
}
