package server

import (
	"bytes"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

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

// checkOrigin keeps web pages away from a server that is bound to loopback and needs no key (DNS rebinding, cross-site
// requests): the Host must be a loopback name, and an Origin must be the server's own.
func (s *Server) checkOrigin(ctx *fasthttp.RequestCtx) *openai.Error {
	if !s.loopback {
		return nil
	}
	host := string(ctx.Request.Header.Host())
	if !isLoopback(hostOnly(host)) {
		return &openai.Error{Status: 403, Message: "This server answers only to loopback host names.", Type: openai.TypeInvalidRequest, Code: "host_not_allowed"}
	}
	origin := string(ctx.Request.Header.Peek("Origin"))
	if origin == "" {
		return nil
	}
	if u, err := url.Parse(origin); err != nil || u.Host != host {
		return &openai.Error{Status: 403, Message: "This server does not answer to pages of other origins.", Type: openai.TypeInvalidRequest, Code: "origin_not_allowed"}
	}
	return nil
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

// checkBody demands JSON that is not compressed.
func checkBody(ctx *fasthttp.RequestCtx) *openai.Error {
	media, _, _ := strings.Cut(string(ctx.Request.Header.ContentType()), ";")
	encoding := strings.ToLower(string(ctx.Request.Header.ContentEncoding()))
	unsupported := func(message string) *openai.Error {
		return &openai.Error{Status: 415, Message: message, Type: openai.TypeInvalidRequest, Code: "unsupported_media_type"}
	}
	switch {
	case !strings.EqualFold(strings.TrimSpace(media), openai.JSONType):
		return unsupported("The request body must be JSON, sent with 'Content-Type: application/json'.")
	case !slices.Contains([]string{"", "identity"}, encoding):
		return unsupported("The request body must not be compressed.")
	}
	return nil
}
