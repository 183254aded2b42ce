package cuda_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/kernels"
	"astro/kernels/cuda"
	"astro/kernels/kerneltest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func init() { device.DeclareNative(device.XLACPU, cuda.TargetDecode, cuda.HandlerHere()) }

// The driver of the tests reads these when it is called.
const (
	logEnv   = "ASTRO_TEST_CUDA_LOG"
	wrongEnv = "ASTRO_TEST_CUDA_WRONG"
)

// built compiles a file of testdata.
func built(t *testing.T, source string, flags ...string) string {
	t.Helper()
	compiler, err := exec.LookPath("c++")
	if err != nil {
		t.Skipf("no C++ compiler c++ to run the kernels on this processor: %v", err)
	}
	to := filepath.Join(t.TempDir(), "built")
	args := append(flags, "-std=c++17", "-O2", "-w", "-I.", "-Itestdata", filepath.Join("testdata", source), "-o", to)
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v\n%s", source, err, out)
	}
	return to
}

// The kernels agree with plain loops on a processor, see nothing that they must not, and give a Sequence the same bits alone and in a batch.
func TestKernelsOnAProcessor(t *testing.T) {
	if out, err := exec.Command(built(t, "driver.cc"), "10", "1").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("got %v and\n%s", err, out)
	}
}

// What is committed is of the committed source: `make ptx` writes it, `make check-ptx` compiles it once more.
func TestPTXIsOfItsSource(t *testing.T) {
	h := sha256.New()
	for _, name := range []string{"decode.h", "gpu.h", "decode.cu"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(text)
	}
	ptx, err := os.ReadFile("decode.ptx")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(ptx), "\n")
	if want := fmt.Sprintf("Source sha256 %x", h.Sum(nil)); !strings.HasSuffix(first, want) {
		t.Errorf("decode.ptx begins with %q; want %q: run `make ptx`", first, want)
	}
}

// What keeps kernels from being loaded is said, and can be mended without a new process. Then all of them are called from programs.
func TestThroughADriver(t *testing.T) {
	d := devicetest.Open(t, device.XLACPU)
	if err := device.HasNative(d.Kind(), cuda.TargetDecode); err != nil {
		t.Skipf("the XLA CPU plugin calls no native functions: %v", err)
	}
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv(logEnv, log)
	library := built(t, "driver_here.cc", "-shared", "-fPIC")
	for _, c := range []struct{ wrong, library, want string }{
		{"", "libastro-none.so", "open the driver's library"},
		{"ptx", library, "CUDA_ERROR_INVALID_PTX line 7: unknown instruction"},
		{"old", library, "GPU 1 has the compute capability 7.0; want 8.0 or more"},
	} {
		t.Setenv(wrongEnv, c.wrong)
		if err := cuda.LoadFrom(c.library); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want %q", c.wrong, err, c.want)
		}
	}
	t.Setenv(wrongEnv, "")
	if got := kernels.DescribeDecode(d.Kind()); !strings.HasPrefix(got, "plain graph, for CUDA kernels: ") {
		t.Errorf("without a driver: got %q", got)
	}
	if err := cuda.LoadFrom(library); err != nil {
		t.Fatal(err)
	}
	if got := kernels.DescribeDecode(d.Kind()); !strings.HasPrefix(got, "CUDA kernel for heads of 32 64 80 96 128 256;") {
		t.Errorf("with a driver: got %q", got)
	}
	t.Run("Suite", func(t *testing.T) { kerneltest.RunAttention(t, d) })
	ran, err := os.ReadFile(log)
	for _, kernel := range []string{"decode_f32_64", "decode_f32_128", "decode_bf16_64", "decode_bf16_128", "decode_join"} {
		if !strings.Contains(string(ran), kernel+"\n") {
			t.Errorf("%s was not run (%v)", kernel, err)
		}
	}
	t.Run("Gradient", func(t *testing.T) { gradient(t, d) })
	t.Run("LaunchFails", func(t *testing.T) { launchFails(t, d) })
	t.Run("ForeignPages", func(t *testing.T) { forgetsPages(t, d) })
}

// small is attention of one query, which sees 3 of 16 positions of one page, its number, and their gradient by the query.
func small(name string, derive bool) device.Spec {
	pool := shapes.Make(dtypes.Float32, 2, 1, 16, 32)
	return device.Spec{Name: name, Params: []device.Param{{Name: "q", Shape: shapes.Make(dtypes.Float32, 1, 1, 2, 32), Alias: -1},
		{Name: "k", Shape: pool, Alias: -1}, {Name: "v", Shape: pool, Alias: -1}, {Name: "table", Shape: shapes.Make(dtypes.Int32, 1, 1), Alias: -1},
		{Name: "positions", Shape: shapes.Make(dtypes.Int32, 1, 1), Alias: -1}},
		Build: func(in []*graph.Node) []*graph.Node {
			out := kernels.PagedAttention(in[0], in[1], in[2], in[3], in[4], 0.5)
			if derive {
				return graph.Gradient(graph.ReduceAllSum(graph.Mul(out, out)), in[0], in[1], in[2])
			}
			return []*graph.Node{out}
		}}
}

func smallArguments(page int32) []*tensors.Tensor {
	waves := func(n int, step float64) (x []float32) {
		for i := range n {
			x = append(x, float32(math.Sin(float64(i)*step)))
		}
		return x
	}
	return []*tensors.Tensor{tensors.FromFlatDataAndDimensions(waves(64, .3), 1, 1, 2, 32), tensors.FromFlatDataAndDimensions(waves(1024, .7), 2, 1, 16, 32),
		tensors.FromFlatDataAndDimensions(waves(1024, 1.1), 2, 1, 16, 32), tensors.FromFlatDataAndDimensions([]int32{page}, 1, 1), tensors.FromFlatDataAndDimensions([]int32{2}, 1, 1)}
}

func results(t *testing.T, d *device.Device, s device.Spec, page int32) (all [][]float32, err error) {
	t.Helper()
	p, err := d.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out, err := p.Run(smallArguments(page)...)
	for _, x := range out {
		all = append(all, tensors.MustCopyFlatData[float32](x))
	}
	return all, err
}

// gradient: the rule is the reference's, and its numbers those of the Go backend, which runs the reference alone.
func gradient(t *testing.T, d *device.Device) {
	plain := devicetest.Open(t, device.Go)
	got, err := results(t, d, small("gradient", true), 1)
	if err != nil {
		t.Fatal(err)
	}
	want, err := results(t, plain, small("gradient", true), 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		for j := range want[i] {
			if diff := math.Abs(float64(got[i][j] - want[i][j])); !(diff < 1e-4) {
				t.Fatalf("gradient %d, element %d: got %v; want %v", i, j, got[i][j], want[i][j])
			}
		}
	}
}

func launchFails(t *testing.T, d *device.Device) {
	t.Setenv(wrongEnv, "launch")
	if _, err := results(t, d, small("fails", false), 1); err == nil || !strings.Contains(err.Error(), "decode: launch a kernel: CUDA_ERROR_LAUNCH_FAILED") {
		t.Errorf("got %v; want the driver's error", err)
	}
}

// forgetsPages: a page that is not in the pool is not read, and a row that sees nothing is 0.
func forgetsPages(t *testing.T, d *device.Device) {
	for _, page := range []int32{-1, 2, math.MaxInt32} {
		got, err := results(t, d, small("wild", false), page)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range got[0] {
			if x != 0 {
				t.Fatalf("page %d of 2: got %v; want 0", page, x)
			}
		}
	}
}

func TestCheckSaysWhatThereIsNoKernelFor(t *testing.T) {
	good := cuda.Decode{Seqs: 4, Tokens: 1, Heads: 32, KVHeads: 8, HeadDim: 128, PageTokens: 16, MaxPages: 512, Rows: dtypes.Float32, Pools: dtypes.BFloat16}
	if err := good.Check(); err != nil {
		t.Errorf("got %v; want a kernel", err)
	}
	if got, want := fmt.Sprint(good.Room()), "[tensor<128x32x128xf32> tensor<128x32x2xf32>]"; got != want {
		t.Errorf("got room %s; want %s", got, want)
	}
	for want, change := range map[string]func(*cuda.Decode){
		"pages in Float16":   func(c *cuda.Decode) { c.Pools = dtypes.Float16 },
		"heads of 48":        func(c *cuda.Decode) { c.HeadDim = 48 },
		"17 tokens":          func(c *cuda.Decode) { c.Tokens = 17 },
		"pages of 12 tokens": func(c *cuda.Decode) { c.PageTokens = 12 },
		"65536 spans":        func(c *cuda.Decode) { c.MaxPages = 1 << 20 },
		"65552 queries":      func(c *cuda.Decode) { c.Tokens, c.Heads = 16, 4097 },
	} {
		bad := good
		change(&bad)
		if err := bad.Check(); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}
