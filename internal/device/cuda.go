package device

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cudaDataFlag tells XLA where ptxas and libdevice are.
const cudaDataFlag = "--xla_gpu_cuda_data_dir="

// prepareCUDA checks what the CUDA plugin needs besides itself and points XLA to NVIDIA's tools. The plugin finds its libraries by
// its own path: nvidia/... beside the jax_plugins folder of the wheels, or beside the plugin's folder.
func prepareCUDA(plugin string) error {
	if err := checkGPU(); err != nil {
		return err
	}
	data, err := cudaData(plugin)
	if err != nil {
		return err
	}
	flags := os.Getenv("XLA_FLAGS")
	if strings.Contains(flags, cudaDataFlag) {
		return nil // the user knows better
	}
	return os.Setenv("XLA_FLAGS", strings.TrimSpace(flags+" "+cudaDataFlag+data))
}

// checkGPU says whether the driver shows a GPU.
func checkGPU() error {
	if found, _ := filepath.Glob("/dev/nvidia[0-9]*"); len(found) > 0 {
		return nil
	}
	if _, err := os.Stat("/dev/dxg"); err == nil { // Windows Subsystem for Linux
		return nil
	}
	return fmt.Errorf("no NVIDIA GPU: there is no /dev/nvidia0; install NVIDIA's driver (580 or later), or give the container the GPU")
}

// cudaData finds the folder with bin/ptxas and nvvm/libdevice of CUDA 13, from the wheels beside the plugin.
func cudaData(plugin string) (string, error) {
	real, err := filepath.EvalSymlinks(plugin)
	if err != nil {
		return "", fmt.Errorf("CUDA plugin: %w", err)
	}
	dir := filepath.Dir(real)
	tried := []string{
		filepath.Join(dir, "nvidia", "cu13"),
		filepath.Join(dir, "..", "nvidia", "cu13"),
		filepath.Join(dir, "..", "..", "nvidia", "cu13"),
	}
	for _, d := range tried {
		if missing := missingTool(d); missing == "" {
			return d, nil
		} else if info, err := os.Stat(d); err == nil && info.IsDir() {
			return "", fmt.Errorf("CUDA tools in %s lack %s; install the wheels nvidia-cuda-nvcc and nvidia-nvvm there", d, missing)
		}
	}
	return "", fmt.Errorf("no CUDA tools (ptxas, libdevice): tried %s; run `%s`", strings.Join(tried, ", "), pluginFiles[XLACUDA].hint)
}

func missingTool(dir string) string {
	for _, tool := range []string{"bin/ptxas", "nvvm/libdevice/libdevice.10.bc"} {
		if _, err := os.Stat(filepath.Join(dir, tool)); err != nil {
			return tool
		}
	}
	return ""
}
