// Package device runs computation graphs on the machine's best backend: one backend per process and Kind, graphs compiled to
// Programs that update their large arguments in place, and library functions that have a body of their own on each platform.
package device

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/gomlx/core/graph"

	"astro/internal/device/execcache"
	"astro/internal/device/interposer"
)

// Kind names a backend.
type Kind string

// The backends.
const (
	Go      Kind = "go"       // GoMLX's backend in pure Go, compiled in
	XLACPU  Kind = "xla:cpu"  // the XLA compiler on this machine's processors, from a plugin file
	XLACUDA Kind = "xla:cuda" // the same on a GPU of NVIDIA
)

// Auto is the value of Options.Backend that takes the best backend that works: xla:cuda, then xla:cpu, then go.
const Auto = "auto"

var bestFirst = []Kind{XLACUDA, XLACPU, Go}

// defaultCacheLimitBytes is the size of the executable cache if Options does not say.
const defaultCacheLimitBytes = 2 << 30

// Options say which backend to open and where its files are.
type Options struct {
	Backend         string  // "auto" (also ""), "go", "xla:cpu" or "xla:cuda"
	PluginDir       string  // folder with the plugins; "" = the usual places (see FindPlugin)
	CUDADir         string  // folder with the CUDA plugin, before PluginDir
	GPUUtilization  float64 // part of a GPU's memory that the process may take, above 0 and up to 1; 0 = 0.9
	LeaveGPUMemory  bool    // take a GPU's memory when it is needed, not all at the start
	CacheDir        string  // of compiled executables, private to the user (see DefaultCacheDir); "" = they are not kept
	CacheLimitBytes int64   // of that folder; 0 = 2 GiB
}

// Device is an open backend. It is safe for concurrent use and lives as long as the process.
type Device struct {
	kind    Kind
	backend compute.Backend
	plugin  string     // the plugin's file; "" for Go
	target  Target     // "" = the device is here
	cuda    *cudaParts // of a GPU
	cache   *execcache.Cache
	skipped []error    // why Auto passed over better backends
	across  sync.Mutex // held by what runs on several devices at once
	checked sync.Once  // that bodies of library functions are right
	programs
}

// opened holds the process's devices: tensors of two instances of one backend cannot meet in a graph, so there is only one each.
var opened = struct {
	sync.Mutex
	byKind     map[Kind]*Device
	background map[*Device]*Device // beside which they were opened
}{byKind: map[Kind]*Device{}, background: map[*Device]*Device{}}

// Open gives the process's device of the wanted kind. The first Open of a kind decides its other options, and compares the bodies of library
// functions with their references (AddCheck); DisabledBodies are those that failed. An error says what is missing and what to do about it.
func Open(o Options) (*Device, error) {
	d, err := open(o)
	if err != nil {
		return nil, err
	}
	d.checkBodies()
	return d, nil
}

func open(o Options) (*Device, error) {
	opened.Lock()
	defer opened.Unlock()
	switch o.Backend {
	case Auto, "":
		return openBest(o)
	case string(Go), string(XLACPU), string(XLACUDA):
		return openKind(Kind(o.Backend), o)
	}
	return nil, fmt.Errorf("open backend %q: no such backend; use auto, go, xla:cpu or xla:cuda", o.Backend)
}

func openBest(o Options) (*Device, error) {
	var skipped []error
	for _, kind := range bestFirst {
		d, err := openKind(kind, o)
		if err == nil {
			d.skipped = skipped
			return d, nil
		}
		skipped = append(skipped, err)
	}
	return nil, fmt.Errorf("open any backend: %w", errors.Join(skipped...))
}

func openKind(kind Kind, o Options) (*Device, error) {
	if d := opened.byKind[kind]; d != nil {
		return d, nil
	}
	d, err := newDevice(kind, o)
	if err != nil {
		return nil, fmt.Errorf("open backend %s: %w", kind, err)
	}
	opened.byKind[kind] = d
	return d, nil
}

func newDevice(kind Kind, o Options) (*Device, error) {
	d := &Device{kind: kind}
	if kind == Go {
		b, err := gobackend.New("ops_sequential") // in the parallel mode a donated buffer may be copied, and closures can deadlock
		d.backend = b
		return d, err
	}
	if err := d.find(o); err != nil {
		return nil, err
	}
	var err error
	if d.cache, err = openCache(o); err != nil {
		return nil, err
	}
	return d, d.openXLA(o)
}

// find looks for the files of an XLA backend.
func (d *Device) find(o Options) (err error) {
	if d.kind != XLACUDA {
		d.plugin, err = FindPlugin(d.kind, o.PluginDir)
		return err
	}
	parts, err := findCUDA(o)
	d.cuda, d.plugin = &parts, parts.plugin
	return err
}

func openCache(o Options) (*execcache.Cache, error) {
	if o.CacheDir == "" {
		return nil, nil
	}
	limit := o.CacheLimitBytes
	if limit == 0 {
		limit = defaultCacheLimitBytes
	}
	return execcache.Open(o.CacheDir, limit)
}

// openXLA loads the plugin behind the interposer and makes its client.
func (d *Device) openXLA(o Options) error {
	name, host, options := clientName(d.kind), hostCPU().identity(), ""
	if d.cuda != nil {
		if err := d.cuda.prepare(o.CacheDir); err != nil {
			return err
		}
		var err error
		if options, err = o.cudaClient(); err != nil {
			return err
		}
		host += "\x00" + d.cuda.identity()
	}
	xla.EnableAutoInstall(false)
	kind := d.kind
	if err := registerOnce(interposer.Config{
		Name:     name,
		Path:     d.plugin,
		Compile:  func(text string) (interposer.Rewritten, error) { return rewrite(kind, text) },
		Cache:    d.cache,
		Host:     host,
		Natives:  theNatives.close(kind),
		Platform: platforms[kind],
	}); err != nil {
		return err
	}
	b, err := xla.New(name + options)
	if err != nil && d.cuda != nil {
		return fmt.Errorf("%w (driver %s, plugin %s in %s)", err, cmp.Or(d.cuda.driver, "of an unknown version"), cmp.Or(d.cuda.version, "of an unknown version"), d.plugin)
	}
	if err != nil {
		return err
	}
	d.backend = b
	return nil
}

// cudaClient is what the client is told, in go-xla's words.
func (o Options) cudaClient() (string, error) {
	share := cmp.Or(o.GPUUtilization, defaultGPUUtilization)
	if !(share > 0 && share <= 1) {
		return "", fmt.Errorf("GPU utilization %v; want a part above 0 and up to 1, such as 0.9", o.GPUUtilization)
	}
	return fmt.Sprintf(cudaNumerics+",allocator=bfc,preallocate=%t,memory_fraction=%g", !o.LeaveGPUMemory, share), nil
}

// cudaNumerics keeps products of f32 in f32: tf32's 10 bits are too few for the log-probabilities that serving and training compare.
const cudaNumerics = ",tf32=false"

// clientName is what go-xla knows a plugin by. An absolute name skips its search and its downloads; it chooses CUDA's numerics by that word.
func clientName(kind Kind) string {
	if kind == XLACUDA {
		return "/astro/cuda"
	}
	return "/astro/cpu"
}

// registration is what a plugin's table was made for; it outlives a client that could not be made (a GPU that was busy).
var registration = map[string]string{}

// registerOnce registers a plugin at its first use and keeps that registration when a later Open tries again.
func registerOnce(c interposer.Config) error {
	if path, done := registration[c.Name]; done {
		if path != c.Path {
			return fmt.Errorf("plugin %s is loaded already; %s needs a new process", path, c.Path)
		}
		return nil
	}
	if err := interposer.Register(c); err != nil {
		return err
	}
	registration[c.Name] = c.Path
	return nil
}

// Kind says which backend it is.
func (d *Device) Kind() Kind { return d.kind }

// Backend is what GoMLX's functions take. Graphs compiled on it by other means than Compile get library functions too, but no
// in-place updates.
func (d *Device) Backend() compute.Backend { return d.backend }

// Plugin is the file of the PJRT plugin, or "".
func (d *Device) Plugin() string { return d.plugin }

// Skipped says why the better backends were passed over, if the device was opened with Auto.
func (d *Device) Skipped() []error { return d.skipped }

// CacheStats counts reads and writes of the executable cache by this process; ok is false without a cache.
func (d *Device) CacheStats() (stats execcache.Stats, ok bool) {
	if d.cache == nil {
		return stats, false
	}
	return d.cache.Stats(), true
}

// KindOf says on which kind of backend a graph is built; Go for a backend that was not opened here.
func KindOf(g *graph.Graph) Kind {
	if d := deviceOf(g.Backend()); d != nil {
		return d.kind
	}
	return Go
}

// deviceOf finds the device that owns a backend, or gives nil.
func deviceOf(b compute.Backend) *Device {
	opened.Lock()
	defer opened.Unlock()
	for _, devices := range []iter.Seq[*Device]{maps.Values(opened.byKind), maps.Values(opened.background), maps.Values(targets)} {
		for d := range devices {
			if d.backend == b {
				return d
			}
		}
	}
	return nil
}
