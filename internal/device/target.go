package device

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/gomlx/go-xla/compute/xla"

	"astro/internal/device/hlo"
	"astro/internal/device/interposer"
)

// Target is a device that programs can be compiled for where it is not.
type Target string

// TargetH200 is a GPU of 141 GB, sm_90.
const TargetH200 Target = "h200"

//go:embed targets/h200.txtpb
var h200 string

var targetConfigs = map[Target]string{TargetH200: h200}

// targetPlugin is how the CUDA plugin of targets is looked for: it needs ptxas and libdevice beside it, but none of CUDA's libraries.
var targetPlugin = pluginFile{
	env:   "ASTRO_CUDA_AOT_PLUGIN",
	dir:   "cuda-aot",
	names: []string{"jax_plugins/xla_cuda13/xla_cuda_plugin.so"},
	hint:  "make cuda-aot-wheels",
}

// ErrNotHere is in the error of running a program that was compiled for a Target.
var ErrNotHere = errors.New("the device that it was compiled for is not here")

var targets = map[Target]*Device{} // under opened

// OpenTarget gives a device of kind XLACUDA whose programs are compiled for a Target and cannot be run: what the compiler made of them is
// looked at (Program.Info, Program.Optimized). No driver, GPU or CUDA library is needed; xla:cpu's plugin is, whose client graphs are built
// with, and the CUDA plugin with its compiler (ASTRO_CUDA_AOT_PLUGIN, or `make cuda-aot-wheels`). A process has one Target at most.
func OpenTarget(t Target) (*Device, error) {
	opened.Lock()
	defer opened.Unlock()
	if d := targets[t]; d != nil {
		return d, nil
	}
	d, err := newTarget(t)
	if err != nil {
		return nil, fmt.Errorf("open target %s: %w", t, err)
	}
	targets[t] = d
	return d, nil
}

func newTarget(t Target) (*Device, error) {
	config, known := targetConfigs[t]
	if !known {
		return nil, fmt.Errorf("no such target; want %s", TargetH200)
	}
	builder, err := FindPlugin(XLACPU, "")
	if err != nil {
		return nil, err
	}
	d := &Device{kind: XLACUDA, target: t}
	if d.plugin, err = targetPlugin.find(""); err != nil {
		return nil, err
	}
	target, err := interposer.OpenTarget(string(t), d.plugin, config)
	if err != nil {
		return nil, err
	}
	xla.EnableAutoInstall(false)
	name := t.clientName()
	if err := registerOnce(interposer.Config{
		Name:     name,
		Path:     builder,
		Compile:  func(text string) (interposer.Rewritten, error) { return rewrite(XLACUDA, text) },
		Target:   target,
		Natives:  theNatives.close(XLACUDA),
		Platform: platforms[XLACUDA],
	}); err != nil {
		return nil, err
	}
	d.backend, err = xla.New(name + cudaNumerics)
	return d, err
}

// clientName is what go-xla knows the client by that builds graphs for a target.
func (t Target) clientName() string { return clientName(XLACUDA) + "-" + string(t) }

// registeredAs is the name of the plugin that compiles for a kind of device: where none is here, that of a Target.
func registeredAs(kind Kind) string {
	if kind == XLACUDA && !Here(kind) {
		opened.Lock()
		defer opened.Unlock()
		for t := range targets {
			return t.clientName()
		}
	}
	return clientName(kind)
}

// Here says whether a device of the kind is open on which programs can be run: a Target is not.
func Here(kind Kind) bool {
	opened.Lock()
	defer opened.Unlock()
	return opened.byKind[kind] != nil
}

// Optimized is the program as a Target's compiler left it; an error on other devices.
func (p *Program) Optimized() (*hlo.Module, error) {
	if p.compiled.Optimized == nil {
		return nil, fmt.Errorf("program %s: only programs for a target are kept in their optimised form", p.name)
	}
	return hlo.Parse(p.compiled.Optimized)
}
