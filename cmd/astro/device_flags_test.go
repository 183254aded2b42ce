package main

import (
	"testing"

	"github.com/spf13/cobra"

	"astro/internal/device"
)

// Every command with --backend has the flags that go with it, and what they say reaches the device.
func TestDeviceFlags(t *testing.T) {
	var f deviceFlags
	c := &cobra.Command{}
	f.addDevice(c, "")
	if err := c.Flags().Parse([]string{"--backend", "xla:cuda", "--cuda-dir", "/d", "--gpu-memory-utilization", "0.5"}); err != nil {
		t.Fatal(err)
	}
	if o := f.options(); o.Backend != string(device.XLACUDA) || o.CUDADir != "/d" || o.GPUUtilization != 0.5 {
		t.Errorf("got %+v; want what the flags say", o)
	}
	count := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Flags().Lookup("backend") != nil {
			count++
			if c.Flags().Lookup("cuda-dir") == nil || c.Flags().Lookup("gpu-memory-utilization") == nil {
				t.Errorf("%s has --backend and no --cuda-dir or --gpu-memory-utilization", c.CommandPath())
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRootCommand())
	if count < 9 {
		t.Errorf("%d commands have --backend; want 9 or more", count)
	}
}
