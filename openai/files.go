package openai

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Purposes of files. Only those for fine-tuning are read by this server; the others are kept and given back.
const (
	PurposeFineTune = "fine-tune"
	PurposeEvals    = "evals"
	PurposeUserData = "user_data"
)

var purposes = []string{PurposeFineTune, PurposeEvals, PurposeUserData}

// Limits of files of lines. That on the whole file is the server's.
const (
	MaxTuneLines     = 50_000  // of a file, empty ones included
	MaxTuneLineBytes = 1 << 20 // of one line
	MaxFileNameBytes = 255
	MaxPurposeBytes  = 64
)

// FileObject is an entry of GET /v1/files, and the answer to an upload.
type FileObject struct {
	ID        string `json:"id"`
	Object    string `json:"object"` // "file"
	Bytes     int    `json:"bytes"`
	CreatedAt int64  `json:"created_at"` // Unix seconds
	ExpiresAt *int64 `json:"expires_at"` // always null: a file stays until it is deleted
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
	Status    string `json:"status"` // "processed"
}

// FileDeleted is the answer to DELETE /v1/files/{id}.
type FileDeleted struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "file"
	Deleted bool   `json:"deleted"`
}

// List is a part of a longer list.
type List[T any] struct {
	Object  string  `json:"object"` // "list"
	Data    []T     `json:"data"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"` // what the next part's after is
	HasMore bool    `json:"has_more"`
}

// NewList makes a List of entries whose ids are given by idOf.
func NewList[T any](data []T, idOf func(T) string, more bool) List[T] {
	l := List[T]{Object: "list", Data: data, HasMore: more}
	if len(data) == 0 {
		l.Data = []T{}
		return l
	}
	first, last := idOf(data[0]), idOf(data[len(data)-1])
	l.FirstID, l.LastID = &first, &last
	return l
}

// CheckUpload says what is wrong with a file that somebody sends. A file for fine-tuning has a JSON object on each line; whether its
// members are right is checked by the job that uses it.
func CheckUpload(name, purpose string, content []byte) *Error {
	switch {
	case purpose == "":
		return missing("purpose")
	case !slices.Contains(purposes, purpose):
		return Invalid("purpose", "invalid_value", "Invalid value for 'purpose': supported values are %s.", quoted(purposes))
	case name == "" || len(name) > MaxFileNameBytes || !utf8.ValidString(name) || strings.ContainsFunc(name, isControl):
		return Invalid("file", "invalid_value", "Invalid 'file': its part of the form needs a filename of 1 to %d bytes of printable text.", MaxFileNameBytes)
	case len(content) == 0:
		return Invalid("file", "invalid_file", "Invalid 'file': it is empty.")
	case purpose != PurposeFineTune:
		return nil
	}
	err := eachLine(bytes.NewReader(content), func(_ int, line []byte) *Error {
		r := newReader(line)
		r.object(func(string) { r.skip() })
		r.end()
		return r.err
	})
	if err != nil {
		err.Param = "file"
	}
	return err
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// eachLine calls read for each line that is not empty. An error of read gets the line's number; there must be a line.
func eachLine(from io.Reader, read func(n int, line []byte) *Error) *Error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 64<<10), MaxTuneLineBytes+1)
	n, found := 0, false
	for lines.Scan() {
		if n++; n > MaxTuneLines {
			return badFile("it has more than %d lines; split it", MaxTuneLines)
		}
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		found = true
		if err := read(n, line); err != nil {
			return atLine(n, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return badFile("line %d is longer than %d bytes; make its texts shorter", n+1, MaxTuneLineBytes)
	case err != nil:
		return badFile("it could not be read after line %d", n)
	case !found:
		return badFile("it has no lines; want one JSON object on each")
	}
	return nil
}

// badFile is the 400 for a file that cannot be used. Param is the caller's to set.
func badFile(format string, args ...any) *Error {
	return Invalid("", "invalid_file", "Invalid file: "+format+".", args...)
}

// atLine makes an error about a body one about a line.
func atLine(n int, err *Error) *Error {
	message, syntax := strings.CutPrefix(err.Message, notJSON)
	if message = strings.TrimSuffix(message, "."); syntax {
		message = "it is not JSON: " + message
	}
	return badFile("line %d: %s", n, message)
}
