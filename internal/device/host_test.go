package device

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// What a process touches is counted, and stays counted after it is freed.
func TestPeakMemoryGrows(t *testing.T) {
	before := PeakMemoryBytes()
	if before == 0 {
		t.Skip("this system has no /proc/self/status")
	}
	const size = 64 << 20
	block := make([]byte, int(before)+size) // more than was ever resident
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	if after := PeakMemoryBytes(); after < before+size {
		t.Errorf("%d bytes at the peak, %d before %d more were touched", after, before, len(block))
	}
}

// Large results of a program lie in memory for which the kernel was asked to use huge pages.
func TestLargeBlocksAdviseHugePages(t *testing.T) {
	d, err := Open(Options{Backend: string(XLACPU)})
	if err != nil {
		t.Skipf("the XLA CPU plugin is missing: %v", err)
	}
	const bytes = 96 << 20
	p := compile(t, d, Spec{Name: "large", Params: []Param{{"x", f32(bytes / 4), -1}},
		Build: func(in []*graph.Node) []*graph.Node { return []*graph.Node{graph.AddScalar(in[0], 1)} }})
	x := run(t, compile(t, d, Spec{Name: "zeros", Params: []Param{{"one", f32(), -1}},
		Build: func(in []*graph.Node) []*graph.Node { return []*graph.Node{graph.BroadcastToDims(in[0], bytes/4)} }}), tensors.FromValue(float32(1)))[0]
	before := advisedBytes(t)
	out := run(t, p, x)[0]
	if got := advisedBytes(t) - before; got < bytes-(1<<20) {
		t.Errorf("%d more bytes of huge pages were asked for; want the %d of the result", got, bytes)
	}
	out.MustFinalizeAll()
	x.MustFinalizeAll()
}

// advisedBytes is the size of all mappings of this process that have been advised to use huge pages.
func advisedBytes(t *testing.T) (sum int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skipf("this system does not tell: %v", err)
	}
	defer f.Close()
	size, told := 0, false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch fields[0] {
		case "Size:":
			size, _ = strconv.Atoi(fields[1])
		case "VmFlags:":
			told = true
			if strings.Contains(lines.Text(), " hg") {
				sum += size << 10
			}
		}
	}
	if !told {
		t.Skip("this kernel does not tell the flags of mappings")
	}
	return sum
}
