package openai

import "fmt"

// TuningOff is the 404 of a server that runs no fine-tuning jobs.
func TuningOff() *Error {
	return Off("fine_tuning_off", "This server runs no fine-tuning jobs. Its operator can start it with --store and --learn jobs.")
}

// FilesOff is the 404 of a server that keeps no files.
func FilesOff() *Error {
	return Off("files_off", "This server keeps no files. Its operator can start it with --store.")
}

// FileNotFound is the 404 for a file that is not there, or another tenant's. param names where its id stood.
func FileNotFound(id, param string) *Error {
	return &Error{Status: 404, Type: TypeInvalidRequest, Param: param, Code: "file_not_found", Message: fmt.Sprintf("No such file: `%s`. Upload it to /v1/files.", clip(id))}
}

// JobNotFound is the 404 for a job that is not there, or another tenant's.
func JobNotFound(id string) *Error {
	return &Error{Status: 404, Type: TypeInvalidRequest, Param: "fine_tuning_job_id", Code: "job_not_found", Message: fmt.Sprintf("No such fine-tuning job: `%s`.", clip(id))}
}

// TuneConflict is the 409 for an action that a job's state does not allow.
func TuneConflict(id string, state TuneState, action string) *Error {
	return &Error{Status: 409, Type: TypeInvalidRequest, Code: "invalid_job_state",
		Message: fmt.Sprintf("The fine-tuning job `%s` is %s; it cannot %s.", clip(id), state, tuneDeeds[action])}
}

var tuneDeeds = map[string]string{TuneCancel: "be cancelled", TunePause: "be paused", TuneResume: "be resumed: only a paused job can"}

// TooManyKept is the 409 for a tenant that has as many files or jobs as it may have.
func TooManyKept(what string) *Error {
	return &Error{Status: 409, Type: TypeInvalidRequest, Code: "too_many_" + what, Message: "There are as many " + what + " as there may be. Please delete some, or ask the server's operator."}
}
