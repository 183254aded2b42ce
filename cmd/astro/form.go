package main

import (
	"errors"
	"fmt"
	"log/slog"

	"astro/engine"
	"astro/internal/device"
	"astro/kernels/native"

	"github.com/gomlx/compute/dtypes"
	"github.com/spf13/cobra"
)

// formFlags say how a model runs.
type formFlags struct {
	weights, kv, level string
	threads            int
}

func (f *formFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.weights, "weights", "auto", "on xla:cpu f32, bf16, int8 or int4 on native kernels; on xla:cuda int8; graph, or graph-int8, for plain operations; auto = native, as they are, where that can be, else graph")
	flags.StringVar(&f.kv, "kv", "auto", "keys and values: f32, bf16 or, on native kernels, f16 or int8; auto = as the weights are loaded")
	f.addKernels(c)
}

// addKernels adds what is said of native kernels whatever the form.
func (f *formFlags) addKernels(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.level, "kernel-level", "auto", "instruction set of native kernels: plain, avx2, avxvnni, avx512 or vnni; auto = the best that there is")
	flags.IntVar(&f.threads, "kernel-threads", 0, "threads of native kernels; 0 = one for each processor")
}

// chooseForm decides how the model runs, before its memory is planned.
func (b *backend) chooseForm(o serveOptions, d *device.Device, dtype dtypes.DType) (form engine.Form, err error) {
	if form, b.kvType, err = o.form.read(dtype); err != nil {
		return "", err
	}
	if form, err = form.On(d.Kind(), b.devices); err != nil {
		return "", fmt.Errorf("--weights: %w", err)
	}
	b.int8 = form == engine.FormGraphInt8
	b.packed, err = engine.ChooseForm(d, b.config, form, dtype, b.kvType, o.pageTokens)
	if b.packed == nil && err == nil && (b.kvType == dtypes.Float16 || b.kvType == dtypes.Int8) {
		err = errors.New("--kv " + o.form.kv + " needs native kernels, which this model or backend cannot use: use f32 or bf16")
	}
	return form, err
}

// describeForm is the form in words, for the log.
func (b *backend) describeForm() string {
	if b.packed == nil && b.devices > 1 {
		return fmt.Sprintf("graph, spread over %d devices", b.devices)
	}
	if b.int8 {
		return fmt.Sprintf("graph, weights int8, computed in %s", b.dtype)
	}
	if b.packed == nil {
		return "graph"
	}
	return fmt.Sprintf("native, weights %s, keys and values %s, %s, %d threads", b.packed.Weights, b.kvType, native.Used(), native.Threads())
}

// rounds says whether answers are computed in less than f32.
func (b *backend) rounds() bool {
	return b.dtype != dtypes.Float32 || b.kvType != dtypes.Float32 || b.int8 || b.packed != nil && b.packed.Weights != native.F32
}

// tellOfRounding says before anything is learned how what this form draws is learned from.
func (b *backend) tellOfRounding(o serveOptions, log *slog.Logger) {
	switch {
	case o.learn == "" || !b.rounds():
	case b.packed != nil && b.packed.Weights == native.Int4:
		log.Warn("int4 weights draw answers of other probabilities than the trainer's, by more than importance weights can stand for: most updates will be refused; --weights int8 learns")
	default:
		log.Info("answers are drawn in less than f32 and weighed by importance when they are learned from", "weights", o.form.weights, "kv", b.kvType)
	}
}

// read gives the form and the type of keys and values, those of weights of dtype unless another was asked for.
func (f *formFlags) read(dtype dtypes.DType) (engine.Form, dtypes.DType, error) {
	if err := f.useKernels(); err != nil {
		return "", 0, err
	}
	form, err := engine.ParseForm(f.weights)
	if err != nil {
		return "", 0, fmt.Errorf("--weights: %w", err)
	}
	kv, known := map[string]dtypes.DType{"": dtype, "auto": dtype, "f32": dtypes.Float32, "bf16": dtypes.BFloat16, "f16": dtypes.Float16, "int8": dtypes.Int8}[f.kv]
	if !known {
		return "", 0, errors.New("--kv " + f.kv + ": want f32, bf16, f16, int8 or auto")
	}
	return form, kv, nil
}

// useKernels sets native kernels up.
func (f *formFlags) useKernels() error {
	if f.threads < 0 {
		return fmt.Errorf("--kernel-threads %d: want at least 1, or 0 for one for each processor", f.threads)
	}
	if f.threads > 0 {
		native.SetThreads(f.threads)
	}
	if f.level != "auto" && f.level != "" {
		if err := native.Use(f.level); err != nil {
			return fmt.Errorf("--kernel-level: %w", err)
		}
	}
	return nil
}

// checkParallel says what does not go together with several devices.
func (o *serveOptions) checkParallel() error {
	switch {
	case o.tensorParallel < 1:
		return fmt.Errorf("--tensor-parallel %d: want at least 1", o.tensorParallel)
	case o.tensorParallel > 1 && o.learn != "":
		return fmt.Errorf("--tensor-parallel %d: a model that is spread over devices cannot be trained yet; serve without --learn, or on one device", o.tensorParallel)
	}
	return nil
}
