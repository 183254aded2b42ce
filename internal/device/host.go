package device

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// host is what this machine's processors can do and how much memory there is.
type host struct {
	model    string
	features []string // instruction sets, as the kernel names them; empty where it does not say
}

// hostCPU reads /proc/cpuinfo; elsewhere only the architecture is known.
func hostCPU() host {
	h := host{model: runtime.GOARCH}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return h
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.TrimSpace(key) {
		case "model name":
			h.model = strings.TrimSpace(value)
		case "flags", "Features":
			h.features = strings.Fields(value)
			return h
		}
	}
	return h
}

// identity changes whenever code compiled for one host may not run on the other.
func (h host) identity() string {
	return runtime.GOARCH + "\x00" + h.model + "\x00" + strings.Join(h.features, " ")
}

// simdFeatures are the vector instruction sets worth telling.
func (h host) simdFeatures() (found []string) {
	for _, f := range h.features {
		switch f {
		case "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_tile", "amx_bf16", "asimd", "sve":
			found = append(found, f)
		}
	}
	return found
}

// memoryBytes is the machine's memory and what is free of it now; zeros where it is not known.
func memoryBytes() (total, available int64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	return parseMeminfo(string(text))
}

// PeakMemoryBytes is the most that this process has had resident so far; 0 where it is not known.
func PeakMemoryBytes() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	return kibibytes(string(text), "VmHWM") << 10
}

// parseMeminfo reads the text of /proc/meminfo; 0 for a line that is missing.
func parseMeminfo(text string) (total, available int64) {
	return kibibytes(text, "MemTotal") << 10, kibibytes(text, "MemAvailable") << 10
}

// kibibytes finds a line like `MemTotal: 16 kB`; 0 where there is none.
func kibibytes(text, name string) int64 {
	for line := range strings.Lines(text) {
		if key, value, _ := strings.Cut(line, ":"); key == name {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n
		}
	}
	return 0
}
