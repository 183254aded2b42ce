package server

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
)

// Files need the scope feedback: what is in them teaches the model, as ratings do, once somebody with the scope admin makes a job of them.
// They belong to a tenant; nobody else learns that there is one.

// fileTimeout bounds how long the store may take for what a file holds.
const fileTimeout = time.Minute

// Pages of lists.
const (
	maxFilesListed = 10_000 // limit of /v1/files, and its default
	maxListed      = 100    // limit of the lists of jobs
	listedDefault  = 20
)

// uploadFile is POST /v1/files.
func (s *Server) uploadFile(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	form, err := readForm(ctx, s.uploadBytes())
	if err == nil {
		err = openai.CheckUpload(form.name, form.purpose, form.content)
	}
	if err != nil {
		return err
	}
	if s.Store == nil {
		return openai.FilesOff()
	}
	file := feedback.File{ID: "file-" + randomHex(), Tenant: callerOf(ctx).Tenant, Name: form.name, Purpose: form.purpose, Content: form.content}
	deadline, cancel := within(fileTimeout)
	defer cancel()
	if bad := s.Store.PutFile(deadline, file); bad != nil {
		return s.fileError(id, file.ID, bad)
	}
	return s.writeFile(ctx, file.ID, id)
}

// files is GET /v1/files.
func (s *Server) files(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.Store == nil {
		return openai.FilesOff()
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	all, bad := s.Store.Files(deadline, callerOf(ctx).Tenant)
	if bad != nil {
		return s.storeError(id, bad)
	}
	args := ctx.QueryArgs()
	if purpose := string(args.Peek("purpose")); purpose != "" {
		all = slices.DeleteFunc(all, func(f feedback.File) bool { return f.Purpose != purpose })
	}
	switch order := args.Peek("order"); {
	case string(order) == "asc":
		slices.Reverse(all)
	case order != nil && string(order) != "desc":
		return openai.Invalid("order", "invalid_value", "Invalid value for 'order' in the query: supported values are 'asc' and 'desc'.")
	}
	objects := make([]openai.FileObject, len(all))
	for i := range all {
		objects[i] = fileObject(&all[i])
	}
	return writeList(ctx, objects, func(f openai.FileObject) string { return f.ID }, maxFilesListed, maxFilesListed)
}

// file is GET /v1/files/{id}.
func (s *Server) file(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	return s.writeFile(ctx, pathID(ctx), id)
}

func (s *Server) writeFile(ctx *fasthttp.RequestCtx, file, id string) *openai.Error {
	f, err := s.findFile(callerOf(ctx).Tenant, file, "file_id", id)
	if err == nil {
		writeJSON(ctx, fileObject(f))
	}
	return err
}

// fileContent is GET /v1/files/{id}/content: the bytes as they were sent, which no browser shall take for a page.
func (s *Server) fileContent(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.Store == nil {
		return openai.FilesOff()
	}
	deadline, cancel := within(fileTimeout)
	defer cancel()
	f, bad := s.Store.File(deadline, callerOf(ctx).Tenant, pathID(ctx))
	if bad != nil {
		return s.fileError(id, pathID(ctx), bad)
	}
	ctx.SetContentType("application/octet-stream")
	ctx.Response.Header.Set("Content-Disposition", "attachment")
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	ctx.Response.SetBodyRaw(f.Content)
	return nil
}

// deleteFile is DELETE /v1/files/{id}. A job that has not read the file yet will fail.
func (s *Server) deleteFile(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if s.Store == nil {
		return openai.FilesOff()
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	if bad := s.Store.DeleteFile(deadline, callerOf(ctx).Tenant, pathID(ctx)); bad != nil {
		return s.fileError(id, pathID(ctx), bad)
	}
	writeJSON(ctx, openai.FileDeleted{ID: pathID(ctx), Object: "file", Deleted: true})
	return nil
}

// findFile is a tenant's file without its content; param names where its id stood, id is the request's.
func (s *Server) findFile(tenant, file, param, id string) (*feedback.File, *openai.Error) {
	if s.Store == nil {
		return nil, openai.FilesOff()
	}
	deadline, cancel := storeDeadline()
	defer cancel()
	all, bad := s.Store.Files(deadline, tenant)
	if bad != nil {
		return nil, s.storeError(id, bad)
	}
	i := slices.IndexFunc(all, func(f feedback.File) bool { return f.ID == file })
	if i < 0 {
		return nil, openai.FileNotFound(file, param)
	}
	return &all[i], nil
}

// fileError is the client's form of what the store says about a file.
func (s *Server) fileError(id, file string, bad error) *openai.Error {
	switch {
	case errors.Is(bad, feedback.ErrUnknown):
		return openai.FileNotFound(file, "file_id")
	case errors.Is(bad, feedback.ErrFull):
		return openai.TooManyKept("files")
	}
	return s.storeError(id, bad)
}

func fileObject(f *feedback.File) openai.FileObject {
	return openai.FileObject{ID: f.ID, Object: "file", Bytes: f.Bytes, CreatedAt: f.Created.Unix(), Filename: f.Name, Purpose: f.Purpose, Status: "processed"}
}

// listQuery are the parameters of a list in the query.
func listQuery(limit int64, more map[string]openai.Object) map[string]openai.Object {
	all := map[string]openai.Object{"after": {"type": "string", "maxLength": openai.MaxModelBytes}, "limit": {"type": "integer", "minimum": 1, "maximum": limit}}
	for name, schema := range more {
		all[name] = schema
	}
	return all
}

// noteQuery are those of a list whose ids are numbers after a prefix.
func noteQuery(prefix string) map[string]openai.Object {
	return listQuery(maxListed, map[string]openai.Object{"after": {"type": "string", "pattern": fmt.Sprintf("^(%s[1-9][0-9]{0,%d})?$", prefix, maxSeqDigits-1)}})
}

// writeList answers with the part of a list that the query's after and limit name.
func writeList[T any](ctx *fasthttp.RequestCtx, all []T, idOf func(T) string, byDefault, most int64) *openai.Error {
	limit, err := queryNumber(ctx, "limit", byDefault, 1, most)
	if err != nil {
		return err
	}
	if after := string(ctx.QueryArgs().Peek("after")); after != "" {
		i := slices.IndexFunc(all, func(t T) bool { return idOf(t) == after })
		if i < 0 {
			return openai.Invalid("after", "invalid_value", "Invalid 'after' in the query: the list has no such id.")
		}
		all = all[i+1:]
	}
	n := min(len(all), int(limit))
	writeJSON(ctx, openai.NewList(all[:n], idOf, n < len(all)))
	return nil
}
