package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"astro/openai"
	"astro/server/auth"
)

// handle is the only handler that fasthttp knows. Whatever happens inside ends this request alone.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	id := requestID(string(ctx.Request.Header.Peek("x-request-id")))
	err := s.guarded(ctx, id)
	if len(ctx.Response.Header.Peek("x-request-id")) == 0 { // else the body named one
		ctx.Response.Header.Set("x-request-id", id)
	}
	if err != nil {
		s.writeError(ctx, err)
	}
	s.allowOrigin(ctx)
	s.countHTTP(ctx)
	setWriteDeadline(ctx.Conn(), s.answerTimeout(&ctx.Response))
}

// answerTimeout is the time for a client to take an answer.
func (s *Server) answerTimeout(r *fasthttp.Response) time.Duration {
	times := 1
	if !r.IsBodyStream() {
		times += len(r.Body()) / patienceBytes
	}
	return time.Duration(times) * s.limits.WriteTimeout
}

// guarded runs dispatch and turns a panic into a 500 and a log entry.
func (s *Server) guarded(ctx *fasthttp.RequestCtx, id string) (err *openai.Error) {
	defer func() {
		if what := recover(); what != nil {
			s.logPanic(id, what)
			ctx.Response.Reset()
			err = openai.Internal(id)
		}
	}()
	return s.dispatch(ctx, id)
}

// dispatch checks everything that is the same for all routes and calls the route.
func (s *Server) dispatch(ctx *fasthttp.RequestCtx, id string) *openai.Error {
	if err := checkFraming(ctx); err != nil {
		ctx.SetConnectionClose()
		return err
	}
	if err := s.checkOrigin(ctx); err != nil {
		return err
	}
	r, allowed, err := find(string(ctx.Method()), requestPath(ctx))
	if err != nil {
		if allowed != "" && isPreflight(ctx) {
			preflight(ctx, allowed)
			return nil
		}
		if allowed != "" {
			ctx.Response.Header.Set("Allow", allowed)
		}
		return err
	}
	caller, err := s.authorize(&ctx.Request.Header, r)
	if err != nil {
		return s.rejected(err)
	}
	ctx.SetUserValue(callerName, caller)
	ctx.SetUserValue(pathIDName, r.idOf(requestPath(ctx)))
	if !r.work {
		return r.handle(s, ctx, id)
	}
	if err := checkBody(ctx, r); err != nil {
		return err
	}
	return s.work(ctx, r, caller, id)
}

// Under these names a request's context holds who asks, and what stood for {id} in its path.
const (
	callerName = "astro caller"
	pathIDName = "astro path id"
)

// callerOf is who asks; every route that dispatch reached has one.
func callerOf(ctx *fasthttp.RequestCtx) *auth.Key {
	caller, ok := ctx.UserValue(callerName).(*auth.Key)
	if !ok {
		panic("BUG: a handler ran without a caller")
	}
	return caller
}

// pathID is what stood for {id}; "" = the route's path has none.
func pathID(ctx *fasthttp.RequestCtx) string {
	id, _ := ctx.UserValue(pathIDName).(string)
	return id
}

// requestPath is the path as it was sent, not decoded and without the query.
func requestPath(ctx *fasthttp.RequestCtx) string {
	path, _, _ := strings.Cut(string(ctx.Request.Header.RequestURI()), "?")
	return path
}

// logPanic records a failure of ours under the id that the client was told.
func (s *Server) logPanic(id string, what any) {
	s.log.Error("a request panicked; it was answered with 500 and nothing else is affected", "request", id, "panic", what, "stack", string(debug.Stack()))
}

// writeError answers with an error object in the form of the path's API.
func (s *Server) writeError(ctx *fasthttp.RequestCtx, err *openai.Error) {
	ctx.SetStatusCode(err.Status)
	ctx.SetContentType(openai.JSONType)
	ctx.SetBody(openai.Encode(dialectOf(requestPath(ctx)).errorBody(err, string(ctx.Response.Header.Peek("x-request-id")))))
	switch err.Status {
	case 401:
		ctx.Response.Header.Set("WWW-Authenticate", "Bearer")
	case 429, 503:
		seconds := err.RetryAfterSeconds
		if seconds == 0 {
			seconds = retryAfterSeconds
		}
		ctx.Response.Header.Set("Retry-After", strconv.Itoa(seconds))
	case 409, 504:
		ctx.Response.Header.Set("x-should-retry", "false") // OpenAI's clients would send it again
	}
}

// writeJSON answers 200.
func writeJSON(ctx *fasthttp.RequestCtx, answer any) {
	ctx.SetContentType(openai.JSONType)
	ctx.SetBody(openai.Encode(answer))
}

// transportError answers what fasthttp could not read as a request.
func (s *Server) transportError(ctx *fasthttp.RequestCtx, cause error) {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	err := badRequest("The request is not valid HTTP.")
	switch {
	case errors.Is(cause, fasthttp.ErrBodyTooLarge):
		err = s.bodyTooLarge(ctx)
	case errors.As(cause, &small):
		err = &openai.Error{Status: 431, Message: "The request's header is too large.", Type: openai.TypeInvalidRequest, Code: "headers_too_large"}
	case errors.As(cause, &network) && network.Timeout():
		err = &openai.Error{Status: 408, Message: "The request took too long to arrive.", Type: openai.TypeInvalidRequest, Code: "request_timeout"}
	}
	ctx.Response.Header.Set("x-request-id", requestID(string(ctx.Request.Header.Peek("x-request-id"))))
	s.writeError(ctx, err)
	ctx.SetConnectionClose()
	setWriteDeadline(ctx.Conn(), s.limits.WriteTimeout)
}

// setWriteDeadline gives the next write a bounded time. fasthttp's own WriteTimeout would bound a whole stream.
func setWriteDeadline(conn net.Conn, d time.Duration) {
	if conn != nil {
		conn.SetWriteDeadline(time.Now().Add(d)) // fails only on a closed connection, where the write fails too
	}
}

// requestID takes the client's id if it is harmless in headers and logs, or makes one.
func requestID(given string) string {
	if openai.ValidRequestID(given) {
		return given
	}
	return "req-" + randomHex()
}

// bodyID is the request's id, if the body may still name it: a header goes first.
func bodyID(ctx *fasthttp.RequestCtx, id string, o *openai.Options) string {
	if o.RequestID == "" || openai.ValidRequestID(string(ctx.Request.Header.Peek("x-request-id"))) {
		return id
	}
	ctx.Response.Header.Set("x-request-id", o.RequestID)
	return o.RequestID
}

// randomHex is 128 random bits.
func randomHex() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
