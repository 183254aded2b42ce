package device

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultGPUUtilization is the part of a GPU's memory that the process takes if Options does not say.
const defaultGPUUtilization = 0.9

// cudaParts are what the CUDA backend is made of on this machine.
type cudaParts struct {
	plugin  string // file
	version string // of the wheel that it came in; "" = not known
	data    string // folder with NVIDIA's compiler and its library of functions
	driver  string // version; "" = not known
	loaded  []loadedLibrary
	missing []string // libraries that no folder has and that programs may do without
}

// findCUDA looks for all parts of the CUDA backend, the GPU first, and says what is missing and where to get it.
func findCUDA(o Options) (cudaParts, error) {
	if err := checkGPU("/dev"); err != nil {
		return cudaParts{}, err
	}
	c := cudaParts{driver: driverVersion()}
	var err error
	if c.plugin, err = FindPlugin(XLACUDA, cmp.Or(o.CUDADir, o.PluginDir)); err != nil {
		return c, err
	}
	c.version = pluginVersion(c.plugin)
	folders := nvidiaFolders(c.plugin)
	if c.data, err = cudaData(append(folders, toolkits()...)); err != nil {
		return c, err
	}
	return c, c.loadLibraries(libraryFolders(folders))
}

// prepare sets what XLA reads from the environment.
func (c cudaParts) prepare(cacheDir string) error {
	flags := []xlaFlag{{"xla_gpu_cuda_data_dir", c.data}}
	if cacheDir != "" {
		// What the compiler measured for one fusion holds for all programs with that fusion. XLA writes files that name GPU and fusion.
		dir := filepath.Join(filepath.Dir(cacheDir), "autotune", identityName(c.plugin))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the folder of autotuning results: %w", err)
		}
		flags = append(flags, xlaFlag{"xla_gpu_per_fusion_autotune_cache_dir", dir})
	}
	value, err := withXLAFlags(os.Getenv("XLA_FLAGS"), c.plugin, flags)
	if err != nil {
		return err
	}
	return os.Setenv("XLA_FLAGS", value)
}

// identityName names a file as it is now by letters that a folder may have.
func identityName(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%x-%x", info.Size(), info.ModTime().UnixNano())
}

// xlaFlag is a flag of XLA with the value that we give it.
type xlaFlag struct{ name, value string }

// withXLAFlags adds flags to those of the user, whose own win. XLA ends the process at a flag that it does not know, so only what
// the plugin knows is added.
func withXLAFlags(users, plugin string, flags []xlaFlag) (string, error) {
	known, err := knownFlags(plugin, flags)
	if err != nil {
		return "", fmt.Errorf("CUDA plugin: %w", err)
	}
	all := strings.Fields(users)
	for _, f := range known {
		if !slices.ContainsFunc(all, func(s string) bool { return s == "--"+f.name || strings.HasPrefix(s, "--"+f.name+"=") }) {
			all = append(all, "--"+f.name+"="+f.value)
		}
	}
	return strings.Join(all, " "), nil
}

// knownFlags are the flags that a plugin's file names: each is a C string of its own there.
func knownFlags(plugin string, flags []xlaFlag) (known []xlaFlag, err error) {
	f, err := os.Open(plugin)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", plugin, err)
	}
	defer unix.Munmap(text)
	for _, f := range flags {
		if bytes.Contains(text, []byte("\x00"+f.name+"\x00")) {
			known = append(known, f)
		}
	}
	return known, nil
}

// checkGPU says whether the driver shows a GPU; dev is /dev.
func checkGPU(dev string) error {
	if found, _ := filepath.Glob(filepath.Join(dev, "nvidia[0-9]*")); len(found) > 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dev, "dxg")); err == nil { // Windows Subsystem for Linux
		return nil
	}
	return fmt.Errorf("no NVIDIA GPU: there is no %s/nvidia0; install NVIDIA's driver (580 or later), or give the container the GPU", dev)
}

// driverVersion reads what NVIDIA's kernel module says of itself; "" where it says nothing.
func driverVersion() string {
	for _, path := range []string{"/proc/driver/nvidia/version", "/sys/module/nvidia/version"} {
		if text, err := os.ReadFile(path); err == nil {
			return parseDriverVersion(string(text))
		}
	}
	return ""
}

// parseDriverVersion finds the version in a line such as `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Thu ...`.
func parseDriverVersion(text string) string {
	return regexp.MustCompile(`\b\d{3,}\.\d+(\.\d+)?\b`).FindString(text)
}

// identity changes whenever a program compiled with these parts may not be the one that others make.
func (c cudaParts) identity() string {
	parts := []string{"driver " + c.driver}
	for _, l := range c.loaded {
		parts = append(parts, l.name+" "+identityName(l.path))
	}
	return strings.Join(parts, "\x00")
}

// Plugins of jax-cuda13-pjrt from the first of these versions to before the second are supported.
var supportedPlugins = [2][2]int{{0, 10}, {0, 13}}

// testedPlugins were run: programs of the tests were compiled by them.
var testedPlugins = []string{"0.10.2", "0.11.2", "0.12.0.1"}

var versionLine = regexp.MustCompile(`(?m)^_version = "([0-9.]+)"`)

// pluginVersion reads the version that the wheel's own version.py names; "" for a plugin of another origin.
func pluginVersion(plugin string) string {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(plugin), "version.py"))
	if err != nil {
		return ""
	}
	if found := versionLine.FindSubmatch(text); found != nil {
		return string(found[1])
	}
	return ""
}

// judgePlugin says in words whether a version is supported.
func judgePlugin(version string) string {
	var v [2]int
	if n, _ := fmt.Sscanf(version, "%d.%d", &v[0], &v[1]); n < 2 {
		return "of an unknown version: 0.10.2 to 0.12 of jax-cuda13-pjrt are supported"
	}
	switch {
	case slices.Contains(testedPlugins, version):
		return version + ", which compiled the programs of the tests"
	case slices.Compare(v[:], supportedPlugins[0][:]) < 0 || slices.Compare(v[:], supportedPlugins[1][:]) >= 0 || version == "0.10.0" || version == "0.10.1":
		return version + ", which is NOT supported: 0.10.2 to 0.12 of jax-cuda13-pjrt are"
	}
	return version + ", which is supported but was not tried"
}
