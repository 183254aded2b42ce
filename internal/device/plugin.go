package device

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Environment variables that name a plugin's file outright, or the folder of the CUDA plugin.
const (
	cpuPluginEnv  = "ASTRO_XLA_CPU_PLUGIN"
	cudaPluginEnv = "ASTRO_XLA_CUDA_PLUGIN"
	cudaDirEnv    = "ASTRO_CUDA_DIR"
)

// pluginFile is how a kind's plugin is looked for.
type pluginFile struct {
	env    string          // variable with the file's path
	dirEnv string          // variable with its folder; "" = there is none
	dir    string          // name of its folder, under .cache of the repository or lib of an installation
	names  []string        // of the file, the preferred first; patterns of path.Match, below a folder that is looked into
	others func() []string // more folders, the last to be looked into; nil = none
	hint   string          // the one command that provides it
}

var pluginFiles = map[Kind]pluginFile{
	XLACPU: {
		env:   cpuPluginEnv,
		dir:   "xla-cpu",
		names: []string{"pjrt_c_api_cpu_plugin.so", "xla_cpu_pjrt.so"},
		hint:  "make xla",
	},
	XLACUDA: {
		env: cudaPluginEnv,
		dir: "xla-cuda",
		names: []string{"pjrt_c_api_cuda_plugin.so", "xla_cuda_plugin.so", "jax_plugins/xla_cuda13/xla_cuda_plugin.so",
			"nvidia/pjrt_c_api_cuda_plugin.so", "lib/python3*/site-packages/jax_plugins/xla_cuda13/xla_cuda_plugin.so"},
		dirEnv: cudaDirEnv,
		others: cudaPlaces,
		hint:   "make cuda",
	},
}

// FindPlugin looks for the plugin of an XLA kind: in dir if it is not "", in the file that the environment names
// (ASTRO_XLA_CPU_PLUGIN, ASTRO_XLA_CUDA_PLUGIN), in .cache/xla-cpu (or xla-cuda) of the working directory and its parents up to
// the one with go.mod, and beside the executable (../.cache/xla-cpu, ./xla-cpu, ../lib/astro). For CUDA ASTRO_CUDA_DIR may name the
// folder, and go-xla's installation and the packages of python3 are looked into last, the latter only where a GPU is. What is named
// but absent is an error, not a reason to look further.
func FindPlugin(kind Kind, dir string) (string, error) { return pluginFiles[kind].find(dir) }

func (f pluginFile) find(dir string) (string, error) {
	if dir != "" {
		return f.must(dir, "the folder that was given")
	}
	if path := os.Getenv(f.env); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("plugin named by %s: %w", f.env, err)
		}
		return path, nil
	}
	if f.dirEnv != "" && os.Getenv(f.dirEnv) != "" {
		return f.must(os.Getenv(f.dirEnv), f.dirEnv)
	}
	dirs := append(f.repositoryDirs(), f.installedDirs()...)
	if f.others != nil {
		dirs = append(dirs, f.others()...)
	}
	for _, d := range dirs {
		if found := f.in(d); found != "" {
			return found, nil
		}
	}
	return "", fmt.Errorf("no plugin %s in %s; run `%s`, or set %s to the file", f.names[0], strings.Join(dirs, ", "), f.hint, f.env)
}

// must is in for a folder that somebody named.
func (f pluginFile) must(dir, by string) (string, error) {
	if found := f.in(dir); found != "" {
		return found, nil
	}
	return "", fmt.Errorf("no plugin in %s (%s): want %s there", dir, by, strings.Join(f.names, " or "))
}

// in returns the plugin's path in dir, or "".
func (f pluginFile) in(dir string) string {
	for _, name := range f.names {
		found, _ := fs.Glob(os.DirFS(dir), name)
		for _, file := range found {
			path := filepath.Join(dir, file)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path
			}
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
