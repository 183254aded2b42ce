package device

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Environment variables that name a plugin's file outright.
const (
	cpuPluginEnv  = "ASTRO_XLA_CPU_PLUGIN"
	cudaPluginEnv = "ASTRO_XLA_CUDA_PLUGIN"
)

// pluginFile is how a kind's plugin is looked for.
type pluginFile struct {
	env   string   // variable with the file's path
	dir   string   // name of its folder, under .cache of the repository or lib of an installation
	names []string // of the file, the preferred first
	hint  string   // the one command that provides it
}

var pluginFiles = map[Kind]pluginFile{
	XLACPU: {
		env:   cpuPluginEnv,
		dir:   "xla-cpu",
		names: []string{"pjrt_c_api_cpu_plugin.so", "xla_cpu_pjrt.so"},
		hint:  "make xla",
	},
	XLACUDA: {
		env:   cudaPluginEnv,
		dir:   "xla-cuda",
		names: []string{"pjrt_c_api_cuda_plugin.so", "xla_cuda_plugin.so", "jax_plugins/xla_cuda13/xla_cuda_plugin.so"},
		hint: "pip install --target .cache/xla-cuda jax-cuda13-plugin jax-cuda13-pjrt nvidia-cublas nvidia-cuda-runtime nvidia-cuda-nvcc " +
			"nvidia-cuda-cupti nvidia-cufft nvidia-cusolver nvidia-cusparse nvidia-cudnn-cu13 nvidia-nccl-cu13",
	},
}

// FindPlugin looks for the plugin of an XLA kind: in dir if it is not "", in the file that the environment names
// (ASTRO_XLA_CPU_PLUGIN, ASTRO_XLA_CUDA_PLUGIN), in .cache/xla-cpu (or xla-cuda) of the working directory and its parents up to
// the one with go.mod, and beside the executable (../.cache/xla-cpu, ./xla-cpu, ../lib/astro). A file that is named but absent is
// an error, not a reason to look further.
func FindPlugin(kind Kind, dir string) (string, error) { return pluginFiles[kind].find(dir) }

func (f pluginFile) find(dir string) (string, error) {
	if dir != "" {
		if found := f.in(dir); found != "" {
			return found, nil
		}
		return "", fmt.Errorf("no plugin in %s: want %s there", dir, strings.Join(f.names, " or "))
	}
	if path := os.Getenv(f.env); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("plugin named by %s: %w", f.env, err)
		}
		return path, nil
	}
	dirs := append(f.repositoryDirs(), f.installedDirs()...)
	for _, d := range dirs {
		if found := f.in(d); found != "" {
			return found, nil
		}
	}
	return "", fmt.Errorf("no plugin %s in %s; run `%s`, or set %s to the file", f.names[0], strings.Join(dirs, ", "), f.hint, f.env)
}

// in returns the plugin's path in dir, or "".
func (f pluginFile) in(dir string) string {
	for _, name := range f.names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// repositoryDirs are the folders from the working directory up to the one with go.mod, so that tests find what `make` fetched.
func (f pluginFile) repositoryDirs() (dirs []string) {
	at, err := os.Getwd()
	if err != nil {
		return nil
	}
	first := filepath.Join(at, ".cache", f.dir)
	for {
		dirs = append(dirs, filepath.Join(at, ".cache", f.dir))
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return dirs
		}
		parent := filepath.Dir(at)
		if parent == at {
			return []string{first} // not in a repository
		}
		at = parent
	}
}

// installedDirs are the folders beside the executable.
func (f pluginFile) installedDirs() []string {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	at := filepath.Dir(exe)
	return []string{
		filepath.Join(at, "..", ".cache", f.dir),
		filepath.Join(at, f.dir),
		filepath.Join(at, "..", "lib", "astro"),
	}
}

// DefaultCacheDir is the user's folder for compiled executables, such as ~/.cache/astro/executables, or "" if there is none.
func DefaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "astro", "executables")
}
