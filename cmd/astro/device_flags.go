package main

import (
	"github.com/spf13/cobra"

	"astro/internal/device"
)

// deviceFlags say what a command computes on.
type deviceFlags struct {
	backend        string // "" = auto
	cudaDir        string
	gpuUtilization float64 // 0 = the device's default
}

// addDevice adds them; note says more of --backend, or is "".
func (f *deviceFlags) addDevice(c *cobra.Command, note string) {
	c.Flags().StringVar(&f.backend, "backend", device.Auto, "auto, go, xla:cpu or xla:cuda"+note)
	f.addGPU(c)
}

// addGPU adds those that are about GPUs only.
func (f *deviceFlags) addGPU(c *cobra.Command) {
	c.Flags().StringVar(&f.cudaDir, "cuda-dir", "", "folder with XLA's CUDA plugin, such as a site-packages with the wheels; default: ASTRO_CUDA_DIR, then .cache/xla-cuda, then the packages of python3")
	c.Flags().Float64Var(&f.gpuUtilization, "gpu-memory-utilization", 0.9, "part of a GPU's memory that this process takes, at its start")
}

func (f *deviceFlags) options() device.Options {
	return device.Options{Backend: f.backend, CUDADir: f.cudaDir, GPUUtilization: f.gpuUtilization, CacheDir: device.DefaultCacheDir()}
}

func (f *deviceFlags) openDevice() (*device.Device, error) { return device.Open(f.options()) }
