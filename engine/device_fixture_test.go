package engine_test

import (
	"testing"

	"astro/engine"
	"astro/internal/device"
	"astro/internal/device/devicetest"
	"astro/model"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
)

var onEachDevice = devicetest.OnEach

var openDevice = devicetest.Open

// loadPolicy puts a fixture on a device as version 1, for as long as the test runs.
func loadPolicy(t testing.TB, d *device.Device, f modeltest.Fixture, dtype dtypes.DType) *model.Policy {
	t.Helper()
	w, err := model.Load(f.Dir, d.Backend(), dtype, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := model.NewPolicy(1, w)
	t.Cleanup(p.Release)
	return p
}

// smallRunner is a RunnerConfig for the fixtures: one length of page table, so that little is compiled.
func smallRunner(kv dtypes.DType) engine.RunnerConfig {
	return engine.RunnerConfig{Pages: 16, PageTokens: 32, MaxSlots: 4, ChunkTokens: 64, MaxContextTokens: 128, KVType: kv,
		GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes}
}

// newRunner makes a DeviceRunner that is closed with the test.
func newRunner(t testing.TB, d *device.Device, p *model.Policy, c engine.RunnerConfig) *engine.DeviceRunner {
	t.Helper()
	r, err := engine.NewDeviceRunner(d, p, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// schedulerConfig fits a Scheduler to a runner's pools.
func schedulerConfig(vocab int, c engine.RunnerConfig) engine.Config {
	s := engine.DefaultConfig(vocab, c.MaxSlots, c.MaxContextTokens)
	s.Pages, s.PageTokens, s.ChunkTokens = c.Pages, c.PageTokens, c.ChunkTokens
	return s
}
