package device

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write makes a file and the folders to it.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// wheels lays out a folder as pip does with the wheels of the plugin and of NVIDIA.
func wheels(t *testing.T, version string) (dir, plugin string) {
	dir = t.TempDir()
	plugin = write(t, filepath.Join(dir, "jax_plugins", "xla_cuda13", "xla_cuda_plugin.so"), "\x7fELF\x00xla_gpu_cuda_data_dir\x00more")
	write(t, filepath.Join(filepath.Dir(plugin), "version.py"), "import os\n\n_version = \""+version+"\"\n")
	for _, file := range []string{"cu13/bin/ptxas", "cu13/nvvm/libdevice/libdevice.10.bc", "cu13/lib/libcublas.so.13", "cudnn/lib/libcudnn.so.9"} {
		write(t, filepath.Join(dir, "nvidia", file), "")
	}
	return dir, plugin
}

// Without a GPU nothing else is looked for, and nothing else is complained of.
func TestNoGPUIsSaidFirst(t *testing.T) {
	if checkGPU("/dev") == nil {
		t.Skip("this machine has a GPU")
	}
	_, err := Open(Options{Backend: string(XLACUDA), CUDADir: filepath.Join(t.TempDir(), "nothing")})
	if err == nil || !strings.Contains(err.Error(), "no NVIDIA GPU") || !strings.Contains(err.Error(), "install NVIDIA's driver") {
		t.Errorf("got error %v; want one that says that there is no GPU", err)
	}
}

func TestCheckGPU(t *testing.T) {
	dev := t.TempDir()
	if checkGPU(dev) == nil {
		t.Error("an empty folder shows a GPU")
	}
	write(t, filepath.Join(dev, "nvidiactl"), "")
	if checkGPU(dev) == nil {
		t.Error("the driver without a GPU shows one")
	}
	write(t, filepath.Join(dev, "nvidia0"), "")
	if err := checkGPU(dev); err != nil {
		t.Error(err)
	}
}

func TestFindCUDAPlugin(t *testing.T) {
	dir, plugin := wheels(t, "0.11.2")
	venv := t.TempDir()
	inVenv := write(t, filepath.Join(venv, "lib", "python3.12", "site-packages", "jax_plugins", "xla_cuda13", "xla_cuda_plugin.so"), "")
	installed := t.TempDir()
	byInstaller := write(t, filepath.Join(installed, "nvidia", "pjrt_c_api_cuda_plugin.so"), "")
	for dir, want := range map[string]string{dir: plugin, filepath.Dir(plugin): plugin, venv: inVenv, installed: byInstaller} {
		if got, err := FindPlugin(XLACUDA, dir); got != want {
			t.Errorf("in %s: got %q, error %v; want %q", dir, got, err, want)
		}
	}
	t.Setenv(cudaDirEnv, dir)
	if got, err := FindPlugin(XLACUDA, ""); got != plugin {
		t.Errorf("named by the environment: got %q, error %v; want %q", got, err, plugin)
	}
	t.Setenv(cudaDirEnv, filepath.Join(dir, "nvidia"))
	if _, err := FindPlugin(XLACUDA, ""); err == nil || !strings.Contains(err.Error(), cudaDirEnv) {
		t.Errorf("got error %v of a folder without a plugin; want one that names %s", err, cudaDirEnv)
	}
}

func TestCUDATools(t *testing.T) {
	dir, plugin := wheels(t, "0.11.2")
	folders := nvidiaFolders(plugin)
	if want := []string{filepath.Join(dir, "nvidia")}; !slices.Equal(folders, want) {
		t.Fatalf("got the folders %v; want %v", folders, want)
	}
	if got, want := libraryFolders(folders), []string{filepath.Join(dir, "nvidia/cu13/lib"), filepath.Join(dir, "nvidia/cudnn/lib")}; !slices.Equal(got, want) {
		t.Errorf("got the library folders %v; want %v", got, want)
	}
	cu13 := filepath.Join(dir, "nvidia", "cu13")
	if got, err := cudaData(folders); got != cu13 {
		t.Errorf("got %q, error %v; want %q", got, err, cu13)
	}
	toolkit := t.TempDir()
	write(t, filepath.Join(toolkit, "bin", "ptxas"), "")
	write(t, filepath.Join(toolkit, "nvvm", "libdevice", "libdevice.10.bc"), "")
	os.Remove(filepath.Join(cu13, "bin", "ptxas"))
	if got, err := cudaData(append(folders, toolkit)); got != toolkit {
		t.Errorf("got %q, error %v; want the toolkit %q", got, err, toolkit)
	}
	_, err := cudaData(folders)
	for _, want := range []string{"lacks bin/ptxas", "nvidia-cuda-nvcc", "CUDA_HOME"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v; want one with %q", err, want)
		}
	}
}

// A library that is there is loaded by its path; what programs cannot do without is an error with the wheels to install.
func TestCUDALibraries(t *testing.T) {
	var c cudaParts
	err := c.loadLibraries([]string{t.TempDir()})
	if err == nil { // CUDA 13 is installed
		t.Skip("this machine has CUDA's libraries where the loader looks")
	}
	for _, want := range []string{"libcudnn.so.9", "nvidia-cudnn-cu13", "make cuda"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v; want one with %q", err, want)
		}
	}
	if !slices.Contains(c.missing, "libcufft.so.12") {
		t.Errorf("got %v as what may be missing; want libcufft.so.12 in it", c.missing)
	}
	path, err := loadLibrary("libm.so.6", nil)
	if err != nil || !filepath.IsAbs(path) {
		t.Errorf("got path %q, error %v of libm; want where it lies", path, err)
	}
}

// XLA ends the process at a flag that it does not know: only those that the plugin's file names are set, and the user's own win.
func TestXLAFlags(t *testing.T) {
	_, plugin := wheels(t, "0.11.2")
	flags := []xlaFlag{{"xla_gpu_cuda_data_dir", "/a"}, {"xla_gpu_not_known", "1"}, {"xla_gpu_cuda_data", "2"}}
	for users, want := range map[string]string{
		"":                              "--xla_gpu_cuda_data_dir=/a",
		"--xla_dump_to=/d":              "--xla_dump_to=/d --xla_gpu_cuda_data_dir=/a",
		"--xla_gpu_cuda_data_dir=/mine": "--xla_gpu_cuda_data_dir=/mine",
	} {
		if got, err := withXLAFlags(users, plugin, flags); got != want {
			t.Errorf("with %q of the user: got %q, error %v; want %q", users, got, err, want)
		}
	}
	t.Setenv("XLA_FLAGS", "")
	cache := filepath.Join(t.TempDir(), "executables")
	if err := (cudaParts{plugin: plugin, data: "/tools"}).prepare(cache); err != nil || os.Getenv("XLA_FLAGS") != "--xla_gpu_cuda_data_dir=/tools" {
		t.Errorf("got %q, error %v; want the folder of the tools", os.Getenv("XLA_FLAGS"), err)
	}
}

func TestDriverVersion(t *testing.T) {
	for text, want := range map[string]string{
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Thu Jan  1 00:00:00 UTC 2026\nGCC version:  gcc version 13.3.0\n":     "580.159.04",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)  Thu Jan  1 00:00:00 UTC 2026\n": "570.86.15",
		"580.126.09\n": "580.126.09",
		"nothing":      "",
	} {
		if got := parseDriverVersion(text); got != want {
			t.Errorf("got %q of %q; want %q", got, text, want)
		}
	}
}

func TestPluginVersion(t *testing.T) {
	_, plugin := wheels(t, "0.11.2")
	if got := pluginVersion(plugin); got != "0.11.2" {
		t.Errorf("got version %q; want 0.11.2", got)
	}
	if got := pluginVersion(filepath.Join(t.TempDir(), "other.so")); got != "" {
		t.Errorf("got version %q of a plugin that says none", got)
	}
	for version, want := range map[string]string{"0.10.2": "compiled the programs", "0.12.1": "not tried", "0.9.9": "NOT supported", "0.10.1": "NOT supported", "0.13.0": "NOT supported", "": "unknown version"} {
		if got := judgePlugin(version); !strings.Contains(got, want) {
			t.Errorf("of version %q got %q; want %q in it", version, got, want)
		}
	}
}

// Another driver or another file of a library is another host for the cache of executables.
func TestCUDAIdentity(t *testing.T) {
	library := write(t, filepath.Join(t.TempDir(), "libcublas.so.13"), "one")
	c := cudaParts{driver: "580.1", loaded: []loadedLibrary{{"libcublas.so.13", library}}}
	before := c.identity()
	if before != c.identity() {
		t.Error("the same parts have two identities")
	}
	if other := (cudaParts{driver: "580.2", loaded: c.loaded}).identity(); other == before {
		t.Error("another driver has the same identity")
	}
	write(t, library, "another")
	if c.identity() == before {
		t.Error("another library has the same identity")
	}
}

func TestCUDAClient(t *testing.T) {
	for want, o := range map[string]Options{
		",tf32=false,allocator=bfc,preallocate=true,memory_fraction=0.9":  {},
		",tf32=false,allocator=bfc,preallocate=false,memory_fraction=0.5": {GPUUtilization: 0.5, LeaveGPUMemory: true},
	} {
		if got, err := o.cudaClient(); got != want || err != nil {
			t.Errorf("got %q, error %v; want %q", got, err, want)
		}
	}
	for _, bad := range []float64{-0.1, 1.5} {
		if _, err := (Options{GPUUtilization: bad}).cudaClient(); err == nil {
			t.Errorf("%v of the memory is accepted", bad)
		}
	}
}

// Where there is a Python, its folders of packages are found.
func TestPythonFolders(t *testing.T) {
	dirs := pythonFolders()
	if len(dirs) == 0 {
		t.Skip("there is no python3 in PATH")
	}
	if !slices.ContainsFunc(dirs, func(d string) bool { return strings.HasSuffix(d, "-packages") }) {
		t.Errorf("got %v; want a folder of packages", dirs)
	}
}

// A device of XLA says what it computes on; CPU plugins tell no memory.
func TestChips(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		chips, err := d.Chips()
		if err != nil || (d.kind == Go) != (len(chips) == 0) {
			t.Fatalf("got %v, error %v", chips, err)
		}
		if len(chips) > 0 && chips[0].Model == "" {
			t.Errorf("got %+v; want a model", chips[0])
		}
		if free, err := d.FreeBytes(); err == nil && (d.kind != XLACUDA || free <= 0) {
			t.Errorf("got %d free bytes of %s", free, d.kind)
		}
		if err := d.try(); err != nil {
			t.Error(err)
		}
	})
}
