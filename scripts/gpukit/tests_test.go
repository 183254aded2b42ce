package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A test is chosen if it runs on each device itself or through a helper; one on a backend of its own choice is not.
func TestDeviceTests(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x_test.go")
	text := `package x
func TestMain(m *testing.M) { onEach(nil, nil) }
func TestOwn(t *testing.T) { onEach(t, nil) }
func TestThroughHelper(t *testing.T) { helper(t) }
func TestOfPackage(t *testing.T) { devicetest.OnEach(t, nil) }
func TestOneBackend(t *testing.T) { open(t, device.Go) }
func TestRound(t *testing.T) { round(t) }
func helper(t *testing.T) { inner(t) }
func inner(t *testing.T) { for range devicetest.Kinds() {} }
func round(t *testing.T) { TestRound(t) }
func BenchmarkOwn(b *testing.B) { onEach(b, nil) }
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := deviceTests([]string{file})
	if want := []string{"TestOwn", "TestThroughHelper", "TestOfPackage"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, error %v; want %v", got, err, want)
	}
}
