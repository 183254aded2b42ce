package server

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// maxFormParts bounds a form: there are two parts to it.
const maxFormParts = 8

// form is what POST /v1/files takes.
type form struct {
	name, purpose string
	content       []byte
}

// readForm reads a body of multipart/form-data, which is in memory as a whole, within its limit.
func readForm(ctx *fasthttp.RequestCtx, fileBytes int) (*form, *openai.Error) {
	_, parameters, bad := mime.ParseMediaType(string(ctx.Request.Header.ContentType()))
	if bad != nil || parameters["boundary"] == "" {
		return nil, brokenForm()
	}
	f, seen := &form{}, map[string]bool{}
	parts := multipart.NewReader(bytes.NewReader(ctx.PostBody()), parameters["boundary"])
	for range maxFormParts {
		part, bad := parts.NextRawPart()
		if bad == io.EOF { // itself: wrapped, it says that the form has no end
			return f, f.missing(seen)
		}
		if bad != nil {
			return nil, brokenForm()
		}
		name := part.FormName()
		if seen[name] {
			return nil, openai.Invalid(safeName(name), "duplicate_parameter", "Duplicate parameter: '%s' is given twice.", safeName(name))
		}
		seen[name] = true
		if err := f.readPart(name, part, fileBytes); err != nil {
			return nil, err
		}
	}
	return nil, brokenForm()
}

// readPart reads one of the parts that there may be.
func (f *form) readPart(name string, part *multipart.Part, fileBytes int) *openai.Error {
	limit := fileBytes
	switch name {
	case "purpose":
		limit = openai.MaxPurposeBytes
	case "file":
		f.name = part.FileName()
	default:
		return openai.UnknownParameter(safeName(name)) // expires_after, too: a file stays until it is deleted
	}
	content, bad := io.ReadAll(io.LimitReader(part, int64(limit)+1))
	switch {
	case bad != nil:
		return brokenForm()
	case len(content) > limit && name == "file":
		return openai.BodyTooLarge(fileBytes)
	case len(content) > limit:
		return openai.Invalid(name, "string_above_max_length", "Invalid '%s': expected at most %d bytes.", name, limit)
	case name == "file":
		f.content = content
	default:
		f.purpose = string(content)
	}
	return nil
}

func (f *form) missing(seen map[string]bool) *openai.Error {
	for _, name := range []string{"file", "purpose"} {
		if !seen[name] {
			return openai.Invalid(name, "missing_required_parameter", "Missing required parameter: '%s'.", name)
		}
	}
	return nil
}

func brokenForm() *openai.Error {
	return openai.Invalid("", "invalid_form", "We could not parse the form in the body of your request. It has the parts 'file' and 'purpose'.")
}

// safeName is a name that a client gave, as far as it may be repeated.
func safeName(name string) string {
	const maxBytes = 64
	if len(name) > maxBytes {
		name = name[:maxBytes]
	}
	safe := []byte(name)
	for i, c := range safe {
		if c < ' ' || c > '~' {
			safe[i] = '?'
		}
	}
	return string(safe)
}
