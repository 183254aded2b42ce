package server

import (
	"fmt"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"

	"astro/openai"
	"astro/server/auth"
)

const formType = "multipart/form-data; boundary=x"

// part is one part of a form.
func part(header, content string) string {
	return "--x\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + content + "\r\n"
}

// formOf is a whole form.
func formOf(purpose, name, content string) string {
	return part(`name="purpose"`, purpose) + part(`name="file"; filename="`+name+`"`, content) + "--x--\r\n"
}

// The official client sends files, finds them, gets them back byte for byte and deletes them.
func TestOfficialClientKeepsFiles(t *testing.T) {
	h, _ := tuning(t, setup{})
	c, ctx := h.sdk("any"), t.Context()
	content := "{\"a\":1}\r\n\r\n{\"b\":\"--x--\"}"
	file := upload(t, c, content)
	if file.Filename != "train.jsonl" || file.Bytes != int64(len(content)) || file.Purpose != "fine-tune" || file.CreatedAt == 0 || file.Status != "processed" {
		t.Errorf("got %s", file.RawJSON())
	}
	got, err := c.Files.Get(ctx, file.ID)
	if err != nil || got.RawJSON() != file.RawJSON() {
		t.Errorf("got %v, %v; want %v", got, err, file)
	}
	answer, err := c.Files.Content(ctx, file.ID)
	if err != nil || readAll(t, answer.Body) != content || answer.Header.Get("Content-Type") != "application/octet-stream" || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %+v, %v", answer, err)
	}
	deleted, err := c.Files.Delete(ctx, file.ID)
	if err != nil || !deleted.Deleted || deleted.ID != file.ID {
		t.Errorf("got %+v, %v", deleted, err)
	}
	for _, err := range []error{second(c.Files.Get(ctx, file.ID)), second(c.Files.Content(ctx, file.ID)), second(c.Files.Delete(ctx, file.ID))} {
		if codeOf(err) != "404 file_not_found" {
			t.Errorf("a deleted file: %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Files are listed in both orders, by purpose and in pages.
func TestFilesAreListed(t *testing.T) {
	h, _ := tuning(t, setup{})
	c, ctx := h.sdk("any"), t.Context()
	var want []string
	for range 4 {
		want = append(want, upload(t, c, "{}").ID)
	}
	notes := decode[openai.FileObject](t, h.send(t, "POST", "/v1/files", formOf("user_data", "notes.txt", "hi"), "Content-Type", formType))
	seen := map[string]bool{}
	for all := c.Files.ListAutoPaging(ctx, sdk.FileListParams{Limit: sdk.Int(3), Purpose: sdk.String("fine-tune"), Order: "asc"}); all.Next(); {
		seen[all.Current().ID] = true
	}
	if len(seen) != 4 || !seen[want[0]] || !seen[want[3]] || seen[notes.ID] {
		t.Errorf("got %v; want %v", seen, want)
	}
	for _, query := range []string{"order=up", "order=", "limit=10001", "after=file-none"} {
		h.send(t, "GET", "/v1/files?"+query, "").wantError(t, 400, "invalid_value")
	}
}

// Forms that are broken, and files that nobody could learn from.
func TestFilesAreChecked(t *testing.T) {
	h, _ := tuning(t, setup{})
	file, purpose, end := part(`name="file"; filename="a"`, "{}"), part(`name="purpose"`, "fine-tune"), "--x--\r\n"
	for _, c := range []struct{ body, code string }{
		{"", ""}, {"hello", "invalid_form"}, {purpose + file, "invalid_form"}, {purpose + end, "missing_required_parameter"}, {file + end, "missing_required_parameter"}, {end, "missing_required_parameter"},
		{file + file + purpose + end, "duplicate_parameter"}, {purpose + purpose + file + end, "duplicate_parameter"}, {file + purpose + part(`name="expires_after[seconds]"`, "3600") + end, "unknown_parameter"},
		{part(`name="file"`, "{}") + purpose + end, "invalid_value"}, {file + part(`name="purpose"`, strings.Repeat("p", 65)) + end, "string_above_max_length"}, {file + part(`name="purpose"`, "batch") + end, "invalid_value"},
		{formOf("fine-tune", "a", ""), "invalid_file"}, {formOf("fine-tune", "a", "{}\n{"), "invalid_file"}, {formOf("fine-tune", "a", "{}\n"+strings.Repeat("[", 1000)), "invalid_file"},
		{formOf("fine-tune", "a", `{"a":`+strings.Repeat("[", 100_000)+`}`), "invalid_file"}, {"--x\r\nno header\r\n\r\nx\r\n--x--\r\n", "invalid_form"},
	} {
		got := h.send(t, "POST", "/v1/files", c.body, "Content-Type", formType)
		if c.code == "" {
			c.code = "invalid_form"
		}
		got.wantError(t, 400, c.code)
	}
	whole := formOf("fine-tune", "a", "{}")
	h.send(t, "POST", "/v1/files", whole).wantError(t, 415, "unsupported_media_type")
	h.send(t, "POST", "/v1/files", whole, "Content-Type", "application/x-www-form-urlencoded").wantError(t, 415, "unsupported_media_type")
	h.send(t, "POST", "/v1/files", whole, "Content-Type", formType, "Content-Encoding", "gzip").wantError(t, 415, "unsupported_media_type")
	h.send(t, "POST", "/v1/files", whole, "Content-Type", "multipart/form-data").wantError(t, 400, "invalid_form")
	h.send(t, "POST", "/v1/completions", whole, "Content-Type", formType).wantError(t, 415, "unsupported_media_type")
}

// A file may be as large as its own limit says, whatever the limit on other bodies is, and not larger.
func TestFilesAreBounded(t *testing.T) {
	const limit, bodies = 200_000, 20_000
	h, _ := tuning(t, setup{config: func(c *Config) {
		c.Limits = DefaultLimits()
		c.Limits.UploadBytes, c.Limits.BodyBytes = limit, bodies
	}})
	line := `{"a":"` + strings.Repeat("b", 991) + "\"}\n"
	for _, c := range []struct {
		bytes, status int
	}{{limit, 200}, {limit + 1, 413}, {limit + 2*formBytes, 413}} {
		content := (strings.Repeat(line, c.bytes/len(line)+1))[:c.bytes/len(line)*len(line)]
		content += strings.Repeat(" ", c.bytes-len(content))
		if got := h.send(t, "POST", "/v1/files", formOf("fine-tune", "a", content), "Content-Type", formType); got.status != c.status {
			t.Errorf("%d bytes: got %d %s; want %d", c.bytes, got.status, got.body, c.status)
		}
	}
	h.send(t, "POST", "/v1/completions", textWith(`,"x":"`+strings.Repeat("x", bodies)+`"`)).wantError(t, 413, "request_too_large")
}

// Those who may not upload cannot make the server read a long form.
func TestSec_R12StrangersUploadNothing(t *testing.T) {
	h, secrets := keyed(t, setup{})
	for secret, status := range map[string]string{"": "401", secrets[auth.Inference|auth.Admin]: "403"} {
		answer := h.raw(t, fmt.Sprintf("POST /v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 50000000\r\n\r\n", formType, secret))
		if !strings.HasPrefix(answer, "HTTP/1.1 "+status) {
			t.Errorf("got %.100q; want %s at once", answer, status)
		}
	}
}

// A store that cannot take a file says so, and the request is for later.
func TestStoreIsGone(t *testing.T) {
	h, tuner := tuning(t, setup{})
	if err := tuner.store.Close(); err != nil {
		t.Fatal(err)
	}
	h.send(t, "POST", "/v1/files", formOf("fine-tune", "a", "{}"), "Content-Type", formType).wantError(t, 503, "storage_unavailable")
	for _, path := range []string{"/v1/files", "/v1/files/x", "/v1/files/x/content", "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/x"} {
		h.send(t, "GET", path, "").wantError(t, 503, "storage_unavailable")
	}
}

// {id} in a line of the table is one part of a path, and not an empty one.
func TestPathsWithIDs(t *testing.T) {
	h, _ := tuning(t, setup{})
	for path, code := range map[string]string{"/v1/files/": "unknown_url", "/v1/files/a/b": "unknown_url", "/v1/files/a/content/": "unknown_url", "/v1/files//content": "unknown_url",
		"/v1/files/content": "file_not_found", "/v1/files/a/content": "file_not_found", "/v1/files/{id}": "file_not_found", "/v1/files/a%2Fcontent": "file_not_found",
		"/v1/fine_tuning/jobs//events": "unknown_url", "/v1/fine_tuning/jobs/a/b/events": "unknown_url", "/v1/fine_tuning/jobs/events": "job_not_found", "/v1/fine_tuning/jobs/a/events": "job_not_found"} {
		h.send(t, "GET", path, "").wantError(t, 404, code)
	}
}
