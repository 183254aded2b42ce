package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"astro/engine"
	"astro/internal/device"
	"astro/internal/telemetry"
	"astro/model"
	"astro/model/chat"
	"astro/model/llama"
	"astro/model/tokenizer"
	"astro/server"
	"astro/training"
)

// serveOptions are the flags of astro serve.
type serveOptions struct {
	dir      string // as given: a folder or a name on a hub; "" = the demo model; from complete on a folder
	revision string // commit of a model of a hub; "" = a folder of the user
	hub      hubFlags
	host     string
	port     int
	deviceFlags
	dtype          string
	form           formFlags
	tensorParallel int // devices that the model is spread over
	maxSlots       int
	contextTokens  int   // 0 = the model's
	pageTokens     int   // positions per page
	chunkTokens    int   // of a prefill row
	decodeSteps    int   // engine.Config.DecodeSteps; 0 = engine.RolloutSteps
	stepsForAll    bool  // engine.Config.InteractiveAhead
	kvBytes        int64 // of the KV pools; 0 = chosen by the memory plan
	memoryBytes    int64 // that may be used on the device; 0 = ask the machine
	names, keys    []string
	strict         bool
	drainTimeout   time.Duration
	stepTimeout    time.Duration
	accessFlags
	learnFlags
	traces    string // URL of an OTLP receiver; "" = as the environment says
	logFormat string // text or json
}

func defaultServeOptions() serveOptions {
	return serveOptions{host: "127.0.0.1", port: 8080, dtype: "f32", tensorParallel: 1, maxSlots: 32, pageTokens: 16, chunkTokens: 256, decodeSteps: 1,
		drainTimeout: 30 * time.Second, stepTimeout: 30 * time.Second, accessFlags: accessFlags{limits: server.DefaultLimits(), tokenLife: 24 * time.Hour}, learnFlags: defaultLearnFlags(), logFormat: "text"}
}

func newServeCommand() *cobra.Command {
	o := defaultServeOptions()
	c := &cobra.Command{
		Use:   "serve [MODEL]",
		Short: "Serve a model over the OpenAI API",
		Long: "Serve MODEL, " + modelUse + ", or the demo model, over the OpenAI API.\n" +
			"API keys come from --keys FILE (see astro keys), ASTRO_API_KEY (several with commas between) and --api-key; those of ASTRO_ADMIN_KEY\n" +
			"may read metrics and profiles and nothing else. Without any key only loopback is served.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.dir = strings.Join(args, "")
			o.keys = append(o.keys, splitKeys(os.Getenv("ASTRO_API_KEY"))...)
			o.adminKeys = splitKeys(os.Getenv("ASTRO_ADMIN_KEY"))
			return serve(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.hub.add(c)
	o.accessFlags.add(c)
	o.learnFlags.add(c)
	o.form.add(c)
	f := c.Flags()
	f.StringVar(&o.host, "host", o.host, "address to listen on; one that other machines reach needs API keys")
	f.IntVar(&o.port, "port", o.port, "port to listen on; 0 = any free one")
	o.addDevice(c, "")
	f.StringVar(&o.dtype, "dtype", o.dtype, "that weights are loaded in: f32 or bf16; also that of keys and values, unless --kv says another")
	f.IntVar(&o.tensorParallel, "tensor-parallel", o.tensorParallel, "devices of the backend that the model is spread over; its heads, feed-forward network and vocabulary must divide by it")
	f.IntVar(&o.maxSlots, "max-slots", o.maxSlots, "sequences that run at one time")
	f.IntVar(&o.contextTokens, "context", 0, "longest prompt and answer together, in tokens; 0 = the model's own")
	f.IntVar(&o.pageTokens, "page-tokens", o.pageTokens, "positions per page of the KV cache")
	f.IntVar(&o.chunkTokens, "chunk-tokens", o.chunkTokens, "prompt tokens of one sequence in one step")
	f.IntVar(&o.decodeSteps, "decode-steps", o.decodeSteps, "tokens that a step draws for each sequence where all that run are the program's own, as rollouts are; 0 = as many as suit the device")
	f.BoolVar(&o.stepsForAll, "decode-steps-for-all", false, "draw so many for requests, too: more tokens a second, which arrive --decode-steps at a time")
	f.Int64Var(&o.kvBytes, "kv-bytes", 0, "size of the KV cache; 0 = as much as is useful and fits")
	f.Int64Var(&o.memoryBytes, "memory-bytes", 0, "memory that may be used on the device, or on each of several; 0 = what the machine has free")
	f.StringSliceVar(&o.names, "served-model-name", nil, "names of the model in requests, the first one also in answers; default: the folder's, or OWNER/NAME")
	f.StringSliceVar(&o.keys, "api-key", nil, "API keys to accept; other users of the machine can see flags, so prefer ASTRO_API_KEY")
	f.BoolVar(&o.strict, "strict-params", false, "refuse unknown request parameters instead of ignoring them visibly")
	f.DurationVar(&o.stepTimeout, "step-timeout", o.stepTimeout, "time without a finished step after which /ready says 503; the first step of a shape compiles it")
	f.DurationVar(&o.drainTimeout, "drain-timeout", o.drainTimeout, "time that running requests get to finish after SIGTERM")
	f.StringVar(&o.traces, "otlp-endpoint", "", "URL of an OpenTelemetry receiver of traces, as http://localhost:4317; default: OTEL_EXPORTER_OTLP_ENDPOINT, or no traces")
	f.StringVar(&o.logFormat, "log-format", o.logFormat, "text or json")
	return c
}

func splitKeys(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// serve runs until ctx ends (the first SIGTERM or Ctrl-C) and then drains; a second signal ends the process (main).
func serve(ctx context.Context, o serveOptions, out, diagnostics io.Writer) error {
	access, err := o.access()
	if err != nil {
		return err
	}
	certificate, err := o.certificate()
	if err != nil {
		return err
	}
	hangups := o.hangups()
	if err := o.complete(ctx, diagnostics); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(o.host, strconv.Itoa(o.port)))
	if err != nil {
		return fmt.Errorf("cannot listen: %w; choose another --port, or 0 for any free one", err)
	}
	defer ln.Close()
	log, err := newLog(o.logFormat, diagnostics)
	if err != nil {
		return err
	}
	l, err := openStore(ctx, &o, log)
	if err != nil {
		return err
	}
	defer l.close()
	b, err := newBackend(o, l.first(o.dir), log, diagnostics)
	if err != nil {
		return err
	}
	idle := true // nothing works on the device
	defer func() {
		if idle {
			b.close()
		}
	}()
	tracer, err := telemetry.NewTracer(ctx, telemetry.TraceConfigFromEnv(o.traces, version()))
	if err != nil {
		return err
	}
	defer closeTracer(tracer, log)
	if err := l.begin(ctx, b, o, tracer); err != nil {
		return err
	}
	var deadline time.Time // of the end
	defer func() { idle = l.end(deadline) }()
	s, err := b.newServer(o, l, access, certificate, tracer, log)
	if err != nil {
		return err
	}
	go o.reloadOnHangup(ctx, hangups, s, log)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	announce(out, o, ln.Addr())
	b.runner.Warm()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		deadline = time.Now().Add(o.drainTimeout)
		l.halt()
		return drain(s, o.drainTimeout, log)
	}
}

// complete fills in what depends on other flags and the environment, and checks what can be checked before a model is loaded.
func (o *serveOptions) complete(ctx context.Context, diagnostics io.Writer) error {
	if err := o.checkParallel(); err != nil {
		return err
	}
	if o.dir == "" {
		dir, err := demoModel()
		if err != nil {
			return err
		}
		o.dir = dir
	}
	found, err := o.hub.modelDir(ctx, o.dir, diagnostics)
	if err != nil {
		return err
	}
	if o.dir, o.revision = found.dir, found.revision; len(o.names) == 0 {
		o.names = []string{found.name}
	}
	return nil
}

// demoModel finds the model of this project: beside the working directory, or beside the program as `make build` and the
// container image lay it out.
func demoModel() (string, error) {
	const demo = "models/astro-countdown"
	places := []string{demo}
	if program, err := os.Executable(); err == nil {
		for _, up := range []string{".", "..", "../share/astro"} {
			places = append(places, filepath.Join(filepath.Dir(program), up, demo))
		}
	}
	for _, dir := range places {
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("the demo model is in none of %s: name a Hugging Face folder or a GGUF file, as in `astro serve MODEL`, "+
		"or make one with `astro recipe countdown`", strings.Join(places, ", "))
}

// announce says where the server is: one line for scripts, one to paste.
func announce(out io.Writer, o serveOptions, addr net.Addr) {
	port := addr.(*net.TCPAddr).Port
	scheme := "http"
	if o.certFile != "" {
		scheme = "https"
	}
	url := scheme + "://" + net.JoinHostPort(o.host, strconv.Itoa(port))
	fmt.Fprintf(out, "listening on %s\n", url)
	key := ""
	if len(o.keys) > 0 || o.keyFile != "" {
		key = ` -H "Authorization: Bearer $ASTRO_API_KEY"`
	}
	fmt.Fprintf(out, "try: curl %s/v1/chat/completions -H 'Content-Type: application/json'%s -d "+
		`'{"model": "%s", "messages": [{"role": "user", "content": "3 4 5 6 -> 18"}]}'`+"\n", url, key, o.names[0])
}

// drain ends a server in order. Requests that outlast the timeout are cut and told so, which is no failure of the program.
func drain(s *server.Server, timeout time.Duration, log *slog.Logger) error {
	log.Info("draining: requests in flight may finish; a second signal ends at once", "timeout", timeout)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("requests outlasted the drain timeout and were cut")
		return nil
	}
	return err
}

// backend is a loaded model with the engine that runs it.
type backend struct {
	config    model.Config
	context   int // tokens
	tokenizer *tokenizer.Tokenizer
	template  *chat.Template
	info      json.RawMessage // tokenizer_config.json
	device    *device.Device
	devices   int // of it that the model is spread over
	policy    *model.Policy
	packed    *llama.Packed // nil = the plain graph runs
	int8      bool          // on weights of 8 bits
	dtype     dtypes.DType  // that weights are loaded in
	kvType    dtypes.DType
	runner    *engine.DeviceRunner
	engine    *engine.Engine
	metrics   *telemetry.Metrics
}

// newBackend opens the device, plans memory, loads the model and starts the engine, in the order in which mistakes are cheapest.
func newBackend(o serveOptions, first training.Start, log *slog.Logger, diagnostics io.Writer) (*backend, error) {
	b := &backend{}
	b.metrics = telemetry.NewMetrics(telemetry.Info{Model: o.names[0], Version: version()}, func() telemetry.EngineState { return b.measure(o.dtype) })
	var err error
	if b.config, err = model.LoadConfig(o.dir); err != nil {
		return nil, err
	}
	if b.tokenizer, b.template, err = loadText(o.dir, log); err != nil {
		return nil, err
	}
	if b.info, err = tokenizerInfo(o.dir); err != nil {
		return nil, err
	}
	dtype, err := model.ParseDType(o.dtype)
	if err != nil {
		return nil, err
	}
	b.dtype = dtype
	d, err := o.openDevice()
	if err != nil {
		return nil, err
	}
	b.context = b.config.MaxPositions
	if o.contextTokens > 0 {
		b.context = min(b.context, o.contextTokens)
	}
	b.device, b.devices = d, o.tensorParallel
	if _, err := engine.ShareModel(d, b.config, b.devices); err != nil {
		return nil, fmt.Errorf("--tensor-parallel %d: %w", b.devices, err)
	}
	form, err := b.chooseForm(o, d, dtype)
	if err != nil {
		return nil, err
	}
	b.tellOfRounding(o, log)
	plan, err := planMemory(b, o, d, dtype)
	if err != nil {
		return nil, err
	}
	_, learning := o.learnFlags.memory(b, d.Kind())
	log.Info("memory plan", "device", d.Kind(), "plan", plan.String(), "learning", fmt.Sprintf("%.1f MiB", float64(learning)/(1<<20)))
	log.Info("kernels", "form", b.describeForm())
	for _, k := range device.DisabledBodies(d.Kind()) {
		log.Warn("a kernel failed its check, plain operations run in its place", "kernel", k.Function, "reason", k.Reason)
	}
	if err := b.load(first, d, dtype, diagnostics); err != nil {
		return nil, err
	}
	if err := b.start(o, d, form, plan.KVPages, log); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// loadText reads the tokenizer and the chat template; a model without a template completes text only.
func loadText(dir string, log *slog.Logger) (*tokenizer.Tokenizer, *chat.Template, error) {
	tok, err := tokenizer.LoadModel(dir)
	if err != nil {
		return nil, nil, err
	}
	template, err := tokenizer.LoadTemplate(dir)
	if errors.Is(err, chat.ErrNoTemplate) {
		log.Warn("the model has no chat template: chat requests are refused, text completions work")
		return tok, nil, nil
	}
	return tok, template, err
}

// load puts the weights on the device, or into the host's memory where several devices get parts of them, with a progress bar where somebody watches.
func (b *backend) load(first training.Start, d *device.Device, dtype dtypes.DType, diagnostics io.Writer) error {
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(diagnostics), progressbar.OptionSetVisibility(isTerminal(diagnostics)),
		progressbar.OptionSetDescription("loading"), progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
	to := d.Backend()
	if b.devices > 1 {
		to = nil
	}
	progress := func(done, total int64) {
		bar.ChangeMax64(total)
		bar.Set64(done) // fails only if the terminal does
	}
	var weights *model.Weights
	var err error
	if b.int8 {
		weights, err = model.LoadInt8(first.Path, d, dtype, progress)
	} else {
		weights, err = model.Load(first.Path, to, dtype, progress)
	}
	if err != nil {
		return err
	}
	bar.Finish()
	b.policy = model.NewPolicy(first.Version, weights)
	return nil
}

// isTerminal says whether a person may be looking.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// start makes the runner and the engine on it.
func (b *backend) start(o serveOptions, d *device.Device, form engine.Form, pages int, log *slog.Logger) (err error) {
	b.runner, err = engine.NewDeviceRunner(d, b.policy, engine.RunnerConfig{
		Pages: pages, PageTokens: o.pageTokens, MaxSlots: o.maxSlots, ChunkTokens: o.chunkTokens, MaxContextTokens: b.context, KVType: b.kvType, TensorParallel: b.devices, Form: form,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes, Background: true})
	if err != nil {
		return err
	}
	if (b.packed != nil || b.devices > 1) && o.store == "" {
		b.policy.Weights.Drop() // only a store's versions are made of them
	}
	c := engine.DefaultConfig(b.config.Vocab, o.maxSlots, b.context)
	c.EOS, c.Pages, c.PageTokens, c.ChunkTokens, c.StepTokens = b.config.EOS, pages, o.pageTokens, o.chunkTokens, o.stepTokens()
	if c.DecodeSteps, c.InteractiveAhead = o.decodeSteps, o.stepsForAll; c.DecodeSteps == 0 {
		c.DecodeSteps = engine.RolloutSteps(d)
	}
	if o.maxQueuedRequests > 0 {
		c.MaxQueuedRequests = o.maxQueuedRequests
	}
	if o.learn != "" {
		c.BatchTokens = o.batchTokens
	}
	b.engine, err = engine.New(b.runner, engine.Options{Config: c, Version: b.policy.Version, StepTimeout: o.stepTimeout, Switch: o.swapNow,
		OnStep:    func(i engine.StepInfo) { b.metrics.Step(i.Tokens, i.Took, i.Host) },
		OnFailure: func(err error) { log.Error("a step failed", "error", err) }})
	return err
}

// stepTokens leaves room for every decode and one full chunk of a prompt in a step.
func (o *serveOptions) stepTokens() int { return o.maxSlots + o.chunkTokens }

// newServer puts HTTP in front of the engine.
func (b *backend) newServer(o serveOptions, l *learning, access server.Access, certificate *server.Certificate, tracer *telemetry.Tracer, log *slog.Logger) (*server.Server, error) {
	c := server.Config{Metrics: b.metrics, Tracer: tracer, Engine: b.engine, Tokenizer: b.tokenizer, Template: b.template, TokenizerInfo: b.info, ModelNames: o.names, ContextTokens: b.context,
		Access: access, Certificate: certificate, Limits: o.limits, StrictParams: o.strict, Version: version(), Grapher: graph, FeedbackLife: o.tokenLife, Log: log}
	graders, err := o.graders()
	if err != nil {
		return nil, err
	}
	c.Graders = graders
	if len(graders) > 0 {
		c.Limits.GraderTimeout = max(o.graderTimeout+graderGrace, minGraderTimeout)
	}
	l.wire(&c)
	s, err := server.New(c)
	if err == nil {
		l.serve(s)
	}
	return s, err
}

// close frees what was made, in reverse order; parts that are missing after a failed start are skipped.
func (b *backend) close() {
	if b.engine != nil {
		b.engine.Close()
	}
	if b.runner != nil {
		b.runner.Close()
	}
	if b.policy != nil {
		b.policy.Release()
	}
}
