package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// pythonTimeout is long for a first start of Python from a cold disk.
const pythonTimeout = 20 * time.Second

// pythonProgram prints the folders where python3 has its packages, one a line.
const pythonProgram = `import site, sys, sysconfig
paths = sysconfig.get_paths()
for folder in dict.fromkeys([paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages(), *sys.path]):
    print(folder)`

// pythonFolders are the folders of packages of the python3 in PATH; none where there is no such Python. It is asked once.
var pythonFolders = sync.OnceValue(func() []string {
	ctx, cancel := context.WithTimeout(context.Background(), pythonTimeout)
	defer cancel()
	text, err := exec.CommandContext(ctx, "python3", "-c", pythonProgram).Output()
	if err != nil {
		return nil
	}
	return existing(strings.Split(string(text), "\n"))
})

// existing keeps the absolute paths of folders.
func existing(paths []string) (dirs []string) {
	for _, p := range paths {
		if info, err := os.Stat(p); filepath.IsAbs(p) && err == nil && info.IsDir() && !slices.Contains(dirs, p) {
			dirs = append(dirs, p)
		}
	}
	return dirs
}

// cudaPlaces are where others put a CUDA plugin: go-xla's installer, and Python's packages. Python is asked only where a GPU is.
func cudaPlaces() (dirs []string) {
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".local", "lib", "go-xla"))
	}
	dirs = append(dirs, "/usr/local/lib/go-xla")
	if checkGPU("/dev") == nil {
		dirs = append(dirs, pythonFolders()...)
	}
	return dirs
}

// nvidiaFolders are the folders called nvidia of NVIDIA's wheels: where the plugin's own search path looks, beside its folder and one
// or two above it, then in Python's packages.
func nvidiaFolders(plugin string) []string {
	if real, err := filepath.EvalSymlinks(plugin); err == nil {
		plugin = real
	}
	dir := filepath.Dir(plugin)
	tried := []string{filepath.Join(dir, "nvidia"), filepath.Join(dir, "..", "nvidia"), filepath.Join(dir, "..", "..", "nvidia")}
	if found := existing(tried); len(libraryFolders(found)) > 0 {
		return found
	}
	for _, d := range pythonFolders() {
		tried = append(tried, filepath.Join(d, "nvidia"))
	}
	return existing(tried)
}

// libraryFolders are the folders of libraries in those of the wheels.
func libraryFolders(nvidia []string) (dirs []string) {
	for _, d := range nvidia {
		found, _ := fs.Glob(os.DirFS(d), "*/lib")
		slices.Sort(found)
		for _, f := range found {
			dirs = append(dirs, filepath.Join(d, f))
		}
	}
	return dirs
}

// toolkits are the folders of CUDA toolkits that are installed for the machine, as if they were a wheel's.
func toolkits() (dirs []string) {
	for _, name := range []string{"CUDA_HOME", "CUDA_PATH"} {
		dirs = append(dirs, os.Getenv(name))
	}
	dirs = append(dirs, "/usr/local/cuda")
	newest, _ := filepath.Glob("/usr/local/cuda-1[3-9]*")
	slices.Reverse(newest)
	dirs = append(dirs, newest...)
	for _, tool := range []string{"ptxas", "nvcc"} {
		if path, err := exec.LookPath(tool); err == nil {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(filepath.Dir(real)))
			}
		}
	}
	return existing(dirs)
}

// cudaTools are NVIDIA's assembler and its library of mathematical functions, in a folder of tools.
var cudaTools = []string{"bin/ptxas", "nvvm/libdevice/libdevice.10.bc"}

// cudaData finds the folder that has both tools, among folders of wheels (which have them in cu13) and of toolkits.
func cudaData(folders []string) (string, error) {
	var said []error
	for _, d := range folders {
		for _, d := range existing([]string{filepath.Join(d, "cu13"), d}) {
			missing := missingTools(d)
			if len(missing) == 0 {
				return d, nil
			}
			if len(missing) < len(cudaTools) {
				said = append(said, fmt.Errorf("%s lacks %s", d, strings.Join(missing, " and ")))
			}
		}
	}
	return "", errors.Join(append([]error{fmt.Errorf("no folder with CUDA's tools %s in %s: install the wheels nvidia-cuda-nvcc and nvidia-nvvm beside the plugin (`%s` has them), or CUDA 13, and set CUDA_HOME to its folder",
		strings.Join(cudaTools, " and "), orNowhere(folders), pluginFiles[XLACUDA].hint)}, said...)...)
}

func orNowhere(dirs []string) string {
	if len(dirs) == 0 {
		return "any place (no nvidia folder beside the plugin or in Python's packages, no toolkit)"
	}
	return strings.Join(dirs, ", ")
}

func missingTools(dir string) (missing []string) {
	for _, tool := range cudaTools {
		if _, err := os.Stat(filepath.Join(dir, tool)); err != nil {
			missing = append(missing, tool)
		}
	}
	return missing
}
