package device

import (
	"errors"
	"os"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// h200Device is devicetest.H200, which this package cannot import.
func h200Device(t *testing.T) *Device {
	t.Helper()
	if os.Getenv("ASTRO_TEST_CUDA_AOT") == "" {
		t.Skip("make test-cuda-aot compiles programs for a GPU")
	}
	d, err := OpenTarget(TargetH200)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A program for a target has its aliases, says what its compiler made of it, and cannot be run.
func TestCompileForTarget(t *testing.T) {
	d := h200Device(t)
	p, err := d.Compile(counter(1 << 20))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	info := p.Info()
	if info.InPlaceBytes != 4<<20 || info.TemporaryBytes >= 4<<20 {
		t.Errorf("got %+v; want 4 MiB in place", info)
	}
	m, err := p.Optimized()
	if err != nil {
		t.Fatal(err)
	}
	fusions := 0
	for _, i := range m.Instructions {
		if i.Opcode == "copy" && i.InMemory {
			t.Errorf("%s copies %d bytes", i.Name, i.Shape.Bytes())
		}
		if i.Opcode == "fusion" {
			fusions++
		}
	}
	if fusions == 0 {
		t.Errorf("got no fusion in %+v", m.Instructions)
	}
	args := []*tensors.Tensor{tensors.FromShape(f32(1 << 20)), tensors.FromShape(f32(1 << 20))}
	if _, err := p.Run(args...); !errors.Is(err, ErrNotHere) {
		t.Errorf("run: got %v; want ErrNotHere", err)
	}
}

// What the target's compiler refuses is an error that brings its words.
func TestTargetRefuses(t *testing.T) {
	d := h200Device(t)
	s := counter(8)
	s.Build = func(in []*graph.Node) []*graph.Node {
		return []*graph.Node{in[0], Call("refused_by_target", func(in []*graph.Node) []*graph.Node { return in[:1] }, in...)[0]}
	}
	Implement("refused_by_target", Implementation{Body: func(_ Kind, f Signature) string { return CustomCall(f, "nobody_has_this", nil, nil) }})
	if _, err := d.Compile(s); err == nil {
		t.Error("a call of a function that nobody has was compiled")
	}
}
