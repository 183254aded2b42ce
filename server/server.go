package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"astro/engine"
	"astro/feedback"
	"astro/internal/telemetry"
	"astro/model/chat"
	"astro/model/tokenizer"
	"astro/server/auth"
	"astro/training/reward"
)

// Config is what a Server needs. All fields without a default are required.
type Config struct {
	Engine    *engine.Engine
	Tokenizer *tokenizer.Tokenizer
	Template  *chat.Template // nil = the model has none: chat requests get a 400

	TokenizerInfo json.RawMessage // the model's tokenizer_config.json, with its chat template; nil = it has none

	ModelNames    []string // what requests may call the model; the first is its name in answers
	ContextTokens int      // prompt and completion of a choice together, at most
	StrictParams  bool     // unknown parameters are refused instead of listed in x-ignored-params
	Version       string   // of the program, for /version and system_fingerprint

	Metrics *telemetry.Metrics // nil = made here
	Tracer  *telemetry.Tracer  // nil = no traces

	Access      Access
	Certificate *Certificate // nil = no TLS

	FeedbackLife time.Duration // of a feedback token, see Access.TokenKeys; 0 = a day

	Store       *feedback.Store          // of completions and what was said about them; nil = nothing is recorded
	Graders     map[string]reward.Grader // that requests may name; nil = only those that are built in
	MaxSessions int                      // of RL, open at one time; 0 = 1000
	Learner     Learner                  // nil = nothing is learned
	Tuner       Tuner                    // nil = there are no fine-tuning jobs
	Policies    Policies                 // nil = there is only the engine's current version
	Grapher     Grapher                  // nil = no graphs of reasoning
	Trees       Trees                    // nil = those of the Store

	Limits Limits       // zero = DefaultLimits
	Log    *slog.Logger // nil = slog.Default(). It gets ids and sizes, never text of requests, tokens or keys
}

// Limits bound what clients can make the server hold.
type Limits struct {
	BodyBytes         int           // of a request body
	UploadBytes       int           // of a file that is sent to /v1/files; 0 = feedback.MaxFileBytes, which is the most
	HeaderBytes       int           // of a request's header block
	Connections       int           // open at one time
	ConnectionsPerIP  int           // of one address that is not loopback; of IPv6 one network of 64 bits; 0 = as many as there may be
	HeaderTimeout     time.Duration // for a header to arrive
	BodyTimeout       time.Duration // for a body to arrive, after its header
	IdleTimeout       time.Duration // between two requests of a connection
	WriteTimeout      time.Duration // for the client to take an answer, or one event of a stream
	KeepAliveInterval time.Duration // between comments in a stream that has nothing else to say
	RequestTimeout    time.Duration // for a request in the engine, the queue included; 0 = none
	GraderTimeout     time.Duration // for a grader to judge an answer; 0 = 10 s
	RequestTokens     int           // prompts x n x (prompt + max_tokens) of one request; 0 = 8 times what the KV cache holds
}

// DefaultLimits suit a server on the open network.
func DefaultLimits() Limits {
	return Limits{BodyBytes: 8 << 20, HeaderBytes: 16 << 10, Connections: 4096, ConnectionsPerIP: 256, HeaderTimeout: 10 * time.Second, BodyTimeout: 30 * time.Second,
		IdleTimeout: 60 * time.Second, WriteTimeout: 10 * time.Second, KeepAliveInterval: 15 * time.Second,
		RequestTimeout: time.Hour}
}

// retryAfterSeconds is the advice in Retry-After of a 429 or 503 where nobody knows better.
const retryAfterSeconds = 1

// Validate says what is wrong with the Config.
func (c *Config) Validate() error {
	switch {
	case c.Engine == nil || c.Tokenizer == nil:
		return errors.New("server config: Engine and Tokenizer are required")
	case len(c.ModelNames) == 0 || c.ModelNames[0] == "":
		return errors.New("server config: ModelNames needs at least one name")
	case c.ContextTokens < 2:
		return fmt.Errorf("server config: ContextTokens is %d; want at least 2", c.ContextTokens)
	}
	return c.Access.Validate()
}

// Server answers HTTP requests on one listener. Make it with New, run it with Serve, end it with Shutdown.
type Server struct {
	Config
	limits   Limits
	ring     atomic.Pointer[auth.Ring]
	tokens   atomic.Pointer[auth.TokenKeys] // what it holds may be empty: there are no feedback tokens
	sessions *auth.Temporary
	grading  chan struct{} // holds a token for each grader that runs
	scoring  chan struct{} // holds a token for each answer that waits to be scored by this server
	trouble  quiet         // of the store
	visits   visits
	loopback bool
	created  int64 // Unix seconds
	log      *slog.Logger
	http     *fasthttp.Server
	grammars *grammars

	mu       sync.Mutex
	draining bool
	inFlight map[*context.CancelFunc]bool // generating requests
	idle     chan struct{}                // closed when draining and nothing is in flight
}

// New makes a Server.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits()
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = telemetry.NewMetrics(telemetry.Info{Model: c.ModelNames[0], Version: c.Version}, func() telemetry.EngineState { return EngineState(c.Engine, "") })
	}
	s := &Server{Config: c, limits: c.Limits, visits: newVisits(), loopback: isLoopback(c.Access.Host), created: time.Now().Unix(), log: c.Log,
		inFlight: map[*context.CancelFunc]bool{}, idle: make(chan struct{}), sessions: auth.NewTemporary(), grading: make(chan struct{}, maxGraders),
		scoring: make(chan struct{}, maxScoring)}
	s.ring.Store(c.Access.ring())
	s.SetTokenKeys(c.Access.TokenKeys)
	if err := s.restoreSessions(); err != nil {
		return nil, err
	}
	s.grammars = s.newGrammars()
	s.http = s.newHTTP()
	return s, nil
}

// newHTTP configures fasthttp. WriteTimeout stays zero there, since it would bound whole streams: setWriteDeadline does its work.
func (s *Server) newHTTP() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      s.handle,
		ErrorHandler:                 s.transportError,
		HeaderReceived:               s.headerReceived,
		Name:                         "astro",
		Concurrency:                  s.limits.Connections,
		ReadBufferSize:               s.limits.HeaderBytes,
		ReadTimeout:                  s.limits.HeaderTimeout,
		IdleTimeout:                  s.limits.IdleTimeout,
		MaxRequestBodySize:           s.limits.BodyBytes,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true, // a form's file stays in memory, within its limit
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       fasthttpLog{s.log},
	}
}

// fasthttpLog sends fasthttp's lines about connections to our log.
type fasthttpLog struct{ log *slog.Logger }

// Printf implements fasthttp.Logger. The arguments are left out, since they may quote what a client sent as a first line.
func (l fasthttpLog) Printf(format string, _ ...any) {
	l.log.Debug("a connection failed", "form", format)
}

// Serve answers on ln, over TLS where there is a certificate, until Shutdown; it closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.http.Serve(s.listener(ln)); err != nil {
		return fmt.Errorf("serve HTTP on %s: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown drains: /ready says 503 at once and new work is refused with 503, requests in flight go on until ctx is done and are
// cancelled then. It returns ctx's error if any had to be cancelled.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginDrain()
	var cut error
	select {
	case <-s.idle:
	case <-ctx.Done():
		cut = ctx.Err()
		s.cancelAll()
	}
	const closeTimeout = 2 * time.Second // for the last bytes to leave
	closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.http.ShutdownWithContext(closing); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("close the HTTP server: %w", err)
	}
	return cut
}

// beginDrain refuses new work from now on.
func (s *Server) beginDrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return
	}
	s.draining = true
	s.closeIfIdle()
}

func (s *Server) closeIfIdle() {
	if s.draining && len(s.inFlight) == 0 {
		close(s.idle)
	}
}

// begin counts a generating request. Its context ends with the returned function, with the client (see watch) or with a drain
// that ran out of time; ok is false while draining.
func (s *Server) begin() (ctx context.Context, cancel context.CancelFunc, end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil, nil, nil, false
	}
	ctx, cancel = s.lifetime()
	key := &cancel
	s.inFlight[key] = true
	return ctx, cancel, func() { s.end(key) }, true
}

// lifetime bounds a request by the time limit.
func (s *Server) lifetime() (context.Context, context.CancelFunc) {
	if s.limits.RequestTimeout > 0 {
		return context.WithTimeout(context.Background(), s.limits.RequestTimeout)
	}
	return context.WithCancel(context.Background())
}

// end forgets a request; the last one of a drain lets Shutdown go on.
func (s *Server) end(key *context.CancelFunc) {
	(*key)()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, key)
	s.closeIfIdle()
}

func (s *Server) cancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cancel := range s.inFlight {
		(*cancel)()
	}
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}
