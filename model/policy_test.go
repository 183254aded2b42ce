package model_test

import (
	"strings"
	"sync"
	"testing"

	"astro/model"
	"astro/model/modeltest"
)

// TestPolicyFreesOnLastRelease: the weights live exactly as long as somebody holds the Policy.
func TestPolicyFreesOnLastRelease(t *testing.T) {
	w, err := model.Load(modeltest.Named(t, "mha").Dir, backend(t), f32, nil)
	if err != nil {
		t.Fatal(err)
	}
	tensor := w.Tensors[0]
	p := model.NewPolicy(3, w)
	p.Retain()
	p.Release()
	if !tensor.Ok() || p.Version != 3 {
		t.Fatal("freed while a reference was left")
	}
	p.Release()
	if tensor.Ok() {
		t.Error("the last Release did not free the weights")
	}
	mustPanic(t, "released more often", func() { p.Release() })
	mustPanic(t, "retained after its last Release", func() { p.Retain() })
}

// TestPolicyIsSharedByGoroutines: many holders, one free. Run it with -race.
func TestPolicyIsSharedByGoroutines(t *testing.T) {
	w, err := model.Load(modeltest.Named(t, "mha").Dir, backend(t), f32, nil)
	if err != nil {
		t.Fatal(err)
	}
	tensor := w.Tensors[0]
	p := model.NewPolicy(1, w)
	var holders sync.WaitGroup
	for range 8 {
		p.Retain()
		holders.Go(func() {
			for range 1000 {
				p.Retain()
				if !tensor.Ok() {
					t.Error("freed while held")
				}
				p.Release()
			}
			p.Release()
		})
	}
	p.Release()
	holders.Wait()
	if tensor.Ok() {
		t.Error("nobody freed the weights")
	}
}

func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		got, _ := recover().(string)
		if !strings.Contains(got, want) {
			t.Errorf("panic %q; want one with %q", got, want)
		}
	}()
	f()
}
