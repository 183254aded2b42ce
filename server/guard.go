package server

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"astro/feedback"
	"astro/openai"
)

// maxHeaders bounds the header lines of a request.
const maxHeaders = 64

// badRequest is a 400 about the HTTP message itself; the connection is closed after it, since the two sides may disagree about
// where the next request begins.
func badRequest(message string) *openai.Error {
	return openai.Invalid("", "bad_request", "%s", message)
}

// checkFraming refuses what proxies and servers are known to read differently: a request with both Content-Length and
// Transfer-Encoding, folded header lines, a target that is not a path, and too many headers. fasthttp's parsed headers hide
// these, so the raw block is scanned.
func checkFraming(ctx *fasthttp.RequestCtx) *openai.Error {
	if uri := ctx.Request.Header.RequestURI(); len(uri) == 0 || uri[0] != '/' {
		return badRequest("The request target must be a path.")
	}
	length, encoding, lines := false, false, 0
	for line := range bytes.Lines(ctx.Request.Header.RawHeaders()) {
		if lines++; lines > maxHeaders {
			return &openai.Error{Status: 431, Message: "The request has too many header lines.", Type: openai.TypeInvalidRequest, Code: "headers_too_large"}
		}
		if line[0] == ' ' || line[0] == '\t' {
			return badRequest("A header line is folded.")
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		length = length || bytes.EqualFold(name, []byte("Content-Length"))
		encoding = encoding || bytes.EqualFold(name, []byte("Transfer-Encoding"))
	}
	if length && encoding {
		return badRequest("The request has both Content-Length and Transfer-Encoding.")
	}
	return nil
}

// strangerBodyBytes is the most that is read of a body that no route would take from its sender, so that those who have no key cannot
// fill the memory.
const strangerBodyBytes = 4096

// headerReceived sets the limits of a request's body once its header is known.
func (s *Server) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	r, err := s.wantsBody(h)
	if err != nil {
		return fasthttp.RequestConfig{ReadTimeout: s.limits.BodyTimeout, MaxRequestBodySize: min(s.limits.BodyBytes, strangerBodyBytes)}
	}
	limit := s.bodyBytes(r)
	times := 1
	if r.upload {
		times += limit / patienceBytes
	}
	return fasthttp.RequestConfig{ReadTimeout: time.Duration(times) * s.limits.BodyTimeout, MaxRequestBodySize: limit}
}

// patienceBytes is what BodyTimeout and WriteTimeout are meant for: a file that is larger has as many times longer.
const patienceBytes = 8 << 20

// formBytes is what a form may have around its file.
const formBytes = 64 << 10

// bodyBytes is the limit on a body of a route.
func (s *Server) bodyBytes(r *route) int {
	if r.upload {
		return s.uploadBytes() + formBytes
	}
	return s.limits.BodyBytes
}

// uploadBytes is the limit on a file.
func (s *Server) uploadBytes() int {
	if s.limits.UploadBytes > 0 {
		return min(s.limits.UploadBytes, feedback.MaxFileBytes)
	}
	return feedback.MaxFileBytes
}

// wantsBody finds the route that takes a request's body, or says why it is of no use.
func (s *Server) wantsBody(h *fasthttp.RequestHeader) (*route, *openai.Error) {
	path, _, _ := strings.Cut(string(h.RequestURI()), "?")
	r, _, err := find(string(h.Method()), path)
	if err != nil {
		return nil, err
	}
	if _, err := s.authorize(h, r); err != nil {
		return nil, err
	}
	if !r.work {
		return nil, openai.BodyTooLarge(strangerBodyBytes)
	}
	return r, nil
}

// bodyTooLarge answers a body past its limit: with what is wrong without it, if anything is.
func (s *Server) bodyTooLarge(ctx *fasthttp.RequestCtx) *openai.Error {
	h := &ctx.Request.Header
	if h.ContentLength() <= 0 {
		return openai.BodyTooLarge(0) // it came in chunks, and fasthttp has forgotten its header
	}
	r, err := s.wantsBody(h)
	if err != nil {
		return err
	}
	return openai.BodyTooLarge(s.bodyBytes(r))
}

// hostOnly cuts the port from a Host header.
func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// isLoopback says whether a host name means this machine only.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// checkBody demands JSON, or the form of an upload, that is not compressed.
func checkBody(ctx *fasthttp.RequestCtx, r *route) *openai.Error {
	media, _, _ := strings.Cut(string(ctx.Request.Header.ContentType()), ";")
	encoding := strings.ToLower(string(ctx.Request.Header.ContentEncoding()))
	unsupported := func(message string) *openai.Error {
		return &openai.Error{Status: 415, Message: message, Type: openai.TypeInvalidRequest, Code: "unsupported_media_type"}
	}
	media = strings.ToLower(strings.TrimSpace(media))
	switch {
	case r.upload && media != openai.FormType:
		return unsupported("The request body must be a form with a file, sent with 'Content-Type: multipart/form-data'.")
	case !r.upload && media != openai.JSONType:
		return unsupported("The request body must be JSON, sent with 'Content-Type: application/json'.")
	case !slices.Contains([]string{"", "identity"}, encoding):
		return unsupported("The request body must not be compressed.")
	}
	return nil
}
