package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"astro/internal/device"
	"astro/kernels"
	"astro/kernels/native"
)

func newDoctorCommand() *cobra.Command {
	pluginDir, gpu := "", deviceFlags{}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say which backends this machine can run, and what would change that",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o := gpu.options()
			o.PluginDir = pluginDir
			return diagnose(c.OutOrStdout(), o)
		},
	}
	c.Flags().StringVar(&pluginDir, "plugin-dir", "", "folder to look for plugins in; default: the usual places")
	gpu.addGPU(c)
	return c
}

// diagnose prints the machine, every backend and the one that --backend auto takes. It fails only if none works.
func diagnose(w io.Writer, o device.Options) error {
	m := device.Describe()
	fmt.Fprintf(w, "astro %s\nmachine: %s, %d cores, vectors: %s\n", version(), m.Processor, m.Cores, orNone(m.Vectors))
	if m.TotalBytes > 0 {
		fmt.Fprintf(w, "memory: %.1f GiB, %.1f GiB of it available\n", gibibytes(m.TotalBytes), gibibytes(m.AvailableBytes))
	}
	best := ""
	for _, b := range device.Diagnose(o) {
		if !b.Works {
			fmt.Fprintf(w, "%-9s does not work here: %s\n", b.Kind, b.Detail)
			continue
		}
		if best == "" {
			best = string(b.Kind)
		}
		fmt.Fprintf(w, "%-9s works: %s\n", b.Kind, b.Detail)
		if b.Plugin != "" {
			fmt.Fprintf(w, "%-9s plugin %s\n", "", b.Plugin)
		}
		for _, note := range b.Notes {
			fmt.Fprintf(w, "%-9s %s\n", "", note)
		}
		sayDisabled(w, b.Kind)
		if b.Kind == device.XLACPU {
			fmt.Fprintf(w, "%-9s native kernels: %s\n", "", nativeKernels())
		}
		if b.Kind == device.XLACUDA {
			fmt.Fprintf(w, "%-9s attention of decodes: %s\n", "", kernels.DescribeDecode(b.Kind))
			fmt.Fprintf(w, "%-9s weights: as --dtype says, or of 8 bits with --weights int8\n", "")
		}
	}
	if o.CacheDir != "" {
		fmt.Fprintf(w, "compiled programs are kept in %s\n", o.CacheDir)
	}
	if best == "" {
		return fmt.Errorf("no backend works; the lines above say why")
	}
	fmt.Fprintf(w, "--backend auto takes %s\n", best)
	return nil
}

// sayDisabled says on a line each which kernels of a backend failed their check, so that plain operations run in their place.
func sayDisabled(w io.Writer, kind device.Kind) {
	for _, b := range device.DisabledBodies(kind) {
		fmt.Fprintf(w, "%-9s kernel not used: %s\n", "", b)
	}
}

// nativeKernels says what they use of the processor, or why there are none.
func nativeKernels() string {
	if err := device.Natives(device.XLACPU); err != nil {
		return "none: " + err.Error()
	}
	return fmt.Sprintf("%s, %d threads", native.Used(), native.Threads())
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "none known"
	}
	return strings.Join(words, " ")
}

func gibibytes(n int64) float64 { return float64(n) / (1 << 30) }
