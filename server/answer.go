package server

import (
	"bufio"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"astro/openai"
)

// answer runs a prepared call and answers it in the given format, streamed or whole. The call is cancelled when the client goes
// away, wherever it is: in the queue, in prefill or between two tokens.
func (s *Server) answer(ctx *fasthttp.RequestCtx, c *call, f format) *openai.Error {
	life, cancel, end, ok := s.begin()
	if !ok {
		return s.rejected(unavailable())
	}
	unwatch := watch(ctx.Conn(), cancel)
	done := func() {
		c.report()
		c.settle()
		c.close()
		unwatch()
		end()
	}
	streaming := false
	defer func() {
		if !streaming {
			done() // also after a panic
		}
	}()
	err := c.admit(ctx)
	if err == nil {
		err = c.submit(life)
	}
	if err != nil {
		return c.failed(life, err)
	}
	if !c.options.Stream {
		err := c.failed(life, c.writeWhole(ctx, life, f))
		if err == nil {
			c.offerToken(ctx)
		}
		return err
	}
	streaming = true
	c.offerToken(ctx)
	s.startStream(ctx, c.id, func(w *eventWriter) {
		defer done()
		c.writeStream(life, w, f)
	})
	return nil
}

// writeWhole waits for all choices.
func (c *call) writeWhole(ctx *fasthttp.RequestCtx, life context.Context, f format) *openai.Error {
	updates := make([][]*update, len(c.choices))
	for a := range c.arrivals(life) {
		more, err := c.accept(a)
		if err != nil {
			return err
		}
		for _, u := range more {
			updates[u.index] = append(updates[u.index], u)
		}
	}
	if life.Err() != nil {
		return c.cut()
	}
	c.record()
	whole := make([]*update, len(updates))
	for i := range updates {
		whole[i] = merge(updates[i])
	}
	writeJSON(ctx, f.whole(whole, c.usage()))
	return nil
}

// writeStream sends what there is to say of each update. An error after the first byte is an event too.
func (c *call) writeStream(life context.Context, w *eventWriter, f format) {
	for i := range c.choices {
		f.first(w, i)
	}
	err := c.failed(life, c.writeUpdates(life, w, f))
	c.record()
	if w.err != nil {
		return // the client went away
	}
	f.end(w, err)
	w.flush()
}

// writeUpdates forwards Events until there are no more, and keeps a silent connection alive.
func (c *call) writeUpdates(life context.Context, w *eventWriter, f format) *openai.Error {
	arrivals := c.arrivals(life)
	keepAlive := time.NewTicker(c.server.limits.KeepAliveInterval)
	defer keepAlive.Stop()
	for w.err == nil {
		w.flush()
		select {
		case a, ok := <-arrivals:
			if !ok && life.Err() != nil {
				return c.cut()
			}
			if !ok {
				return nil
			}
			if err := c.writeArrival(a, w, f); err != nil {
				return err
			}
			keepAlive.Reset(c.server.limits.KeepAliveInterval)
		case <-keepAlive.C:
			f.wait(w)
		}
	}
	return nil
}

func (c *call) writeArrival(a arrival, w *eventWriter, f format) *openai.Error {
	updates, err := c.accept(a)
	for _, u := range updates {
		if u.text != "" || u.calls != nil || c.logprobs || c.options.ReturnTokenIDs {
			f.delta(w, u)
		}
		if u.finish != "" {
			f.last(w, u)
		}
	}
	return err
}

// eventWriter writes server-sent events with a deadline for each flush. After an error it writes nothing.
type eventWriter struct {
	w        *bufio.Writer
	deadline func() // gives the next flush its time
	named    int    // events with a name, so far
	err      error
}

func (w *eventWriter) send(answer any) { w.write(string(openai.Frame(answer))) }

func (w *eventWriter) sendNamed(name string, answer any) {
	w.write(string(openai.NamedFrame(name, answer)))
	w.named++
}

func (w *eventWriter) write(frame string) {
	if w.err == nil {
		w.deadline()
		_, w.err = w.w.WriteString(frame)
	}
}

func (w *eventWriter) flush() {
	if w.err == nil && w.w.Buffered() > 0 {
		w.deadline()
		w.err = w.w.Flush()
	}
}

// startStream sends the header of an event stream and has body write the rest. A panic in it ends this stream alone: fasthttp
// runs it on a goroutine of its own, where a panic would end the process.
func (s *Server) startStream(ctx *fasthttp.RequestCtx, id string, body func(w *eventWriter)) {
	conn, visit, api := ctx.Conn(), visitOf(ctx), dialectOf(requestPath(ctx))
	if visit != nil {
		visit.streams = true
	}
	ctx.SetContentType(openai.EventType)
	ctx.Response.Header.Set("Cache-Control", "no-cache")
	ctx.Response.Header.Set("X-Accel-Buffering", "no") // asks nginx not to collect events
	ctx.SetBodyStreamWriter(func(bw *bufio.Writer) {
		w := &eventWriter{w: bw, deadline: func() { setWriteDeadline(conn, s.limits.WriteTimeout) }}
		if visit != nil {
			defer visit.leave()
		}
		defer func() {
			if what := recover(); what != nil {
				s.logPanic(id, what)
				api.sendError(w, openai.Internal(id), id)
				w.flush()
			}
		}()
		body(w)
	})
}

// checkAsked checks what every request of a model asks for.
func (s *Server) checkAsked(ctx *fasthttp.RequestCtx, o *openai.Options) *openai.Error {
	if err := s.checkModel(o.Model); err != nil {
		return err
	}
	return s.noteIgnored(ctx, o)
}

// noteIgnored tells the client which parameters had no effect, or refuses them if the server is strict.
func (s *Server) noteIgnored(ctx *fasthttp.RequestCtx, o *openai.Options) *openai.Error {
	if len(o.Ignored) == 0 {
		return nil
	}
	if s.StrictParams {
		return openai.UnknownParameter(o.Ignored[0])
	}
	ctx.Response.Header.Set("x-ignored-params", strings.Join(o.Ignored, ","))
	return nil
}

// checkModel accepts the names that the model is served under, also with a version; whether that is loaded the engine knows.
func (s *Server) checkModel(model string) *openai.Error {
	if name, _ := s.pinned(model); s.isServed(name) {
		return nil
	}
	return openai.ModelNotFound(model, s.modelNames())
}

func (s *Server) isServed(name string) bool { return slices.Contains(s.ModelNames, name) }
