package search

import (
	"fmt"

	"astro/engine"
	"astro/internal/device"
	"astro/model"
	"astro/sampler"

	"github.com/gomlx/compute/dtypes"
)

// Steppers makes a Stepper for each block of a search, on a Runner of its own, and counts what all of them did.
type Steppers struct {
	runner  *engine.DeviceRunner
	config  engine.Config
	version int64
	params  sampler.Params
	stepper *Stepper
	passes  uint64 // of the model, in the blocks before
	tokens  uint64
}

// OpenSteppers makes a Runner with keys and values of the given type. It takes a reference of the policy. Where the Config does not say how
// many tokens a Step draws, it is what the device does best.
func OpenSteppers(d *device.Device, policy *model.Policy, c engine.Config, kv dtypes.DType, params sampler.Params) (*Steppers, error) {
	r, err := engine.NewDeviceRunner(d, policy, engine.RunnerConfig{Pages: c.Pages, PageTokens: c.PageTokens, MaxSlots: c.MaxSlots, ChunkTokens: c.ChunkTokens,
		MaxContextTokens: c.MaxContextTokens, KVType: kv, GatherBytes: engine.DefaultGatherBytes, LogitsBytes: engine.DefaultLogitsBytes})
	if err != nil {
		return nil, fmt.Errorf("cannot start an engine to search with: %w", err)
	}
	if c.DecodeSteps == 0 {
		c.DecodeSteps = engine.RolloutSteps(d)
	}
	return &Steppers{runner: r, config: c, version: policy.Version, params: params}, nil
}

// Next begins a block; the Stepper before it is done.
func (s *Steppers) Next() Policy {
	s.count()
	s.stepper = NewStepper(s.runner, s.config, s.version, s.params)
	return s.stepper
}

// count adds what the last block did.
func (s *Steppers) count() {
	if s.stepper != nil {
		c := s.stepper.Counters()
		s.passes, s.tokens = s.passes+c.Passes, s.tokens+c.OutputTokens
		s.stepper = nil
	}
}

// Counts are the tokens that were drawn so far, and the slots that there were in all passes to draw them in.
func (s *Steppers) Counts() (drawn, slots uint64) {
	s.count()
	return s.tokens, s.passes * uint64(s.config.MaxSlots)
}

// Busy is the mean share of slots that drew a token in a step.
func (s *Steppers) Busy() float64 {
	drawn, slots := s.Counts()
	return float64(drawn) / float64(max(1, slots))
}

// Close frees the Runner.
func (s *Steppers) Close() { s.runner.Close() }
